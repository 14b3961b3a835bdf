"""gRPC calls to all predictors of a graph: which one answers, and what shadows and comparisons get of it."""

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Final, Protocol, cast

import grpc

from graphc.engine.binary import RequestError
from graphc.engine.call_walk import read_call
from graphc.engine.calls import DeathError, EndedCallError, Incoming
from graphc.engine.grpc_convert import to_answer_json, to_json
from graphc.engine.grpc_front import Answering
from graphc.engine.headers import Headers
from graphc.engine.message import Answer, Message, v2_error
from graphc.engine.offload import offload
from graphc.engine.proto import InferRequest, ModelFacts, Named, read_message
from graphc.engine.service import Service
from graphc.run.hints import Hints
from graphc.run.mirroring import Copy

_STATUS: Final = {"INVALID_ARGUMENT": 400, "NOT_FOUND": 404, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504}
_OF_A_MODEL: Final = frozenset({"ModelInfer", "ModelReady", "ModelMetadata"})


class Answered(Protocol):
    """The versions of a graph, as far as calls need them."""

    hints: Hints

    @property
    def as_seldon(self) -> bool:
        """Whether Seldon's executor stands before the units."""
        ...

    @property
    def observes(self) -> bool:
        """Whether answers are told to somebody."""
        ...

    @property
    def names(self) -> Mapping[str, str]:
        """The predictors by the names of their versions."""
        ...

    def service(self, predictor: str) -> Service:
        """Return the service of one predictor."""
        ...

    def draw(self) -> tuple[str, ...]:
        """Return the shadows that get a copy of the next request."""
        ...

    def note(
        self, copy: Copy, predictor: str, answer: Answer, started: float, drawn: tuple[str, ...]
    ) -> None:
        """Tell of an answer, and offer copies of its request."""
        ...


class VersionCalls:
    """Has each call answered by one predictor: the one whose version it names, else the one that its metadata gets."""

    def __init__(
        self,
        versions: Answered,
        answering: Mapping[str, Answering],
        choose: Callable[[Headers], str | None],
    ) -> None:
        self._versions, self._answering, self._choose = versions, answering, choose

    @property
    def unpacks(self) -> bool:
        """Whether clients may compress their messages."""
        return not self._versions.as_seldon

    async def answer(self, method: str, message: bytes, incoming: Incoming) -> bytes:
        """Answer a call; raises EndedCallError."""
        model, version = await offload(len(message), lambda: _read_names(method, message))
        predictor = self._find(model, version, incoming)
        try:
            if method == "ModelInfer":
                return await self._infer(predictor, message, incoming, by_name=bool(version))
            answer = await self._answering[predictor].answer(method, message, incoming)
        except DeathError:
            self._versions.hints.say("call")
            raise
        if method == "ModelMetadata":
            return self._list_versions(answer, model, predictor)
        return answer

    def _find(self, model: str, version: str, incoming: Incoming) -> str:
        names = self._versions.names
        if version and version not in names:
            raise EndedCallError(grpc.StatusCode.NOT_FOUND, say_unknown(model, version, names))
        predictor = names[version] if version else self._choose(incoming.headers)
        if predictor is None:
            raise EndedCallError(grpc.StatusCode.NOT_FOUND, "no version answers with this metadata")
        return predictor

    async def _infer(self, predictor: str, message: bytes, incoming: Incoming, *, by_name: bool) -> bytes:
        drawn = () if by_name else self._versions.draw()
        started = perf_counter()
        try:
            answer = await self._answering[predictor].answer("ModelInfer", message, incoming)
        except EndedCallError as end:
            failed = v2_error(end.details, _STATUS.get(end.code.name, 500))
            await self._note(predictor, message, incoming, failed, started, drawn)
            raise
        if drawn or self._versions.observes:
            try:
                body = await offload(len(answer), lambda: to_answer_json(answer))
            except RequestError:
                return answer
            await self._note(predictor, message, incoming, Answer(200, Message(body)), started, drawn)
        return answer

    async def _note(
        self,
        predictor: str,
        message: bytes,
        incoming: Incoming,
        answer: Answer,
        started: float,
        drawn: tuple[str, ...],
    ) -> None:
        if not drawn and not self._versions.observes:
            return
        request = cast("InferRequest", read_call("ModelInfer", message))
        try:
            body = await offload(len(message), lambda: to_json(request))
        except RequestError:
            return
        copy = Copy(
            incoming.puid, Message(body).known_request(), incoming.headers, request.model_name or None
        )
        self._versions.note(copy, predictor, answer, started, drawn)

    def _list_versions(self, answer: bytes, model: str, predictor: str) -> bytes:
        graph = self._versions.service(predictor).graph
        if graph is None or graph.name != model:
            return answer
        facts = cast("ModelFacts", read_message("ModelMetadataResponse", answer))
        facts.ClearField("versions")
        facts.versions.extend(self._versions.names)
        return facts.SerializeToString()


def say_unknown(model: str, version: str, names: Mapping[str, str]) -> str:
    """Say that a version is unknown, and which there are."""
    listed = ", ".join(f"`{name}`" for name in names)
    return f"`{model}` has no version `{version[:64]}`; there are: {listed}"


def _read_names(method: str, message: bytes) -> tuple[str, str]:
    if method not in _OF_A_MODEL:
        return "", ""
    request = read_call(method, message)
    if method == "ModelInfer":
        infer = cast("InferRequest", request)
        return infer.model_name, infer.model_version
    named = cast("Named", request)
    return named.name, named.version
