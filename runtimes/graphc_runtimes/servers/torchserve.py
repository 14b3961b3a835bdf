"""TorchServe's inference API, https://pytorch.org/serve/inference_api.html and its request envelopes."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import orjson
from graphc_components.datatypes import Array, bytes_of

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.servers.dialect import Answer, AnswerError, Asked, Call, Dialect
from graphc_runtimes.servers.nested import Json, load, load_object, read_outputs, write_inputs
from graphc_runtimes.servers.torchserve_v2 import EnvelopedV2


def make_dialect(asked: Asked) -> Dialect:
    """Return how TorchServe is asked for a model, in the envelope that its configuration names."""
    match asked.text("envelope"):
        case "instances":
            return _Instances(asked)
        case "body":
            return _Bodies(asked)
        case _:
            return EnvelopedV2(asked, path_of(asked))


def path_of(asked: Asked) -> str:
    """Return the path of a model's predictions."""
    path = f"/predictions/{quote(asked.model, safe='')}"
    return path if asked.version is None else f"{path}/{quote(asked.version, safe='')}"


class _Instances:
    """Asks with `instances`, one a row, as the envelopes `json` and `kserve` have it."""

    def __init__(self, asked: Asked) -> None:
        self._asked, self._path = asked, path_of(asked)

    def ask(self, inputs: Mapping[str, Array]) -> Sequence[Call]:
        written = write_inputs(inputs)
        if len(written) == 1:
            # One tensor is what the model takes of a row; several are parts of it, by name.
            return [Call(self._path, b'{"instances":' + orjson.dumps(next(iter(written.values()))) + b"}")]
        lists = {name: _rows(orjson.loads(orjson.dumps(each))) for name, each in written.items()}
        rows = [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
        return [Call(self._path, orjson.dumps({"instances": rows}))]

    def read(self, answers: Sequence[Answer], _inputs: Mapping[str, Array], /) -> Mapping[str, Array]:
        predictions = load_object(answers[0].body).get("predictions")
        if not isinstance(predictions, list):
            raise AnswerError("answered without a list of `predictions`")
        return read_outputs(_by_name(predictions, self._asked), self._asked.outputs)


def _rows(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ArrayError("cannot ask its server: an input has no rows")
    return value  # pyright: ignore[reportUnknownVariableType]


def _by_name(rows: list[Json], asked: Asked) -> dict[str, Json]:
    """Return the outputs by name out of the answers for rows: values, or objects of values by name."""
    if len(asked.outputs) == 1 and not any(isinstance(row, dict) for row in rows):
        return {next(iter(asked.outputs)): rows}
    found: dict[str, Json] = {}
    for name in asked.outputs:
        column: list[Json] = []
        for row in rows:
            if not isinstance(row, dict) or name not in row:
                raise AnswerError(f"gave a row without the output `{name}`")
            column.append(row[name])
        found[name] = column
    return found


class _Bodies:
    """Asks once for each row, whose bytes are the body: an image, a text."""

    def __init__(self, asked: Asked) -> None:
        self._asked, self._path = asked, path_of(asked)

    def ask(self, inputs: Mapping[str, Array]) -> Sequence[Call]:
        if len(inputs) != 1:
            raise ArrayError("cannot ask its server: a body is one tensor, with one element a row")
        array = next(iter(inputs.values()))
        if array.dtype.kind != "O" or array.size != len(array):
            raise ArrayError("cannot ask its server: a body is the bytes of one element a row")
        headers = {"Content-Type": "application/octet-stream"}
        return [Call(self._path, each, headers) for each in bytes_of(array)]

    def read(self, answers: Sequence[Answer], _inputs: Mapping[str, Array], /) -> Mapping[str, Array]:
        return read_outputs(
            _by_name([_load(each.body) for each in answers], self._asked), self._asked.outputs
        )


def _load(body: bytes) -> Json:
    """Return a row's answer: JSON, or a text as it stands."""
    try:
        return load(body)
    except AnswerError:
        try:
            return body.decode()
        except UnicodeDecodeError:
            raise AnswerError("answered with bytes that are neither JSON nor text") from None
