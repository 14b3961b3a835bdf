"""What can go wrong in a unit, by whose mistake it is; `status` is the answer's over HTTP."""


class RegionError(ValueError):
    """The region is not one this runtime can run: the compiler's or the deployer's mistake."""


class LoadError(Exception):
    """A node cannot be loaded, so the unit must not become ready."""


class ToldError(Exception):
    """Why a request is not answered: the message is for the client, so it names no path."""

    status: int


class RequestError(ToldError):
    """The request is at fault (400, or what the user's own code says)."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class BadInputError(ValueError):
    """Raised by the user's own code: what it was given is at fault, so the client gets a 400 with this message.

    `row` is the place, from 0, of the row at fault in the arrays that the code was given.
    """

    def __init__(self, message: str, row: int | None = None) -> None:
        super().__init__(message)
        self.row = row


class StatedError(Exception):
    """The user's own code fails a request, and says by which status of HTTP, 400 to 599."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class RunError(ToldError):
    """A node or the answer is at fault (500, or what the user's own code says)."""

    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.status = status


class ServerFaultError(Exception):
    """The server that a node asks did not answer, or not rightly; the message reads on after "its server".

    `logged` is what may stand in a log: a server's own words may hold what a client sent.
    """

    def __init__(self, message: str, logged: str) -> None:
        super().__init__(message)
        self.logged = logged


class DeadlineError(ToldError):
    """The request is past its deadline (504), and what was left of it was not done."""

    status = 504
