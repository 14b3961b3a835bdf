"""A compiled graph in one process: its units are called in the order, and with the messages, of Seldon's executor."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from graphc_components.datatypes import Array

from graphc_runtimes.environment import Environment
from graphc_runtimes.errors import ToldError
from graphc_runtimes.messages import Message, WireTensor, decode, encode, write_tensor
from graphc_runtimes.reading import read_message, read_messages
from graphc_runtimes.unit import NO_CHILD, LoadedUnit, load_unit

_T = TypeVar("_T")
Tensor = tuple[str, str, Array]
"""A tensor's name, datatype and values; BYTES are objects of type `bytes`."""
_Json = dict[str, Any]
_Headers = Mapping[str, str]


class FailedError(Exception):
    """A request was not answered; `status` is what a client of the graph would get with the message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Part:
    """A unit with those that it stands above."""

    unit: LoadedUnit
    type: str
    children: Sequence["_Part"]


class Session:
    """The units of a plan, loaded in this process."""

    def __init__(self, root: Mapping[str, object], artifacts: Path) -> None:
        """Load a tree of `{"region", "type", "children"}`; raises RegionError and LoadError.

        Artefacts lie under their folder as a unit's container has them.
        """
        # A notebook's thread has an event loop that runs already.
        with ThreadPoolExecutor(1) as other:
            self._root = other.submit(lambda: asyncio.run(_load(root, artifacts))).result()

    def ask(
        self, tensors: Iterable[Tensor], parameters: Mapping[str, object] | None = None
    ) -> dict[str, Array]:
        """Answer tensors with tensors; raises FailedError. Of one unit, none of them is written as text."""
        parameters = parameters or {}
        sent = [WireTensor(name, datatype, array.shape, (), array=array) for name, datatype, array in tensors]
        root = self._root
        if root.children:
            body: _Json = {
                "inputs": [write_tensor(_as_text(each)) for each in sent],
                "parameters": parameters,
            }
            outputs = cast("list[_Json]", self.infer(body)["outputs"])
            return {
                each["name"]: decode(
                    WireTensor(
                        each["name"],
                        each["datatype"],
                        each["shape"],
                        each["data"],
                        each.get("parameters", {}),
                    )
                )
                for each in outputs
            }
        message = Message({each.name: each for each in sent}, None, parameters, is_for_arrays=True)
        answers = _guarded(lambda: root.unit.answer(root.unit.accept(message)))
        return {each.name: decode(each) for each in answers}

    def infer(self, request: Mapping[str, object], headers: _Headers | None = None) -> _Json:
        """Answer a V2 request; raises FailedError with the status of its answer."""
        return _walk(self._root, dict(request), headers or {})


def _as_text(tensor: WireTensor) -> WireTensor:
    assert tensor.array is not None
    return encode(tensor.name, tensor.array, "plain")


async def _load(tree: Mapping[str, object], artifacts: Path) -> _Part:
    environment = Environment(json.dumps(tree["region"]), None, artifacts, "cpu", 1)
    unit = await load_unit(environment)
    children = cast("Sequence[Mapping[str, object]]", tree["children"])
    return _Part(unit, str(tree["type"]), [await _load(child, artifacts) for child in children])


def _walk(part: _Part, message: _Json, headers: _Headers) -> _Json:
    unit, children = part.unit, part.children
    match part.type:
        case "ROUTER":
            read = _read(read_message, message, headers)
            child = _guarded(lambda: unit.route(read))
            return message if child == NO_CHILD else _walk(children[child], message, headers)
        case "COMBINER":
            answers = [_walk(child, message, headers) for child in children]
            return _answer(unit, _read(read_messages, answers, headers))
        case "OUTPUT_TRANSFORMER":
            for child in children:
                message = _walk(child, message, headers)
            return _answer(unit, _read(read_message, _chain(message), headers))
        case _:
            message = _answer(unit, _read(read_message, _chain(message), headers))
            for child in children:
                message = _walk(child, message, headers)
            return message


def _read(read: Callable[[bytes, _Headers], Message], message: object, headers: _Headers) -> Message:
    return _guarded(lambda: read(json.dumps(message).encode(), headers))


def _chain(message: _Json) -> _Json:
    """Return a unit's answer as the next one is asked: whole numbers go through float64 there."""
    if "inputs" in message:
        return message
    kept = {key: value for key, value in message.items() if key != "outputs"}
    return cast(
        "_Json",
        json.loads(
            json.dumps(kept | {"inputs": message["outputs"]}), parse_int=lambda digits: int(float(digits))
        ),
    )


def _answer(unit: LoadedUnit, read: Message) -> _Json:
    message = _guarded(lambda: unit.accept(read))
    tensors = _guarded(lambda: [write_tensor(each) for each in unit.answer(message)])
    return cast("_Json", json.loads(json.dumps({"outputs": tensors, "parameters": unit.carry(message)})))


def _guarded(work: Callable[[], _T]) -> _T:
    try:
        return work()
    except ToldError as error:
        raise FailedError(error.status, str(error)) from error
