"""The V2 binary tensor extension at the engine's front: the units behind it speak plain JSON."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn, cast

from graphc.engine import runs
from graphc.engine.message import Answer, Message, decompress
from graphc.engine.raw import BASE64, RawError, count_values, from_bytes, pack, split_bytes, write
from graphc.engine.runs import as_value
from graphc.engine.wire_json import WireError
from graphc.source.located import Plain

LENGTH_HEADER: Final = "Inference-Header-Content-Length"
BINARY_TYPE: Final = "application/octet-stream"

Fields = dict[str, Plain]


MOST_INPUTS: Final = 1000
"""More tensors than this no graph takes."""
MOST_OBJECTS: Final = 20_000
"""More objects than this no message has."""
_MOST_DIMENSIONS: Final = 64
_LONGEST_NAME: Final = 100
_EXPLAINED: Final = 256 * 1024
"""Larger bodies are refused in few words: to say where they end takes longer than to answer them."""


class RequestError(ValueError):
    """A request is malformed; the message says how, in a user's words."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which outputs a client wants as binary data."""

    by_default: bool = False
    named: Mapping[str, bool] | None = None

    def __contains__(self, name: object) -> bool:
        """Say whether the output of that name is wanted as binary data."""
        return isinstance(name, str) and (self.named or {}).get(name, self.by_default)

    def __bool__(self) -> bool:
        """Say whether any output is."""
        return self.by_default or any((self.named or {}).values())


def read_request(
    body: bytes, header_length: str | None, content_type: str, *, converts: bool = True
) -> tuple[Message, Wanted]:
    """Read a request of either form into a plain message; raises RequestError.

    Without conversion what a request says of raw tensors stays in it, for the units.
    """
    if header_length is None and (not converts or b'"binary_data' not in body):
        check_request(body)
        return Message(body, content_type).known_request(), Wanted()
    length = _read_length(header_length, body)
    request = check_request(body[:length])
    _fill_inputs(request, body[length:])
    wanted = _take_wanted(request)
    return Message(dump(request)).known_request(), wanted


def write_answer(answer: Answer, wanted: Wanted) -> tuple[Answer, int | None]:
    """Return the answer with the wanted outputs as binary data, and the length of its JSON part."""
    if not wanted or answer.status != 200:
        return answer, None
    try:
        fields = load(decompress(answer.message))
        outputs = [each for each in dicts(fields.get("outputs")) if each.get("name") in wanted]
        blobs = [blob for blob in map(_take_data, outputs) if blob is not None]
        head = dump(fields)
    except (RequestError, WireError):
        return answer, None
    if not blobs:
        return answer, None
    return Answer(200, Message(b"".join([head, *blobs]), BINARY_TYPE)), len(head)


def check_request(body: bytes) -> Fields:
    """Read a request's JSON, which must hold a list of inputs; raises RequestError."""
    fields = load(body)
    inputs = fields.get("inputs")
    if not isinstance(inputs, list):
        raise RequestError("the request has no list of `inputs`")
    if len(inputs) > MOST_INPUTS:
        raise RequestError(f"the request has more than {MOST_INPUTS} inputs")
    if not all(isinstance(each, dict) for each in inputs):
        raise RequestError("an input is not a JSON object")
    return fields


def load(body: bytes) -> Fields:
    """Read a JSON object with its integers exact; raises RequestError."""
    try:
        value = runs.read(body, MOST_OBJECTS)
    except runs.TooManyError as error:
        raise RequestError(f"the body has more than {MOST_OBJECTS} JSON objects") from error
    except ValueError as error:
        if len(body) > _EXPLAINED:
            raise RequestError("the body is not JSON") from error
        value = _load_slowly(body)
    if not isinstance(value, dict):
        raise RequestError("the body is not a JSON object")
    return value


def _load_slowly(body: bytes) -> Plain:
    try:
        value: Plain = json.loads(body.decode("utf-8", "replace"), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise RequestError("the JSON nests too deeply") from error
    except json.JSONDecodeError as error:
        raise RequestError(f"the body is not JSON: {error.msg.lower()} at byte {error.pos}") from error
    except ValueError as error:
        raise RequestError("the body is not JSON that can be read: a number has too many digits") from error
    return value


def dump(fields: Fields) -> bytes:
    """Write a JSON object with its integers exact; raises RequestError for what JSON cannot hold."""
    try:
        return runs.write(fields, _dump)
    except ValueError as error:
        raise RequestError("a number is too large") from error


def _dump(value: Plain, replace: Callable[[object], object]) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":"), default=replace).encode()


def dicts(value: Plain) -> list[Fields]:
    """Return the objects of a list, and nothing of anything else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _refuse_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"`{name}`", "", 0)


def _read_length(header: str | None, body: bytes) -> int:
    if header is None:
        return len(body)
    if not (header.isascii() and header.isdigit() and len(header) < 20 and int(header) <= len(body)):
        raise RequestError(f"`{LENGTH_HEADER}` does not fit the body")
    return int(header)


def _fill_inputs(request: Fields, data: bytes) -> None:
    at = 0
    for tensor in dicts(request.get("inputs")):
        size = _take_parameter(tensor, "binary_data_size")
        if size is None:
            continue
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(data) - at:
            raise RequestError(
                f"`binary_data_size` of input `{shown(tensor.get('name'))}` does not fit the body"
            )
        fill_data(tensor, data[at : at + size])
        at += size
    if at != len(data):
        raise RequestError(f"{len(data) - at} bytes of the body belong to no input")


def fill_data(tensor: Fields, data: bytes) -> None:
    """Put raw bytes into a tensor as plain values; raises RequestError."""
    name, datatype = shown(tensor.get("name")), str(tensor.get("datatype"))[:40]
    try:
        count = count_values(datatype, data)
        expected = check_shape(name, tensor.get("shape"), len(data) // 4 if count is None else count)
        if count is not None and expected != count:
            raise RequestError(f"input `{name}`: the shape does not fit the {count} values that are there")
        if count is not None:
            tensor["data"] = as_value(write(datatype, data))
            return
        texts, content_type = from_bytes(_split(name, data, expected))
    except RawError as error:
        raise RequestError(f"input `{name}`: {error}") from error
    tensor["data"] = texts
    if content_type:
        set_parameter(tensor, "content_type", content_type)


def _split(name: str, data: bytes, count: int) -> list[bytes]:
    elements = split_bytes(data, count + 1)
    if len(elements) != count:
        raise RequestError(
            f"input `{name}`: the shape needs {count} values, and {_more(elements, count)} are there"
        )
    return elements


def _more(elements: list[bytes], count: int) -> str:
    return "more" if len(elements) > count else str(len(elements))


def check_shape(name: str, shape: Plain, count: int) -> int:
    """Return how many values a shape needs; raises RequestError where it needs more than are there, or cannot be.

    For texts, whose number is not known yet, the count is the most that there can be.
    """
    if not isinstance(shape, list) or not all(_is_size(each) for each in shape):
        raise RequestError(f"input `{name}` has no shape of whole numbers")
    needed = math.prod(cast("list[int]", shape)) if len(shape) <= _MOST_DIMENSIONS else -1
    if not 0 <= needed <= count:
        raise RequestError(f"input `{name}`: the shape does not fit the {count} values that are there")
    return needed


def _is_size(value: Plain) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def shown(name: Plain) -> str:
    """Return a name as far as an error holds it."""
    text = str(name)
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}..."


def set_parameter(fields: Fields, key: str, value: Plain) -> None:
    """Set one parameter of a tensor."""
    parameters = fields.get("parameters")
    fields["parameters"] = {**(parameters if isinstance(parameters, dict) else {}), key: value}


def read_content_type(tensor: Fields) -> str | None:
    """Return how a tensor's texts are to be read, where it says so."""
    parameters = tensor.get("parameters")
    found = parameters.get("content_type") if isinstance(parameters, dict) else None
    return found if isinstance(found, str) else None


def _take_parameter(fields: Fields, key: str) -> Plain:
    parameters = fields.get("parameters")
    if not isinstance(parameters, dict):
        return None
    value = parameters.pop(key, None)
    if not parameters:
        del fields["parameters"]
    return value


def _take_wanted(request: Fields) -> Wanted:
    by_default = _take_parameter(request, "binary_data_output") is True
    named: dict[str, bool] = {}
    for output in dicts(request.get("outputs")):
        said = _take_parameter(output, "binary_data")
        if isinstance(said, bool):
            named[str(output.get("name"))] = said
    return Wanted(by_default, named)


def _take_data(output: Fields) -> bytes | None:
    try:
        blob = pack(str(output.get("datatype")), output.get("data"), read_content_type(output))
    except RawError:
        return None
    if read_content_type(output) == BASE64:
        _take_parameter(output, "content_type")
    del output["data"]
    set_parameter(output, "binary_data_size", len(blob))
    return blob
