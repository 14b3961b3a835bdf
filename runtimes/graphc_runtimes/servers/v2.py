"""Servers of the Open Inference Protocol: KServe's, Triton, MLServer, another graph of graphc.

https://github.com/kserve/open-inference-protocol and, for raw tensors, Triton's binary tensor data extension.
"""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from graphc_components.datatypes import Array, to_datatype

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.bodies import LENGTH_HEADER, write_infer
from graphc_runtimes.errors import RequestError, RunError
from graphc_runtimes.messages import Message, WireTensor, decode
from graphc_runtimes.reading import Asked as Wanted
from graphc_runtimes.reading import read_answer
from graphc_runtimes.servers.dialect import JSON_HEADERS, Answer, AnswerError, Asked, Call, Dialect
from graphc_runtimes.shown import show


def make_dialect(asked: Asked) -> Dialect:
    """Return how a V2 server is asked for a model."""
    path = f"/v2/models/{quote(asked.model, safe='')}"
    if asked.version is not None:
        path += f"/versions/{quote(asked.version, safe='')}"
    return V2(asked, f"{path}/infer")


class V2:
    """Asks for the declared outputs of one model, at a path."""

    def __init__(self, asked: Asked, path: str) -> None:
        self._asked, self._path = asked, path
        self._is_raw = asked.text("tensors") == "raw"
        # Triton heeds what is said of each output, and MLServer what is said of all of them.
        raw = {"parameters": {"binary_data": True}} if self._is_raw else {}
        outputs: list[object] = [{"name": name, **raw} for name in asked.outputs]
        self._fields: dict[str, object] = {"outputs": outputs}
        if self._is_raw:
            self._fields["parameters"] = {"binary_data_output": True}

    def ask(self, inputs: Mapping[str, Array]) -> Sequence[Call]:
        """Return the one call of a request; raises ArrayError."""
        tensors = [_wire(name, array) for name, array in inputs.items()]
        wanted = Wanted(Message({}), binary=self._is_raw)
        try:
            written = write_infer(self._fields, tensors, wanted, self._asked.node, key="inputs")
        except RunError as error:
            raise ArrayError(f"cannot ask its server: {error}") from None
        headers = JSON_HEADERS
        if written.json_length is not None:
            headers = {"Content-Type": "application/octet-stream", LENGTH_HEADER: str(written.json_length)}
        return [Call(self._path, b"".join(written.parts), headers)]

    def read(self, answers: Sequence[Answer], _inputs: Mapping[str, Array], /) -> Mapping[str, Array]:
        """Return the declared outputs; raises AnswerError."""
        answer = answers[0]
        try:
            tensors = read_answer(answer.body, _json_length(answer)).tensors
        except RequestError as error:
            raise AnswerError(f"answered with no V2 answer: {error}") from None
        return {name: _take(tensors, name) for name in self._asked.outputs}


def _wire(name: str, array: Array) -> WireTensor:
    return WireTensor(name, to_datatype(array.dtype), list(array.shape), (), array=array)


def _json_length(answer: Answer) -> int | None:
    said = answer.headers.get(LENGTH_HEADER)
    if said is None:
        return None
    if not (said.isascii() and said.isdigit() and len(said) < 16 and int(said) <= len(answer.body)):
        raise AnswerError(f"answered with a `{LENGTH_HEADER}` that its body does not have")
    return int(said)


def _take(tensors: Mapping[str, WireTensor], name: str) -> Array:
    tensor = tensors.get(name)
    if tensor is None:
        listed = ", ".join(show(each) for each in list(tensors)[:5]) or "none"
        raise AnswerError(f"gave no output {show(name)}; it gave {listed}")
    try:
        return decode(tensor)
    except ArrayError as error:
        raise AnswerError(f"gave an output {show(name)} that {error}") from None
