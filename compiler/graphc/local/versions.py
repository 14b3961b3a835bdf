"""All predictors of a graph behind one front: live ones share the requests, shadows get copies of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter

from graphc.compare.observer import NO_ANSWER, Observer, Seen
from graphc.engine.calls import CallClient
from graphc.engine.client import UnitClient
from graphc.engine.grpc_front import Answering
from graphc.engine.grpc_lenient import ConvertedCalls
from graphc.engine.grpc_passed import PassedCalls
from graphc.engine.headers import PUID, Headers
from graphc.engine.limits import Limits
from graphc.engine.message import Answer, Message, v2_error
from graphc.engine.metrics import Metrics
from graphc.engine.service import Graph, Rendered, Service, Serving
from graphc.engine.tree import Unit
from graphc.local.mirroring import Bounds, Copy, Mirrored, Shadow
from graphc.local.version_metrics import VersionMetrics
from graphc.rollout.choose import Chooser
from graphc.rollout.model import Rollout


@dataclass(frozen=True, slots=True)
class Tree:
    """One predictor: its units with their endpoints, what clients are told of it, and the time a call may take."""

    root: Unit
    graph: Graph
    timeout_s: float | None = None
    alone: bool = False
    """Whether its only unit stands without an executor."""


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
    ) -> None:
        self._limits = limits or Limits()
        self._trees, self._chooser, self._observer = trees, chooser, observer
        self._bounds = bounds or Bounds()
        self._clients: list[UnitClient] = []
        self._calls = CallClient(Metrics())
        self._services: dict[str, Service] = {}
        self._shadows: dict[str, Shadow] = {}
        self._metrics = VersionMetrics({})
        self._live = _find_live(chooser.rollout)

    def start(self) -> None:
        """Open the connections; called within the event loop that serves."""
        engines = {name: Metrics() for name in self._trees}
        self._metrics = VersionMetrics(engines)
        for name, tree in self._trees.items():
            self._calls = CallClient(engines[name], tree.timeout_s or self._limits.unit_timeout_s)
            client = UnitClient(engines[name], tree.timeout_s, self._limits)
            self._clients.append(client)
            self._services[name] = Service(tree.root, client, engines[name], tree.graph, alone=tree.alone)
        self._open_shadows()

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
        for client in self._clients:
            await client.close()
        await self._calls.close()

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
        return all(each.alone for each in self._trees.values())

    @property
    def metrics(self) -> Rendered:
        """What was counted; without labels where there is one predictor alone."""
        alone = next(iter(self._services.values()))
        return alone.metrics if len(self._services) == 1 else self._metrics

    @property
    def rest(self) -> Serving:
        """What answers HTTP requests below no version's path."""
        return _Entry(self, lambda headers: self._chooser.choose(headers))

    @property
    def calls(self) -> Answering:
        """What answers gRPC calls: the unit itself where it stands alone and is the only version."""
        if self.alone and len(self._trees) == 1:
            return PassedCalls(next(iter(self._trees.values())).root, self._calls)
        return ConvertedCalls(_Entry(self, lambda headers: self._chooser.choose_call(headers)))

    @property
    def below(self) -> Mapping[str, Serving]:
        """What answers HTTP requests below the paths of versions."""
        return {path: _Entry(self, self._choose_below(path)) for path in self._chooser.rollout.paths}

    def service(self, predictor: str) -> Service:
        """Return the service of one predictor."""
        return self._services[predictor]

    async def ready(self) -> bool:
        """Say whether all live predictors are ready; a shadow keeps nobody waiting."""
        for name in sorted(self._live):
            if not await self._services[name].ready():
                return False
        return True

    async def infer(self, predictor: str, message: Message, headers: Headers, model: str | None) -> Answer:
        """Let a predictor answer, and send the shadows their copies once it has."""
        drawn = self._chooser.mirrors()
        started = perf_counter()
        answer = await self._services[predictor].infer(message, headers, model)
        seconds = perf_counter() - started
        copy = Copy(_request_id(headers), message, headers, model)
        mirrored = tuple(name for name in drawn if self._offer(name, copy))
        if self._observer is not None:
            self._observer.observe(_seen(copy, predictor, answer, seconds, mirrored))
        return answer

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
class _Entry:
    """One way in: over HTTP, below a version's path, or over gRPC."""

    versions: Versions
    choose: Choose

    @property
    def graph(self) -> Graph | None:
        chosen = self.choose(())
        return self.versions.service(chosen).graph if chosen is not None else None

    @property
    def metrics(self) -> Rendered:
        return self.versions.metrics

    @property
    def as_seldon(self) -> bool:
        return False

    @property
    def alone(self) -> bool:
        return self.versions.alone

    async def pass_on(self, message: Message, headers: Headers) -> Answer:
        predictor = self.choose(headers)
        return await self.versions.service(predictor).pass_on(message, headers) if predictor else _nothing()

    async def infer(self, message: Message, headers: Headers, model: str | None) -> Answer:
        predictor = self.choose(headers)
        if predictor is None:
            return _nothing()
        return await self.versions.infer(predictor, message, headers, model)

    async def metadata(self, model: str, headers: Headers) -> Answer:
        predictor = self.choose(headers)
        return await self.versions.service(predictor).metadata(model, headers) if predictor else _nothing()

    async def model_ready(self, model: str, headers: Headers) -> Answer:
        predictor = self.choose(headers)
        return await self.versions.service(predictor).model_ready(model, headers) if predictor else _nothing()

    async def ready(self) -> bool:
        return await self.versions.ready()


def _find_live(rollout: Rollout) -> frozenset[str]:
    return frozenset(share.predictor for way in rollout.ways for share in way.shares)


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
