"""What a generator is told to do and what it saw, as lines of JSON between its process and the one that asked."""

import base64
import json
from array import array
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, cast

Arrivals = Literal["poisson", "constant"]

Protocol = Literal["http", "grpc"]


@dataclass(frozen=True, slots=True)
class Closed:
    """So many clients; each sends its next request when the last one is answered."""

    clients: int


@dataclass(frozen=True, slots=True)
class Open:
    """So many requests a second, answered or not, on as many connections as it takes, up to a limit."""

    rate: float
    arrivals: Arrivals
    connections: int
    seed: int


@dataclass(frozen=True, slots=True)
class Address:
    """Where requests go; over gRPC the path is the method's, and the headers are its metadata."""

    protocol: Protocol
    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """A load on one address, all times in seconds; an empty expectation is not compared with."""

    address: Address
    body: bytes
    load: Closed | Open
    duration: float
    warmup: float
    timeout: float
    expected: bytes = b""
    expected_json: int | None = None
    lasts: bool = True
    """Whether what is still under way at the end is waited for."""

    def to_line(self) -> str:
        """Write the job as one line."""
        fields = asdict(self) | {"body": _write(self.body), "expected": _write(self.expected)}
        return json.dumps(fields)


def read_job(line: str) -> Job:
    """Read what `to_line` wrote."""
    fields = cast("dict[str, object]", json.loads(line))
    load = cast("dict[str, object]", fields.pop("load"))
    address = cast("dict[str, object]", fields.pop("address"))
    pairs = cast("list[tuple[str, str]]", address.pop("headers"))
    headers = tuple((name, value) for name, value in pairs)
    body, expected = (base64.b64decode(str(fields.pop(name))) for name in ("body", "expected"))
    make = cast("type[Open]", Open if "rate" in load else Closed)
    return Job(
        Address(headers=headers, **address),  # pyright: ignore[reportArgumentType]
        body,
        make(**load),  # pyright: ignore[reportArgumentType]
        expected=expected,
        **fields,  # pyright: ignore[reportArgumentType]
    )


@dataclass(slots=True)
class Outcome:
    """Every request that was meant to start while it was measured, on the monotonic clock.

    An open load's requests start when they were due, whenever they were sent.
    """

    begin: float
    end: float
    starts: "array[float]" = field(default_factory=lambda: array("d"))
    ends: "array[float]" = field(default_factory=lambda: array("d"))
    kinds: "array[int]" = field(default_factory=lambda: array("h"))
    """For each, the index of its kind: 0 is a right answer."""
    names: list[str] = field(default_factory=lambda: ["ok"])
    waits: "array[float]" = field(default_factory=lambda: array("d"))
    """Open load: how long each was late because the generator was, in seconds."""
    queued: int = 0
    """Open load: how many waited because all connections were in use."""
    cpu: float = 0.0
    """Of the generator's process, while it was measured, in seconds."""
    reconnects: int = 0
    was_stopped: bool = False

    def to_line(self) -> str:
        """Write the outcome as one line."""
        fields: dict[str, object] = {
            name: getattr(self, name)
            for name in ("begin", "end", "names", "queued", "cpu", "reconnects", "was_stopped")
        }
        arrays = {name: getattr(self, name).tobytes() for name in _ARRAYS}
        return json.dumps(fields | {name: _write(raw) for name, raw in arrays.items()})


_ARRAYS: Mapping[str, str] = {"starts": "d", "ends": "d", "kinds": "h", "waits": "d"}


def read_outcome(line: str) -> Outcome:
    """Read what `to_line` wrote."""
    fields = cast("dict[str, object]", json.loads(line))
    for name, kind in _ARRAYS.items():
        fields[name] = array(kind, base64.b64decode(str(fields[name])))  # pyright: ignore[reportCallIssue, reportArgumentType]
    return Outcome(**fields)  # pyright: ignore[reportArgumentType]


def _write(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
