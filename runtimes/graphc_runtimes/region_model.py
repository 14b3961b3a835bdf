"""The MLServer model that serves a region under one name."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Final

import orjson
from fastapi import Request, Response

from graphc_runtimes.batching import answer
from graphc_runtimes.devices import find_fallback, find_operators, find_variants, listen, write
from graphc_runtimes.environment import Environment, read_environment
from graphc_runtimes.errors import LoadError, RegionError, ToldError
from graphc_runtimes.faults import tell_fault
from graphc_runtimes.messages import Message, WireTensor, write_tensor
from graphc_runtimes.metrics import cpu_models, cpu_operators, device_fallback
from graphc_runtimes.payloads import to_message, to_metadata, to_response
from graphc_runtimes.reading import read_message, read_messages
from graphc_runtimes.serving import (
    CustomHandler,
    InferenceRequest,
    InferenceResponse,
    MetadataModelResponse,
    MLModel,
    MLServerError,
    ModelNotReady,
    ModelSettings,
    Parameters,
    register_custom_handler,
)
from graphc_runtimes.unit import LoadedUnit, named_version, share_unit
from graphc_runtimes.workers import note_loaded

_LOG: Final = logging.getLogger("mlserver.graphc")

LISTENERS: Final["list[Callable[[RegionModel], None]]"] = []
"""Called with each model that loads: a server with paths of its own to it needs to know."""


def announce(model: "RegionModel") -> None:
    """Tell those who listen that a model has loaded."""
    for listener in LISTENERS:
        listener(model)


_FAILED: Final = 500


class RegionModel(MLModel):
    """Serves the region of this container; several names may share it."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self._unit: LoadedUnit | None = None
        self._device: dict[str, str] = {}
        self._said: dict[str, str] = {}
        """What classes say of themselves, by `node.metadata`."""
        # MLServer collects these before load(), from the attributes of the instance.
        self.aggregate_handler = self._handler("aggregate", self._aggregate)
        self.route_handler = self._handler("route", self._route)

    async def load(self) -> bool:
        """Load the region, or end the process with the reason."""
        environment = read_environment()
        try:
            self._unit = await share_unit(environment)
        except (RegionError, LoadError) as error:
            if error.__cause__ is not None:
                # The line below says what is wrong; where it went wrong is of use to few.
                _LOG.debug("%s", error, exc_info=error.__cause__)
            # MLServer would go on to end with 0, which a cluster takes for a job well done.
            raise SystemExit(f"graphc: {error}") from None
        self._describe(self._unit)
        unit = self._unit
        self._said = {
            f"{name}.metadata": told
            for name, runner in unit.runners.items()
            if isinstance(told := getattr(runner, "metadata", None), str)
        }

        def note() -> None:
            if environment.is_preferred:
                self._note_device(unit, environment)
            self._note_variants(unit, environment)
            self._note_operators(unit, environment)

        note()
        # A GPU may be gone later, too.
        listen(environment, note)
        note_loaded()
        announce(self)
        return True

    @property
    def unit(self) -> LoadedUnit | None:
        """The unit that this model answers with, once it is loaded."""
        return self._unit

    def _describe(self, unit: LoadedUnit) -> None:
        graph = unit.region.graph
        is_graph = self.name == graph.name
        self.inputs = to_metadata(graph.inputs if is_graph else unit.region.takes)
        self.outputs = to_metadata(graph.outputs if is_graph else unit.region.answers)

    def _note_device(self, unit: LoadedUnit, environment: Environment) -> None:
        reason = find_fallback(environment)
        device_fallback().labels(unit.region.unit).set(reason is not None)
        self._device = {"graphc_device": environment.accelerator}
        if reason is not None:
            self._device = {"graphc_device": "cpu", "graphc_device_fallback": reason}

    def _note_variants(self, unit: LoadedUnit, environment: Environment) -> None:
        variants = find_variants(environment)
        for node in variants:
            cpu_models().labels(unit.region.unit, node).set(1)
        if variants:
            told = ", ".join(f"{node}: {path}" for node, path in variants.items())
            self._device = {"graphc_device": "cpu", **self._device, "graphc_cpu_models": told}

    def _note_operators(self, unit: LoadedUnit, environment: Environment) -> None:
        # Of a unit that goes without, everything runs there.
        has_gpu = find_fallback(environment) is None
        operators = find_operators(environment)
        for node, on_cpu in operators.items():
            cpu_operators().labels(unit.region.unit, node).set(sum(on_cpu.values()) if has_gpu else 0)
        if operators and has_gpu:
            told = "; ".join(f"{node}: {write(on_cpu)}" for node, on_cpu in operators.items())
            self._device = {
                "graphc_device": environment.accelerator,
                **self._device,
                "graphc_cpu_operators": told,
            }

    async def metadata(self) -> MetadataModelResponse:
        """Describe the model: what its classes say of themselves, and what runs on what where it has a GPU or would."""
        found = await super().metadata()
        if parameters := self._device | self._said:
            found.parameters = Parameters.model_validate(parameters)
        return found

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer one request with the region's tensors."""
        message = self._accept(to_message(payload))
        tensors, carried = await self._answer(message)
        response = to_response(self.name, message.id, carried, tensors)
        response.model_version = self._unit.told_version if self._unit is not None else None
        return response

    async def _aggregate(self, body: bytes, headers: dict[str, str]) -> object:
        with _errors():
            message = self._accept(read_messages(body, headers))
        tensors, carried = await self._answer(message)
        return _to_body({"model_name": self.name} | self._named_version(), message.id, carried, tensors)

    def _named_version(self) -> dict[str, object]:
        return {} if self._unit is None else named_version(self._unit)

    async def _route(self, body: bytes, headers: dict[str, str]) -> object:
        with _errors():
            message = read_message(body, headers)
        # Where health checks do not have to wait for it.
        with _errors():
            return [await asyncio.to_thread(self._find_unit().route, message)]

    def _accept(self, message: Message) -> Message:
        with _errors():
            return self._find_unit().accept(message)

    async def _answer(self, message: Message) -> tuple[list[WireTensor], dict[str, object]]:
        unit = self._find_unit()
        with _errors():
            return await answer(unit, message), unit.carry(message)

    # No property: MLServer reads every attribute before load() to find its handlers.
    def _find_unit(self) -> LoadedUnit:
        if self._unit is None:
            raise ModelNotReady(self.name)
        return self._unit

    def _handler(
        self, verb: str, respond: Callable[[bytes, dict[str, str]], Awaitable[object]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            return _respond(await respond(await request.body(), dict(request.headers)))

        register_custom_handler(CustomHandler(rest_path=f"/v2/models/{self.name}/{verb}"), handle)
        return handle


@contextmanager
def _errors() -> Generator[None]:
    """Say errors the way MLServer knows: it makes them V2 errors over REST and status codes over gRPC."""
    try:
        yield
    except ToldError as error:
        raise MLServerError(str(error), error.status) from error
    except MLServerError:
        raise
    except Exception as error:
        raise MLServerError(str(tell_fault(error, "the unit")), _FAILED) from None


def _to_body(
    named: dict[str, object], identity: str | None, parameters: dict[str, object], tensors: list[WireTensor]
) -> object:
    body = dict(named)
    if identity is not None:
        body["id"] = identity
    if parameters:
        body["parameters"] = parameters
    return body | {"outputs": [write_tensor(tensor) for tensor in tensors]}


def _respond(body: object) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
