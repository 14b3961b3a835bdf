"""How requests travel over any protocol: by slots, with one request under way in each."""

from typing import NamedTuple, Protocol


class Done(NamedTuple):
    """A request that has ended: its answer, or in `failure` why there is none; `at` is the monotonic clock's."""

    slot: int
    at: float
    status: str
    """The protocol's word for how it went: `200`, `503`, `OK`; empty where there is no answer."""
    is_success: bool
    body: bytes
    json_length: int | None
    """How much of the body is JSON, where bytes of tensors follow it."""
    failure: str


class Transport(Protocol):
    """A way to a target; nothing is raised, every failure is a `Done`."""

    reconnects: int
    """How often a kept connection turned out to be closed, and the request was sent again on a new one."""

    def send(self, slot: int) -> None:
        """Send the request in a slot that has none under way."""
        ...

    def poll(self, timeout: float) -> list[Done]:
        """Return the requests that have ended, waiting that many seconds at most for the first."""
        ...

    def close(self) -> None:
        """Leave all requests that are under way."""
        ...
