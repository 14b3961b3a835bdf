"""Brings the answers to one request together, whichever comes first, in bounded memory and time."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from graphc.compare.observer import Seen
from graphc.compare.room import Room, no_limit

Pair = tuple[Seen, Seen]


@dataclass(frozen=True, slots=True)
class PairingLimits:
    """What waits for its counterpart: at most so many requests and bytes, and no longer than this."""

    requests: int = 4096
    bytes: int = 64 << 20
    seconds: float = 60.0


@dataclass(slots=True)
class _Waiting:
    since: float
    live: Seen | None = None
    shadows: dict[str, Seen] = field(default_factory=dict[str, Seen])
    paired: set[str] = field(default_factory=set[str])
    size: int = 0

    def is_done(self) -> bool:
        """Say whether nothing more will come."""
        expected = self.live.mirrored if self.live else None
        return expected is not None and not self.shadows and self.paired.issuperset(expected)


class Pairing:
    """Answers that wait for their counterparts; what is given up is counted."""

    def __init__(self, limits: PairingLimits, left_out: Counter[str], room: Room = no_limit) -> None:
        self._limits, self._left_out, self._room = limits, left_out, room
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """Return how many requests wait."""
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """About how many bytes wait."""
        return self._bytes

    def add(self, seen: Seen, now: float) -> list[Pair]:
        """Take an answer; return the pairs that it completes, the live answer first."""
        waiting = self._waiting.get(seen.request)
        if waiting is None:
            if not seen.shadow and seen.mirrored == ():
                return []
            waiting = self._waiting[seen.request] = _Waiting(now)
        pairs = list(self._place(waiting, seen))
        if waiting.is_done():
            self._drop(seen.request)
        self.expire(now)
        return pairs

    def expire(self, now: float) -> None:
        """Give up what has waited too long, and the oldest where too much waits."""
        limits = self._limits
        most = min(limits.bytes, self._room())
        while self._waiting:
            request, oldest = next(iter(self._waiting.items()))
            late = oldest.since + limits.seconds < now
            if not late and len(self._waiting) <= limits.requests and self._bytes <= most:
                return
            self._give_up(oldest)
            self._drop(request)

    def _place(self, waiting: _Waiting, seen: Seen) -> Iterator[Pair]:
        if not seen.shadow:
            yield from self._place_live(waiting, seen)
        elif seen.predictor in waiting.paired or seen.predictor in waiting.shadows:
            self._left_out["duplicate"] += 1
        elif waiting.live:
            waiting.paired.add(seen.predictor)
            yield waiting.live, seen
        else:
            waiting.shadows[seen.predictor] = seen
            self._hold(waiting, seen)

    def _place_live(self, waiting: _Waiting, seen: Seen) -> Iterator[Pair]:
        if waiting.live:
            self._left_out["duplicate"] += 1
            return
        waiting.live = seen
        waiting.paired |= waiting.shadows.keys()
        yield from ((seen, shadow) for shadow in waiting.shadows.values())
        waiting.shadows.clear()
        self._bytes -= waiting.size
        waiting.size = 0
        self._hold(waiting, seen)

    def _hold(self, waiting: _Waiting, seen: Seen) -> None:
        waiting.size += size_of(seen)
        self._bytes += size_of(seen)

    def _drop(self, request: str) -> None:
        self._bytes -= self._waiting.pop(request).size

    def _give_up(self, waiting: _Waiting) -> None:
        live = waiting.live
        if live and live.mirrored is None and not waiting.paired:
            self._left_out["live alone"] += 1
        expected = set((live.mirrored if live else None) or ())
        if unpaired := len(waiting.shadows) + len(expected - waiting.paired):
            self._left_out["unpaired"] += unpaired


def size_of(seen: Seen) -> int:
    """Return about how many bytes an answer holds."""
    return len(seen.body) + len(seen.asked) + len(seen.request) + 512
