"""MLServer as the host of the data planes: the one module that knows how MLServer puts its servers together."""
# pyright: reportMissingTypeStubs=false, reportPrivateUsage=false

import asyncio
import gc
import logging
import math
import os
import pathlib
import sys
import threading
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import Any, Final, cast
from urllib.parse import quote

import uvicorn
from mlserver.cloudevents import CloudEventsMiddleware
from mlserver.context import model_context
from mlserver.errors import MLServerError
from mlserver.grpc import dataplane_pb2
from mlserver.grpc.server import GRPCServer
from mlserver.logging import configure_logger
from mlserver.repository.factory import ModelRepositoryFactory
from mlserver.rest import RESTServer
from mlserver.server import MLServer
from mlserver.settings import ModelSettings, Settings
from mlserver.types import InferenceResponse, RepositoryIndexRequest
from prometheus_client import Counter, Histogram, Summary
from starlette_exporter import PrometheusMiddleware

from graphc_runtimes import region_model as models
from graphc_runtimes.desk import Desk, Pace
from graphc_runtimes.doors import Doors
from graphc_runtimes.environment import read_grace, read_versions
from graphc_runtimes.faults import watch_loop, watch_threads
from graphc_runtimes.ledger import Ledger, Tally
from graphc_runtimes.limits import Limits
from graphc_runtimes.metrics import keep_published, publish
from graphc_runtimes.plane import DataPlane, Features, Path
from graphc_runtimes.protocol import HttpProtocol
from graphc_runtimes.protocol import Settings as ProtocolSettings
from graphc_runtimes.region_model import RegionModel
from graphc_runtimes.room import Room
from graphc_runtimes.rpc import RpcPlane, Served
from graphc_runtimes.rpc_doors import RpcDoors, make_options
from graphc_runtimes.rpc_messages import Messages
from graphc_runtimes.stream_plane import StreamPlane

_THRESHOLD: Final = (20_000, 20, 50)
"""How rarely cycles are looked for: a request makes none, and looking takes longer than answering one."""
_SLACK_S: Final = 2
"""Seconds that the process has to end in once nothing more is waited for."""
_LONGEST_ID: Final = 1024
"""Longer ids are in an answer's body alone: clients and proxies take heads of a few kilobytes."""
_VERBS: Final = {"infer": "infer", "aggregate": "aggregate", "route": "route", "generate": "infer"}
"""What is asked of a model at the end of a path; MLServer has `generate` as another word for `infer`."""
_STREAMED: Final = {"infer_stream": "infer", "generate_stream": "infer", "aggregate_stream": "aggregate"}
"""The same for answers in parts; the last is for graphc's engine, where a combiner answers the client."""


async def serve(folder: str, limits: Limits) -> None:
    """Start MLServer on a folder as its own command does, with the data plane in front."""
    # MLServer's default is meant for development: it logs every request and shows tracebacks to clients.
    os.environ.setdefault("MLSERVER_DEBUG", "false")
    configure_logger()
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    gc.set_threshold(*_THRESHOLD)
    watch_loop(asyncio.get_running_loop())
    watch_threads()
    keep_published(asyncio.get_running_loop())
    # MLServer ends all of its servers, and uvicorn would take its signals from it.
    uvicorn.Server.capture_signals = _leave_signals
    settings = read_settings(folder)
    await Host(settings, limits).start(await list_models(settings))


# Not taken from MLServer's own command: what that imports beside them takes longer than all models of a graph.


def read_settings(folder: str) -> Settings:
    """Return MLServer's settings, as its command reads them: of a file in the folder, else of the environment."""
    sys.path[:0] = [folder, "."]
    file = pathlib.Path(folder) / "settings.json"
    settings = Settings.model_validate_json(file.read_bytes()) if file.is_file() else Settings()
    settings.model_repository_root = folder
    return settings


async def list_models(settings: Settings) -> list[ModelSettings]:
    """Return what is loaded at the start: of the environment, or of the folder's files."""
    if not settings.load_models_at_startup:
        return []
    return list(await ModelRepositoryFactory.resolve_model_repository(settings).list())


@contextmanager
def _leave_signals(self: uvicorn.Server) -> Generator[None]:  # noqa: ARG001 - as uvicorn's own method has it
    yield


def _is_news(record: logging.LogRecord) -> bool:
    """Say whether a line of uvicorn's is no traceback of an end that says in a line of its own why it came."""
    return "SystemExit: graphc: " not in record.getMessage()


class Host(MLServer):
    """MLServer whose servers answer inference on data planes of our own."""

    def __init__(self, settings: Settings, limits: Limits) -> None:
        self._limits, self._grace_s, self._is_ending = limits, read_grace(), False
        super().__init__(settings)

    async def stop(self, sig: int | None = None) -> None:
        """Take no more requests, answer those that have begun, for as long as the grace is, and end."""
        if self._is_ending:
            return
        self._is_ending = True
        # A thread that does not come to its end would hold the process.
        last = threading.Timer(self._grace_s + _SLACK_S, os._exit, (0,))
        last.daemon = True
        last.start()
        await asyncio.gather(self._grpc_server.stop(sig), self._rest_server.stop(sig))
        publish()
        if self._metrics_server:
            await self._metrics_server.stop(sig)

    def _create_servers(self) -> None:
        super()._create_servers()
        if not is_plain(self._settings):
            return
        given = self._settings, self._data_plane, self._model_repository_handlers
        rest, rpc = _RestServer(*given), _RpcServer(*given)
        self._rest_server, self._grpc_server = rest, rpc
        rest.grace_s = rpc.grace_s = self._grace_s
        names = getattr(self._model_repository, "names", ())
        catalog = _Catalog(self._data_plane, self._model_repository_handlers, names, read_versions())
        _give_planes(rest, rpc, self._limits, _Meter(self._settings, self._data_plane), catalog)


def is_plain(settings: Settings) -> bool:
    """Say whether nothing was asked of MLServer that has to see every request."""
    return not (settings.cache_enabled or settings.tracing_server or settings.cors_settings)


def _give_planes(
    rest: "_RestServer", rpc: "_RpcServer", limits: Limits, meter: "_Meter", catalog: "_Catalog"
) -> None:
    """Put data planes in front of both servers, which share what may wait."""
    settings, desk = rest._settings, Desk(limits.threads, limits.queue)
    plane = DataPlane(desk, meter, Features(settings.gzip_enabled, settings.root_path))
    streams = StreamPlane(desk, meter, limits.threads + limits.queue, settings.root_path)
    room, messages = Room(limits.in_flight), Messages(cast("Any", dataplane_pb2).DESCRIPTOR)
    rpc_plane = RpcPlane(desk, meter, messages, room, names=catalog.names, versions=catalog.versions)
    rest.plane_settings = ProtocolSettings(
        plane,
        max_body=limits.max_body,
        max_head=limits.max_head,
        patience_s=limits.patience_s,
        idle_s=limits.idle_s,
        least_rate=limits.least_rate,
        connections=limits.connections,
        room=room,
        streams=streams,
        others=Doors(catalog, meter.count_other, settings.root_path),
    )
    rpc.plane, rpc.doors, rpc.limits = rpc_plane, RpcDoors(catalog, messages), limits
    paces: dict[int, tuple[Pace, Pace]] = {}

    def add(model: RegionModel) -> None:
        unit = model.unit
        assert unit is not None
        # A tensor's bytes are fewer as they are than as text: how long a size takes differs.
        pace, rpc_pace = paces.setdefault(id(unit), (Pace(unit.region), Pace(unit.region)))
        head, context = _Heads(settings, model), _make_context(model)
        # Models are there to stay: the collector of cycles need not look at them with every request.
        gc.collect()
        gc.freeze()
        catalog.add(model.name)
        start = f"/v2/models/{quote(model.name, safe='')}"
        for place in ("", *(f"/versions/{quote(each, safe='')}" for each in catalog.versions)):
            for verb, meant in _VERBS.items():
                plane.add(Path(model, model.name, meant, f"{start}{place}/{verb}", head, context, pace))
            for verb, meant in _STREAMED.items():
                streams.add(Path(model, model.name, meant, f"{start}{place}/{verb}", head, context, pace))
        rpc_plane.add(Served(model, model.name, head.pairs, context, rpc_pace))

    models.LISTENERS.append(add)


class _Catalog:
    """What MLServer knows of its models."""

    def __init__(
        self, data_plane: Any, repository: Any, names: Collection[str], versions: Sequence[str]
    ) -> None:
        self._data_plane, self._repository, self._versions = data_plane, repository, versions
        self._named, self._loaded = set(names), set[str]()

    @property
    def names(self) -> Collection[str]:
        """The names that models are called by, loaded or not."""
        return self._named

    @property
    def versions(self) -> Sequence[str]:
        """The versions that each model has."""
        return self._versions

    def add(self, name: str) -> None:
        """Know a model that has loaded."""
        self._named.add(name)
        self._loaded.add(name)

    async def is_ready(self) -> bool:
        """Say whether everything is loaded: MLServer takes itself for ready before it has begun to."""
        return self._loaded == self._named and bool(await self._data_plane.ready())

    async def is_model_ready(self, name: str) -> bool:
        """Say whether a model is loaded."""
        try:
            return bool(await self._data_plane.model_ready(name))
        except MLServerError:
            return False

    async def describe(self) -> object:
        """Describe the server."""
        return _to_json(await self._data_plane.metadata())

    async def describe_model(self, name: str) -> object:
        """Describe a model that is ready."""
        found = await self._data_plane.model_metadata(name)
        if self._versions:
            found.versions = list(self._versions)
        return _to_json(found)

    async def index(self, *, is_ready: bool) -> object:
        """List the models, or those that are ready."""
        return _to_json(await self._repository.index(RepositoryIndexRequest(ready=is_ready)))


def _to_json(found: Any) -> object:
    # As MLServer writes it over REST: without what is not set.
    return found.model_dump(mode="json", exclude_unset=True, exclude_none=True)


class _RestServer(RESTServer):
    """MLServer's REST server on an HTTP protocol of our own."""

    plane_settings: ProtocolSettings
    grace_s: float

    def _get_config(self) -> uvicorn.Config:
        config = super()._get_config()
        config.timeout_graceful_shutdown = math.ceil(self.grace_s)
        config.http = type("UnitProtocol", (HttpProtocol,), {"settings": self.plane_settings})
        return config


class _RpcServer(GRPCServer):
    """MLServer's gRPC server, which answers inference on a plane of our own."""

    plane: RpcPlane
    doors: RpcDoors
    limits: Limits
    grace_s: float

    async def stop(self, sig: int | None = None) -> None:  # noqa: ARG002 - as MLServer has it
        """Take no more calls, and wait for those that have begun."""
        await self._server.stop(self.grace_s)

    def _create_server(self) -> Any:
        server = super()._create_server()
        self.plane.install(server)
        self.doors.install(server)
        return server

    def _get_options(self) -> list[tuple[str, Any]]:
        return list((make_options(self.limits) | dict(super()._get_options())).items())


def _make_context(model: RegionModel) -> Context:
    """Return a context in which log lines name the model."""
    context = copy_context()
    context.run(lambda: model_context(model.settings).__enter__())
    return context


class _Heads:
    """The headers that MLServer gives an inference's answer: those of a cloud event."""

    def __init__(self, settings: Settings, model: RegionModel) -> None:
        response = InferenceResponse(model_name=model.name, outputs=[])
        CloudEventsMiddleware(settings).response_middleware(response, model.settings)
        found = (response.parameters.headers if response.parameters else None) or {}
        self._pairs = [(name.lower(), str(value)) for name, value in found.items()]
        lines = (f"{name}: {value}\r\n" for name, value in self._pairs)
        self._fixed = "".join(lines).encode("latin-1", "replace")

    def __call__(self, identity: str) -> bytes:
        """Return the headers of the answer with an id."""
        if not _is_told(identity):
            return self._fixed
        given = identity.encode()
        return b"%bce-id: %b\r\nce-requestid: %b\r\n" % (self._fixed, given, given)

    def pairs(self, identity: str) -> list[tuple[str, str]]:
        """Return the headers of the answer with an id, one by one."""
        if not _is_told(identity):
            return self._pairs
        return [*self._pairs, ("ce-id", identity), ("ce-requestid", identity)]


def _is_told(identity: str) -> bool:
    return 0 < len(identity) <= _LONGEST_ID and identity.isascii() and identity.isprintable()


class _Meter:
    """Counts in MLServer's own metrics."""

    def __init__(self, settings: Settings, data_plane: Any) -> None:
        self._rest: tuple[Counter, Histogram] | None = None
        if settings.metrics_endpoint:
            # Its metrics are the class's: this one counts in those of MLServer's own.
            middleware = PrometheusMiddleware(
                cast("Any", None), app_name="mlserver", prefix=settings.metrics_rest_server_prefix
            )
            self._rest = cast("Counter", middleware.request_count), cast("Histogram", middleware.request_time)
        self._success = cast("Counter", data_plane._ModelInferRequestSuccess)
        self._failure = cast("Counter", data_plane._ModelInferRequestFailure)
        self._duration = cast("Summary", data_plane._ModelInferRequestDuration)
        self._requests: dict[tuple[str, int], Tally] = {}
        self._inferences: dict[tuple[str, bool], Tally] = {}
        self._ledger = Ledger([*(self._rest or ()), self._success, self._failure, self._duration])

    def count(self, path: str, status: int, seconds: float) -> None:
        """Count a request of a path."""
        found = self._requests.get((path, status))
        if found is None:
            if self._rest is None:
                return
            counter, histogram = self._rest
            labels = ("POST", path, status, "mlserver")
            found = self._ledger.open(counter.labels(*labels), histogram.labels(*labels))
            self._requests[path, status] = found
        found.note(seconds)

    def count_other(self, method: str, path: str, status: int) -> None:
        """Count a request that asks for no inference."""
        if self._rest is not None:
            self._rest[0].labels(method, path, status, "mlserver").inc()

    def count_inference(self, model: str, seconds: float, *, failed: bool) -> None:
        """Count a model's inference."""
        found = self._inferences.get((model, failed))
        if found is None:
            labels = {"model": model, "version": None}
            # Both are there from the first request on, as MLServer has them.
            counters = self._success.labels(**labels), self._failure.labels(**labels)
            found = self._ledger.open(counters[failed], self._duration.labels(**labels))
            self._inferences[model, failed] = found
        found.note(seconds)
