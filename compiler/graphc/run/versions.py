"""All predictors of a graph behind one front: live ones share the requests, shadows get copies of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Final, Literal
from urllib.parse import unquote

from graphc.compare.observer import NO_ANSWER, Observer, Seen
from graphc.engine.binary import RequestError, dump, load
from graphc.engine.call_walk import SeldonCalls
from graphc.engine.calls import CallClient
from graphc.engine.client import UnitClient
from graphc.engine.faults import note_fault
from graphc.engine.grpc_front import Answering
from graphc.engine.grpc_lenient import ConvertedCalls
from graphc.engine.grpc_passed import PassedCalls
from graphc.engine.headers import PUID, Headers
from graphc.engine.limits import Limits
from graphc.engine.message import Answer, Message, decompress, v2_error
from graphc.engine.metrics import Metrics
from graphc.engine.service import Rendered, ServedGraph, Service, Serving
from graphc.engine.streams import UnitStream
from graphc.engine.wire_json import WireError
from graphc.rollout.choose import Chooser
from graphc.rollout.shares import Rollout
from graphc.run.hints import Hints
from graphc.run.mirroring import Bounds, Copy, Mirrored, Shadow
from graphc.run.unit_metrics import UnitMetrics
from graphc.run.version_calls import VersionCalls, say_unknown
from graphc.run.version_metrics import VersionMetrics
from graphc.seldon.unit import SeldonUnit

Mode = Literal["executor", "unit", "lenient"]
"""What stands before the units on a cluster: Seldon's executor, nothing, or a mode that answers more than a cluster."""

OK: Final = 200


@dataclass(frozen=True, slots=True)
class Tree:
    """One predictor: its units with their endpoints, what clients are told of it, and the time a call may take."""

    root: SeldonUnit
    graph: ServedGraph
    timeout_s: float | None = None
    call_timeout_s: float | None = None
    mode: Mode = "lenient"
    version: str | None = None
    """Another name of its version than the predictor's."""


Choose = Callable[[Headers], str | None]


class Versions:
    """Serves all predictors from `start` to `stop`."""

    def __init__(
        self,
        trees: Mapping[str, Tree],
        chooser: Chooser,
        observer: Observer | None = None,
        bounds: Bounds | None = None,
        limits: Limits | None = None,
        say: Callable[[str], None] | None = None,
        units: UnitMetrics | None = None,
    ) -> None:
        self._limits, self._units = limits or Limits(), units
        self.hints = Hints(say)
        self._names = _name_versions(trees)
        self._answering: dict[str, Answering] = {}
        self._trees, self._chooser, self._observer = trees, chooser, observer
        self._bounds = bounds or Bounds()
        self._clients: list[UnitClient] = []
        self._callers: list[CallClient] = []
        self._services: dict[str, Service] = {}
        self._shadows: dict[str, Shadow] = {}
        self._metrics = VersionMetrics({})
        self._live = _find_live(chooser.rollout)

    def start(self) -> None:
        """Open the connections; called within the event loop that serves."""
        engines = {name: Metrics() for name in self._trees}
        self._metrics = VersionMetrics(engines)
        for name, tree in self._trees.items():
            client = UnitClient(engines[name], tree.timeout_s, self._limits)
            self._clients.append(client)
            self._services[name] = Service(
                tree.root,
                client,
                engines[name],
                tree.graph,
                as_seldon=tree.mode == "executor",
                alone=tree.mode == "unit",
            )
            self._open_calls(name, tree, engines[name])
        self._open_shadows()

    def _open_calls(self, name: str, tree: Tree, metrics: Metrics) -> None:
        if tree.mode == "lenient":
            self._answering[name] = ConvertedCalls(self._services[name])
            return
        calls = CallClient(metrics, tree.call_timeout_s or self._limits.unit_timeout_s)
        self._callers.append(calls)
        take = SeldonCalls if tree.mode == "executor" else PassedCalls
        self._answering[name] = take(tree.root, calls)

    def _open_shadows(self) -> None:
        for mirror in self._chooser.rollout.mirrors:
            if mirror.predictor not in self._shadows:
                tell = self._teller(mirror.predictor)
                self._shadows[mirror.predictor] = Shadow(self._services[mirror.predictor], tell, self._bounds)

    async def share(self, rollout: Rollout) -> None:
        """Share the next requests as another rollout of the same predictors and paths says."""
        self._chooser = Chooser(self._chooser.graph, rollout, self._chooser.chance)
        self._live = _find_live(rollout)
        self._open_shadows()
        mirrored = {each.predictor for each in rollout.mirrors}
        left = [self._shadows.pop(name) for name in self._shadows.keys() - mirrored]
        for shadow in left:
            await shadow.close()

    async def stop(self) -> None:
        """Close the connections; copies under way get a moment."""
        for shadow in self._shadows.values():
            await shadow.close()
        for client in [*self._clients, *self._callers]:
            await client.close()

    @property
    def grace_s(self) -> float:
        """How long requests in flight are waited for at the end: as long as a graph with a deadline may take."""
        return max(self._limits.grace_s, *(each.timeout_s or 0 for each in self._trees.values()))

    @property
    def live(self) -> frozenset[str]:
        """The predictors that answer clients."""
        return self._live

    @property
    def alone(self) -> bool:
        """Whether every version is a unit that stands without an executor."""
        return all(each.mode == "unit" for each in self._trees.values())

    @property
    def metrics(self) -> Rendered:
        """What was counted; without labels where there is one predictor alone."""
        alone = next(iter(self._services.values()))
        own = alone.metrics if len(self._services) == 1 else self._metrics
        return own if self._units is None else _Pages((own, self._units))

    @property
    def rest(self) -> Serving:
        """What answers HTTP requests below no version's path."""
        return _Entry(self, lambda headers: self._chooser.choose(headers))

    @property
    def calls(self) -> Answering:
        """What answers gRPC calls."""
        return VersionCalls(self, self._answering, lambda headers: self._chooser.choose_call(headers))

    @property
    def as_seldon(self) -> bool:
        """Whether Seldon's executor stands before the units."""
        return any(tree.mode == "executor" for tree in self._trees.values())

    @property
    def below(self) -> Mapping[str, Serving]:
        """What answers HTTP requests below the paths of versions."""
        return {path: _Entry(self, self._choose_below(path)) for path in self._chooser.rollout.paths}

    @property
    def names(self) -> Mapping[str, str]:
        """The predictors by the names of their versions; a predictor has one or two names."""
        return self._names

    def service(self, predictor: str) -> Service:
        """Return the service of one predictor."""
        return self._services[predictor]

    async def ready(self) -> bool:
        """Say whether all live predictors are ready; shadows are not waited for."""
        for name in sorted(self._live):
            if not await self._services[name].ready():
                return False
        return True

    async def infer(
        self, predictor: str, message: Message, headers: Headers, model: str | None, *, by_name: bool = False
    ) -> Answer:
        """Let a predictor answer, and send the shadows their copies once it has; of a version's own requests none."""
        drawn = () if by_name else self._chooser.mirrors()
        started = perf_counter()
        answer = await self._services[predictor].infer(message, headers, model)
        self.note(Copy(_request_id(headers), message, headers, model), predictor, answer, started, drawn)
        return answer

    def draw(self) -> tuple[str, ...]:
        """Return the shadows that get a copy of the next request."""
        return self._chooser.mirrors()

    @property
    def observes(self) -> bool:
        """Whether answers are told to somebody."""
        return self._observer is not None

    def note(
        self, copy: Copy, predictor: str, answer: Answer, started: float, drawn: tuple[str, ...]
    ) -> None:
        """Tell of an answer that began then, and offer copies of its request to the shadows drawn."""
        seconds = perf_counter() - started
        try:
            mirrored = tuple(name for name in drawn if self._offer(name, copy))
            if self._observer is not None:
                self._observer.observe(_seen(copy, predictor, answer, seconds, mirrored))
        except Exception as fault:
            # What becomes of copies and figures is no concern of the client's.
            note_fault("what follows an answer", fault)

    def _choose_below(self, path: str) -> Choose:
        return lambda headers: self._chooser.choose(headers, path)

    def _offer(self, shadow: str, copy: Copy) -> bool:
        if shadow not in self._shadows:
            # It answers clients by now.
            return False
        taken = self._shadows[shadow].offer(copy)
        if not taken:
            self._metrics.count_copy(shadow, "dropped")
        return taken

    def _teller(self, shadow: str) -> Callable[[Mirrored], None]:
        def tell(mirrored: Mirrored) -> None:
            self._metrics.count_copy(shadow, mirrored.outcome)
            if self._observer is not None:
                self._observer.observe(_seen(mirrored.copy, shadow, mirrored.answer, mirrored.seconds))

        return tell


@dataclass(frozen=True, slots=True)
class _Pages:
    """Pages of metrics one after another; no metric is on two of them."""

    each: tuple[Rendered, ...]

    async def render(self) -> bytes:
        return b"".join([await page.render() for page in self.each])


@dataclass(frozen=True, slots=True)
class _Entry:
    """One way in: over HTTP, below a version's path, or over gRPC."""

    versions: Versions
    choose: Choose
    by_name: bool = False

    @property
    def graph(self) -> ServedGraph | None:
        chosen = self.choose(())
        return self.versions.service(chosen).graph if chosen is not None else None

    @property
    def metrics(self) -> Rendered:
        return self.versions.metrics

    @property
    def as_seldon(self) -> bool:
        return self.versions.as_seldon

    def of_version(self, model: str, version: str) -> "Serving | Answer":
        names = self.versions.names
        if self.alone and len(names) == 1:
            # The unit knows its version as well, and says so in its own words.
            return self
        predictor = names.get(version)
        if predictor is None:
            return v2_error(say_unknown(model, version, self.versions.names), 404)
        return _Entry(self.versions, lambda _: predictor, by_name=True)

    @property
    def alone(self) -> bool:
        return self.versions.alone

    async def pass_on(self, message: Message, headers: Headers) -> Answer:
        predictor = self.choose(headers)
        if predictor is None:
            return _nothing()
        service = self.versions.service(predictor)
        answer = await service.pass_on(message, headers)
        return _list_versions(answer, service.graph, _described(message), self.versions.names)

    async def infer(self, message: Message, headers: Headers, model: str | None) -> Answer:
        predictor = self.choose(headers)
        if predictor is None:
            return _nothing()
        answer = await self.versions.infer(predictor, message, headers, model, by_name=self.by_name)
        if self.as_seldon and answer.status != OK and not message.is_request:
            self.versions.hints.say("raw")
        return answer

    async def stream(self, message: Message, headers: Headers, model: str | None) -> UnitStream | Answer:
        predictor = self.choose(headers)
        if predictor is None:
            return _nothing()
        return await self.versions.service(predictor).stream(message, headers, model)

    async def metadata(self, model: str, headers: Headers) -> Answer:
        predictor = self.choose(headers)
        if predictor is None:
            return _nothing()
        service = self.versions.service(predictor)
        answer = await service.metadata(model, headers)
        return _list_versions(answer, service.graph, model, self.versions.names)

    async def model_ready(self, model: str, headers: Headers) -> Answer:
        predictor = self.choose(headers)
        return await self.versions.service(predictor).model_ready(model, headers) if predictor else _nothing()

    async def ready(self) -> bool:
        return await self.versions.ready()


def _find_live(rollout: Rollout) -> frozenset[str]:
    return frozenset(share.predictor for way in rollout.ways for share in way.shares)


def _name_versions(trees: Mapping[str, Tree]) -> Mapping[str, str]:
    names = {name: name for name in trees}
    return names | {tree.version: name for name, tree in trees.items() if tree.version}


def _described(message: Message) -> str:
    """Return the model whose metadata a client asked for, if that is what it asked."""
    asked = message.asked
    path = asked.path.partition("?")[0] if asked is not None and asked.method == "GET" else ""
    name = path.removeprefix("/v2/models/").partition("/versions/")[0]
    return unquote(name) if path.startswith("/v2/models/") and "/" not in name else ""


def _list_versions(answer: Answer, graph: ServedGraph | None, model: str, names: Mapping[str, str]) -> Answer:
    """Return a graph's metadata with all of its versions: a unit knows its own alone."""
    if answer.status != OK or graph is None or model != graph.name or len(names) == 1:
        return answer
    try:
        fields = load(decompress(answer.message))
    except (RequestError, WireError):
        return answer
    message = Message(dump({**fields, "versions": [*names]}), answer.message.content_type)
    return Answer(OK, message, answer.headers)


def _nothing() -> Answer:
    return v2_error("no version answers at this path with these headers", 404)


def _request_id(headers: Headers) -> str:
    return next((value for name, value in headers if name.lower() == PUID.lower()), "")


def _seen(
    copy: Copy,
    predictor: str,
    answer: Answer | None,
    seconds: float,
    mirrored: tuple[str, ...] | None = None,
) -> Seen:
    body = answer.message if answer is not None else Message(b"")
    return Seen(
        request=copy.request,
        predictor=predictor,
        shadow=mirrored is None,
        status=NO_ANSWER if answer is None else answer.status,
        seconds=seconds,
        body=body.body,
        content_encoding=body.content_encoding,
        asked=copy.message.body if mirrored is not None else b"",
        mirrored=mirrored,
    )
