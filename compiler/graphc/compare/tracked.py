"""The graphs that a service has heard of: so many at most, fewer of one namespace, and no silent ones."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from graphc.compare.contents import Contents
from graphc.compare.intake import Intake, IntakeLimits
from graphc.compare.recorder import Archive, Recorder, RecorderOptions
from graphc.compare.room import SharedRoom

Key = tuple[str, str]
"""The namespace and the name of a graph."""

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class TrackedLimits:
    """How many graphs, how many bytes of theirs wait, and the seconds after which a silent one is put away."""

    graphs: int = 128
    of_namespace: int = 32
    waiting_bytes: int = 192 * MIB
    idle_s: float = 3600.0
    calm_s: float = 60.0
    """A graph that was heard of so recently makes room for no other."""


class Runs(Protocol):
    """Begins the run in which a graph's figures are kept."""

    def begin(self, name: str, started: float) -> "tuple[str, Archive | None]":
        """Return the run's name and where its figures go; none where they are not kept."""
        ...


@dataclass(slots=True)
class Tracked:
    """One graph: what joins its events, what compares its answers, and when it was heard of last."""

    recorder: Recorder
    intake: Intake
    run: str
    started: float
    contents: Contents
    heard: float


@dataclass(slots=True)
class TrackedGraphs:
    """The graphs that are compared now."""

    runs: Runs
    limits: TrackedLimits
    intake: IntakeLimits
    evicted: int = 0
    """How many were put away to make room, or because nothing was heard of them."""
    failures: Counter[str] = field(default_factory=Counter[str])
    _graphs: dict[Key, Tracked] = field(default_factory=dict[Key, Tracked])
    _ending: "set[asyncio.Task[None]]" = field(default_factory=set["asyncio.Task[None]"])
    _room: SharedRoom = field(init=False)

    def __post_init__(self) -> None:
        self._room = SharedRoom(self.limits.waiting_bytes)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._graphs)

    def __iter__(self) -> Iterator[tuple[Key, Tracked]]:
        """Yield each graph with its key."""
        return iter(list(self._graphs.items()))

    def find(self, key: Key, options: RecorderOptions, now: float) -> Tracked | None:
        """Return a graph, which begins to be compared if it is new; None where there is no room for it."""
        known = self._graphs.get(key)
        if known is None:
            if not self._make_room(key[0], now):
                return None
            known = self._begin(key, options, Contents(), now)
        known.heard = now
        return known

    def begin_anew(self, key: Key, options: RecorderOptions, now: float) -> Tracked:
        """Put the figures of a graph away and begin others; they stay in the database as a run."""
        contents = self._graphs[key].contents
        self._end(key)
        return self._begin(key, options, contents, now)

    def tend(self, now: float) -> None:
        """Give up events that waited too long, and graphs that have sent nothing for long."""
        for key, graph in self:
            graph.intake.expire(now)
            if now - graph.heard > self.limits.idle_s:
                self._evict(key)

    async def close(self) -> None:
        """Compare what waits, and store it."""
        for key, _ in self:
            self._end(key)
        await asyncio.gather(*self._ending)

    def _begin(self, key: Key, options: RecorderOptions, contents: Contents, now: float) -> Tracked:
        started = time.time()
        run, archive = self.runs.begin("/".join(key)[:253], started)
        recorder = Recorder(options, archive, room=self._room)
        intake = Intake(recorder, self.intake, room=self._room)
        found = self._graphs[key] = Tracked(recorder, intake, run, started, contents, now)
        self._room.sharers = len(self._graphs)
        return found

    def _make_room(self, namespace: str, now: float) -> bool:
        """Say whether one more graph of a namespace may be compared, after putting a silent one away if need be."""
        mine = [key for key in self._graphs if key[0] == namespace]
        if len(mine) >= self.limits.of_namespace:
            return self._evict_silent(mine, now)
        if len(self._graphs) < self.limits.graphs:
            return True
        return self._evict_silent(self._of_largest_namespace(), now)

    def _of_largest_namespace(self) -> list[Key]:
        """Return the graphs of the namespace that has most: who fills the service makes room."""
        counts = Counter(namespace for namespace, _ in self._graphs)
        largest = max(counts, key=lambda namespace: counts[namespace])
        return [key for key in self._graphs if key[0] == largest]

    def _evict_silent(self, keys: list[Key], now: float) -> bool:
        oldest = min(keys, key=lambda key: self._graphs[key].heard)
        if now - self._graphs[oldest].heard < self.limits.calm_s:
            return False
        self._evict(oldest)
        return True

    def _evict(self, key: Key) -> None:
        self.evicted += 1
        self._end(key)

    def _end(self, key: Key) -> None:
        # What is still to be compared takes seconds, and a database its time.
        ending = asyncio.create_task(asyncio.to_thread(self._graphs.pop(key).recorder.close))
        self._room.sharers = len(self._graphs)
        self._ending.add(ending)
        ending.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._ending.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.failures["run not ended"] += 1
