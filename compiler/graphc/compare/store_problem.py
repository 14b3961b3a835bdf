"""The one way in which a store of figures says that it cannot be used."""


class StoreError(Exception):
    """A database or service cannot be used; the message says why, in a user's words."""
