"""The one way in which a call ends early."""


class InferError(Exception):
    """A call cannot be made or was not answered; the message says why in one line, in a user's words."""
