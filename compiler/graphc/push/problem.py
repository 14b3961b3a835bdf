"""The failure that ends a push."""


class PushError(Exception):
    """A store cannot take a file; the message says why, in a user's words."""
