"""What the engine does for its clients, whichever protocol they speak."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Final, Protocol

from graphc.engine.client import CallError, CallLateError, Target, UnitClient
from graphc.engine.headers import Headers
from graphc.engine.message import Answer, Message, executor_error, v2_error
from graphc.engine.metrics import Metrics
from graphc.engine.streams import BrokenStreamError, UnitStream
from graphc.engine.walk import walk, walk_to_last
from graphc.engine.wire_json import encode
from graphc.seldon.unit import SeldonUnit
from graphc.source.located import Plain

_PROBE_S: Final = 2.0
SERVER_NAME: Final = "graphc"
EXTENSIONS: Final = ("binary_tensor_data",)

Metadata = Mapping[str, Plain]


@dataclass(frozen=True, slots=True)
class ServedGraph:
    """The name by which clients call the whole tree, and the metadata that they get for it."""

    name: str
    metadata: Metadata | Callable[[], Metadata]

    def describe(self) -> Metadata:
        """Return the metadata."""
        return self.metadata() if callable(self.metadata) else self.metadata


class Rendered(Protocol):
    """Something that writes what was counted."""

    async def render(self) -> bytes:
        """Write everything in Prometheus's text form."""
        ...


class Watch(Protocol):
    """Who is told of answers; it keeps none of them waiting, and raises nothing."""

    def note(self, headers: Headers, asked: Message, answer: Answer, began: datetime) -> None:
        """Take note of an answer that has been given to a request."""
        ...


class Serving(Protocol):
    """What a front offers its clients: one tree of units, or all versions of a graph."""

    @property
    def graph(self) -> ServedGraph | None:
        """The name and metadata of the whole."""
        ...

    @property
    def metrics(self) -> Rendered:
        """What was counted."""
        ...

    @property
    def as_seldon(self) -> bool:
        """Whether raw tensors go on to the units as they came, who cannot be told of them."""
        ...

    @property
    def alone(self) -> bool:
        """Whether a unit stands alone, with nothing in front of it on a cluster, and answers all for itself."""
        ...

    def of_version(self, model: str, version: str) -> "Serving | Answer":
        """Return what answers for a version of a model, or the answer where there is none."""
        ...

    async def infer(self, message: Message, headers: Headers, model: str | None) -> Answer:
        """Answer a request."""
        ...

    async def stream(self, message: Message, headers: Headers, model: str | None) -> UnitStream | Answer:
        """Answer a request in parts, or as a whole where there are none."""
        ...

    async def pass_on(self, message: Message, headers: Headers) -> Answer:
        """Have the unit that stands alone answer anything else."""
        ...

    async def metadata(self, model: str, headers: Headers) -> Answer:
        """Describe a model."""
        ...

    async def model_ready(self, model: str, headers: Headers) -> Answer:
        """Say whether a model is ready."""
        ...

    async def ready(self) -> bool:
        """Say whether all is ready."""
        ...


@dataclass(frozen=True, slots=True)
class Service:
    """One tree of units behind one client."""

    root: SeldonUnit
    client: UnitClient
    metrics: Metrics
    graph: ServedGraph | None = None
    full_health_checks: bool = False
    as_seldon: bool = False
    """Whether it refuses what the executor cannot do: raw tensors, and a graph's own metadata and readiness."""
    alone: bool = False
    """Whether its unit answers for itself, as it does on a cluster without an executor."""
    watch: Watch | None = None
    """Who is told of answers, once they are there."""

    def of_version(self, model: str, version: str) -> "Serving | Answer":
        """Return itself for a version of the graph that its metadata has; the executor has no path for any."""
        if self.as_seldon:
            return Answer(404, Message(b"404 page not found\n", "text/plain; charset=utf-8"))
        known = self.graph.describe().get("versions") if self.graph and model == self.graph.name else None
        if isinstance(known, list) and version in known:
            return self
        return v2_error(f"`{model}` has no version `{version[:64]}` here", 404)

    async def infer(self, message: Message, headers: Headers, model: str | None) -> Answer:
        """Send a request through the tree; a given model name is asked of every unit."""
        began = datetime.now(UTC) if self.watch is not None else None
        started = perf_counter()
        if message.asked is not None:
            answer = await self.pass_on(message, headers)
        else:
            answer = await walk(self.root, message, self.client, headers, model)
        self.metrics.count_request(answer.status, perf_counter() - started)
        if self.watch is not None and began is not None:
            self.watch.note(headers, message, answer, began)
        return answer

    async def stream(self, message: Message, headers: Headers, model: str | None) -> UnitStream | Answer:
        """Send a request through the tree, and return what the last unit answers in parts.

        Nobody is told of it: what compares versions compares whole answers.
        """
        started = perf_counter()
        found = await self._open_stream(message, headers, model)
        if isinstance(found, UnitStream) and not found.has_events:
            found = await _read_whole(found)
        if isinstance(found, Answer):
            self.metrics.count_request(found.status, perf_counter() - started)
            return found
        close = found.on_close

        def count() -> None:
            self.metrics.count_request(found.status, perf_counter() - started)
            if close is not None:
                close()

        found.on_close = count
        return found

    async def _open_stream(
        self, message: Message, headers: Headers, model: str | None
    ) -> UnitStream | Answer:
        try:
            if message.asked is not None:
                return await self.client.pass_stream(self.root, message, headers)
            found = await walk_to_last(self.root, message, self.client, headers, model)
            return found if isinstance(found, Answer) else await self.client.stream(*found, headers)
        except CallError as error:
            return v2_error(str(error), 504 if isinstance(error, CallLateError) else 503)

    async def pass_on(self, message: Message, headers: Headers) -> Answer:
        """Have the only unit answer in its own way."""
        try:
            return await self.client.pass_on(self.root, message, headers)
        except CallError as error:
            return v2_error(str(error), 504 if isinstance(error, CallLateError) else 503)

    async def metadata(self, model: str, headers: Headers) -> Answer:
        """Describe the graph, or ask the unit of that name to describe itself."""
        if self.graph and model == self.graph.name and not self.as_seldon:
            return Answer(200, Message(encode(dict(self.graph.describe()))))
        return await self._ask(model, "metadata", headers)

    async def model_ready(self, model: str, headers: Headers) -> Answer:
        """Say whether the graph is ready, or ask the unit of that name."""
        if self.graph and model == self.graph.name and not self.as_seldon:
            ready = await self.ready()
            return Answer(200 if ready else 503, Message(encode({"name": model, "ready": ready})))
        return await self._ask(model, "ready", headers)

    async def ready(self) -> bool:
        """Say whether every unit listens, or, with full health checks, says that it is ready."""
        probes = (self._probe(unit) for unit in self.root.walk() if unit.endpoint)
        return all(await asyncio.gather(*probes))

    async def _ask(self, model: str, verb: str, headers: Headers) -> Answer:
        unit = self.root.find(model)
        if unit is None:
            text = f"Failed to find model {model}"
            return executor_error(text) if self.as_seldon else v2_error(text, 404)
        try:
            return await self.client.call(Target(unit, model, verb), None, headers)
        except CallError as error:
            return executor_error(str(error))

    async def _probe(self, unit: SeldonUnit) -> bool:
        try:
            async with asyncio.timeout(_PROBE_S):
                if self.full_health_checks:
                    return (await self.client.call(Target(unit, "", "health"), None, ())).status == 200
                return await _listens(unit)
        except (CallError, TimeoutError):
            return False


def is_segment(model: str) -> bool:
    """Say whether a name is one segment of a path: another could climb out of the units' models."""
    return "/" not in model and model not in {".", ".."}


async def _read_whole(found: UnitStream) -> Answer:
    """Return an answer that is none in parts: mostly a refusal."""
    try:
        return Answer(found.status, Message(await found.read()), found.headers)
    except BrokenStreamError:
        return v2_error("a unit broke off its answer", 503)
    finally:
        found.close()


async def _listens(unit: SeldonUnit) -> bool:
    if unit.endpoint is None:
        return True
    try:
        _, writer = await asyncio.open_connection(unit.endpoint.host, unit.endpoint.port)
    except OSError:
        return False
    writer.close()
    return True
