"""What can go wrong in a unit, by whose mistake it is."""


class RegionError(ValueError):
    """The region is not one this runtime can run: the compiler's or the deployer's mistake."""


class LoadError(Exception):
    """A node cannot be loaded, so the unit must not become ready."""


class RequestError(Exception):
    """The request is at fault (400); the message is for the client."""


class RunError(Exception):
    """A node or the answer is at fault (500); the message is for the client, so it names no path."""


class DeadlineError(Exception):
    """The request is past its deadline (504), and what was left of it was not done."""
