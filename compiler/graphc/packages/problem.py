"""The failure to bring packages together."""


class PackageError(Exception):
    """Packages cannot be had, or not together; the message says why, in a user's words."""
