"""V2 messages out of the JSON that a stranger sends: the one reader of them, which names what is wrong.

The structure is read first, and the reader stops at the first thing that is not of it: tensors' data, parameters and
unknown fields are passed over, and nothing is made of them. What is tolerated is what MLServer tolerates:
unknown fields, and a field that comes twice: the last one counts.
"""

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar, cast

import msgspec
import orjson
from graphc_components.tensors import DATATYPES

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.errors import RequestError
from graphc_runtimes.messages import FALLBACKS, Message, WireTensor, from_raw, want
from graphc_runtimes.numerals import LEAST, Text
from graphc_runtimes.packed import Cut, cut_lists
from graphc_runtimes.shapes import count_elements
from graphc_runtimes.shown import show

Fields = dict[str, object]

SIZE: Final = "binary_data_size"
"""The parameter in which a tensor says how many raw bytes it has."""
MOST_TENSORS: Final = 1024
MOST_PARAMETERS: Final = 2**20
"""Bytes of JSON that the parameters of a message or tensor may have."""
_MOST_DEPTH: Final = 64
"""Answers carry parameters, and writing them has a limit of its own."""
_MOST_SHAPE: Final = 4096
MOST_ID: Final = 4096

_Part = msgspec.Raw | msgspec.UnsetType


class _Tensor(msgspec.Struct, gc=False):
    """A tensor, or the name of an output that is asked for."""

    name: str
    shape: _Part = msgspec.UNSET
    datatype: _Part = msgspec.UNSET
    data: _Part = msgspec.UNSET
    parameters: _Part = msgspec.UNSET

    def __post_init__(self) -> None:
        """Stop the decoder at too many, whose tensors would take many times the bytes of a body."""
        _SO_FAR.left -= 1
        if _SO_FAR.left < 0:
            _SO_FAR.stop(f"the message has more than {MOST_TENSORS} tensors")


class _Input(_Tensor, gc=False):
    """A tensor of a request."""

    def __post_init__(self) -> None:
        """Stop the decoder at the first that cannot be one."""
        super().__post_init__()
        if self.name in _SO_FAR.names:
            _SO_FAR.stop(str(twice(self.name)))
        if self.data is msgspec.UNSET and self.parameters is msgspec.UNSET:
            _SO_FAR.stop(f"tensor {show(self.name)} has no `data`")
        _SO_FAR.names.add(self.name)


class _SoFar(threading.local):
    """What a thread has seen of a message while it decodes it."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin with another message."""
        self.left, self.names, self.refusal = MOST_TENSORS, set[str](), ""

    def stop(self, refusal: str) -> NoReturn:
        """End decoding, and keep why."""
        self.refusal = refusal
        raise ValueError


_SO_FAR: Final = _SoFar()


class _Body(msgspec.Struct, gc=False):
    """A V2 request or response."""

    inputs: list[_Tensor] | msgspec.UnsetType = msgspec.UNSET
    outputs: list[_Tensor] | msgspec.UnsetType | None = msgspec.UNSET
    id: str | msgspec.UnsetType | None = msgspec.UNSET
    parameters: _Part = msgspec.UNSET


class _Request(msgspec.Struct, gc=False):
    """A V2 request."""

    inputs: list[_Input] | msgspec.UnsetType = msgspec.UNSET
    outputs: list[_Tensor] | msgspec.UnsetType | None = msgspec.UNSET
    id: str | msgspec.UnsetType | None = msgspec.UNSET
    parameters: _Part = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class Asked:
    """A message, and which of its outputs the client wants as raw bytes."""

    message: Message
    binary: bool = False
    binary_by_name: Mapping[str, bool] | None = None

    def wants_raw(self, name: str) -> bool:
        """Say whether an output is to be raw bytes."""
        return (self.binary_by_name or {}).get(name, self.binary)


_Found = TypeVar("_Found", _Body, _Request, list[_Body])
_REQUEST: Final = msgspec.json.Decoder(_Request)
_ONE: Final = msgspec.json.Decoder(_Body)
_SEVERAL: Final = msgspec.json.Decoder(list[_Body])
_SIZES: Final = msgspec.json.Decoder(list[int | float | str])


# --- Messages ----------------------------------------------------------------------------------------


def read_infer(body: Text, headers: Mapping[str, str], json_length: int | None = None) -> Asked:
    """Read the body of a request for inference; raises RequestError.

    What lies behind the JSON is not copied: the arrays are views of the body.
    """
    is_mixed = json_length is not None and json_length != len(body)
    text = memoryview(body)[:json_length] if is_mixed else body
    found, cut = _decode(_REQUEST, text)
    if not isinstance(found.inputs, list):
        raise RequestError("a V2 request has a list of `inputs`")
    raws = _part(memoryview(body)[json_length:], found.inputs) if is_mixed else {}
    tensors = _read_tensors(found.inputs, cut, raws)
    parameters = _parameters(found.parameters, "the request")
    wanted, by_name = list[str](), dict[str, bool]()
    for each in found.outputs or ():
        wanted.append(each.name)
        binary = _parameters(each.parameters, f"output {show(each.name)}").get("binary_data")
        if isinstance(binary, bool):
            by_name[each.name] = binary
    asked = want(parameters, wanted)
    message = Message(tensors, _identity(found), asked, headers, is_for_arrays=True)
    return Asked(message, bool(parameters.get("binary_data_output", False)), by_name)


def read_answer(body: Text, json_length: int | None = None) -> Message:
    """Read the body of a server's answer to a request for inference; raises RequestError.

    What lies behind the JSON is not copied: the arrays are views of the body.
    """
    is_mixed = json_length is not None and json_length != len(body)
    found, cut = _decode(_ONE, memoryview(body)[:json_length] if is_mixed else body)
    if not isinstance(found.outputs, list):
        raise RequestError("a V2 answer has a list of `outputs`")
    raws = _part(memoryview(body)[json_length:], found.outputs) if is_mixed else {}
    return Message(_read_tensors(found.outputs, cut, raws))


def read_message(body: Text, headers: Mapping[str, str]) -> Message:
    """Read a request or a response, as a router is asked; raises RequestError."""
    found, cut = _decode(_ONE, body)
    return _read_message(found, cut, headers)


def read_messages(body: Text, headers: Mapping[str, str]) -> Message:
    """Read the union of several messages; of tensors and parameters of one name the first counts.

    Raises RequestError.
    """
    found, cut = _decode(_SEVERAL, body)
    if not found:
        raise RequestError("`/aggregate` takes a JSON array of V2 messages that is not empty")
    messages = [_read_message(each, cut, headers) for each in found]
    union: dict[str, WireTensor] = {}
    parameters: Fields = {}
    for message in reversed(messages):
        union.update(message.tensors)
        parameters.update(message.parameters)
    if FALLBACKS in parameters:
        parameters[FALLBACKS] = _join_fallbacks(messages)
    return Message(union, messages[0].id, parameters, headers)


def _join_fallbacks(messages: Sequence[Message]) -> list[object]:
    """Return the nodes that something stood in for, of all branches."""
    named = (each.parameters.get(FALLBACKS) for each in messages)
    joined = [name for names in named if isinstance(names, list) for name in cast("list[object]", names)]
    return list({str(name): name for name in joined}.values())


def _read_message(found: _Body, cut: Cut | None, headers: Mapping[str, str]) -> Message:
    is_request = isinstance(found.inputs, list)
    entries = found.inputs if is_request else found.outputs
    if not isinstance(entries, list):
        raise RequestError("a V2 message has a list of `inputs` or `outputs`")
    tensors = _read_tensors(entries, cut, {})
    parameters = _parameters(found.parameters, "the message")
    if is_request:
        parameters = want(parameters, [each.name for each in found.outputs or ()])
    return Message(tensors, _identity(found), parameters, headers)


def _identity(found: _Body | _Request) -> str | None:
    if not isinstance(found.id, str):
        return None
    return check_id(found.id)


# --- What is refused, however it comes -----------------------------------------------------------------


def refuse_tensor(name: str, what: str) -> NoReturn:
    """Refuse a request for one of its tensors."""
    raise RequestError(f"tensor {show(name)} {what}")


def twice(name: str) -> RequestError:
    """Return the error of a message with two tensors of a name."""
    return RequestError(f"tensor {show(name)} is there twice")


def check_datatype(name: str, datatype: str) -> str:
    """Return the datatype of a tensor; raises RequestError for one that there is not."""
    if datatype not in DATATYPES:
        refuse_tensor(name, f"has the datatype {show(datatype)}, which the V2 protocol lacks")
    return datatype


def check_id(identity: str) -> str:
    """Return the id of a message; raises RequestError for one that is too long to be carried on."""
    if len(identity) > MOST_ID:
        raise RequestError(f"the `id` has more than {MOST_ID} characters")
    return identity


# --- The structure -----------------------------------------------------------------------------------


def _decode(decoder: msgspec.json.Decoder[_Found], text: Text) -> tuple[_Found, Cut | None]:
    cut = cut_lists(text) if len(text) >= LEAST else None
    try:
        _SO_FAR.begin()
        found = decoder.decode(text if cut is None else cut.text)
        if cut is not None and not _is_used(found if isinstance(found, list) else [found], cut):
            # A list of numbers stands where no tensor has its data.
            _SO_FAR.begin()
            return decoder.decode(text), None
    except msgspec.ValidationError as error:
        raise RequestError(_SO_FAR.refusal or _explain(str(error))) from None
    except msgspec.DecodeError as error:
        raise RequestError(_describe(str(error), text)) from None
    except RecursionError:
        raise RequestError("the body has too many lists or objects within each other") from None
    finally:
        # A name may be as long as a body.
        _SO_FAR.names.clear()
    return found, cut


def _is_used(bodies: Sequence[_Body | _Request], cut: Cut) -> bool:
    entries = (each for body in bodies for each in [*(body.inputs or ()), *(body.outputs or ())])
    return cut.is_used(each.data for each in entries if isinstance(each.data, msgspec.Raw))


_WRONG: Final = re.compile(r"Expected `([a-z]+)[^`]*`, got `([a-z]+)[^`]*`(?: - at `\$\.?([^`]*)`)?")
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`(?: - at `\$\.?([^`]*)`)?")
_WORDS: Final = {
    "array": "a list",
    "object": "an object",
    "str": "a text",
    "int": "a number",
    "float": "a number",
    "bool": "a truth value",
    "null": "a null",
}


def _explain(error: str) -> str:
    if (wrong := _WRONG.match(error)) is not None:
        wanted, given, where = wrong[1], wrong[2], wrong[3]
        place = f"`{where}`" if where else "the body"
        return f"{place} is {_WORDS.get(given, 'a value')}, where {_WORDS.get(wanted, 'another')} should be"
    if (missing := _MISSING.match(error)) is not None:
        return f"`{missing[2]}` has no `{missing[1]}`"
    return "the body is not a V2 request"


def _describe(error: str, text: Text) -> str:
    if not len(text):
        return "the body is empty, where JSON should be"
    if "UTF-8" in error:
        return "the body is not UTF-8"
    return "the body is not JSON" + (": it ends too early" if "truncated" in error else "")


# --- Tensors -----------------------------------------------------------------------------------------


def _read_tensors(
    entries: Sequence[_Tensor], cut: Cut | None, raws: Mapping[int, memoryview]
) -> dict[str, WireTensor]:
    tensors: dict[str, WireTensor] = {}
    for place, each in enumerate(entries):
        if each.name in tensors:
            raise twice(each.name)
        tensors[each.name] = _read_tensor(each, cut, raws.get(place))
    return tensors


def _read_tensor(entry: _Tensor, cut: Cut | None, raw: memoryview | None) -> WireTensor:
    name, datatype, shape = entry.name, _datatype(entry), _shape(entry)
    parameters = _parameters(entry.parameters, f"tensor {show(name)}")
    if raw is not None:
        return read_raw(name, datatype, shape, raw, parameters)
    if not isinstance(entry.data, msgspec.Raw):
        _refuse(entry, "has no `data`")
    text = memoryview(entry.data) if cut is None else cut.find(entry.data)
    if bytes(text[:1]) != b"[":
        _refuse(entry, f"has {_kind_of(text)} as `data`, where a list should be")
    return WireTensor(name, datatype, shape, (), parameters, text=text)


def read_raw(
    name: str, datatype: str, shape: Sequence[int], raw: memoryview, parameters: Fields
) -> WireTensor:
    """Return a tensor out of its little-endian bytes; raises RequestError."""
    try:
        array = from_raw(raw, datatype, shape)
    except (ArrayError, ValueError) as error:
        raise RequestError(f"tensor {show(name)} {error}") from None
    return WireTensor(name, datatype, shape, (), parameters, array)


def _refuse(entry: _Tensor, what: str) -> NoReturn:
    refuse_tensor(entry.name, what)


def _datatype(entry: _Tensor) -> str:
    if not isinstance(entry.datatype, msgspec.Raw):
        _refuse(entry, "has no `datatype`")
    text = memoryview(entry.datatype)
    if bytes(text[:1]) != b'"':
        _refuse(entry, f"has {_kind_of(text)} as `datatype`, where a text should be")
    datatype = bytes(text[1:-1][:_MOST_SHAPE]).decode("utf-8", "replace")
    return check_datatype(entry.name, datatype)


def _shape(entry: _Tensor) -> list[int]:
    if not isinstance(entry.shape, msgspec.Raw):
        _refuse(entry, "has no `shape`")
    text = memoryview(entry.shape)
    if bytes(text[:1]) != b"[":
        _refuse(entry, f"has {_kind_of(text)} as `shape`, where a list should be")
    if len(text) > _MOST_SHAPE:
        _refuse(entry, "has a `shape` of too many sizes")
    try:
        sizes = [_size(each) for each in _SIZES.decode(text)]
        count_elements(sizes)
    except ArrayError as error:
        _refuse(entry, str(error))
    except (msgspec.DecodeError, ValueError):
        _refuse(entry, "has a size in its `shape` that is no whole number")
    return sizes


def _size(given: float | str) -> int:
    """Return a size, which MLServer takes as a text and as `2.0`, too; raises ValueError."""
    size = int(given)
    if size != given and not isinstance(given, str):
        raise ValueError
    return size


def _kind_of(text: memoryview) -> str:
    """Say what a JSON value is, by its first character."""
    known = {b'"': "a text", b"{": "an object", b"[": "a list", b"n": "a null", b"t": "a truth value"}
    return (known | {b"f": "a truth value"}).get(bytes(text[:1]), "a number")


def _part(raw: memoryview, entries: Sequence[_Tensor]) -> dict[int, memoryview]:
    """Return the raw bytes of each tensor that says how many it has, by its place."""
    found: dict[int, memoryview] = {}
    start = 0
    for place, entry in enumerate(entries):
        size = _parameters(entry.parameters, f"tensor {show(entry.name)}").get(SIZE)
        if size is None:
            continue
        if type(size) is not int or size < 0 or start + size > len(raw):
            _refuse(entry, f"says a `{SIZE}` that the body does not have")
        found[place] = raw[start : start + size]
        start += size
    if start != len(raw):
        raise RequestError(f"{len(raw) - start} bytes of the body belong to no tensor")
    return found


# --- Parameters --------------------------------------------------------------------------------------


def _parameters(part: _Part, owner: str) -> Fields:
    if not isinstance(part, msgspec.Raw):
        return {}
    text = memoryview(part)
    if len(text) > MOST_PARAMETERS:
        raise RequestError(f"{owner} has more than {MOST_PARAMETERS} bytes of parameters")
    try:
        value: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise RequestError(f"{owner} has parameters that are not JSON") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RequestError(f"{owner} has {_kind_of(text)} as `parameters`, where an object should be")
    fields = cast("Fields", value)
    if not isinstance(fields.get("content_type"), str | None):
        raise RequestError(f"{owner} has a `content_type` that is no text")
    if not isinstance(fields.get("headers"), dict | None):
        raise RequestError(f"{owner} has `headers` that are no object")
    if not _is_shallow([fields]):
        raise RequestError(f"{owner} has parameters with too many lists or objects within each other")
    return fields


def _is_shallow(level: Sequence[object]) -> bool:
    for _ in range(_MOST_DEPTH):
        inner: list[object] = []
        for each in level:
            if isinstance(each, dict):
                inner += cast("dict[str, object]", each).values()
            elif isinstance(each, list):
                inner += cast("list[object]", each)
        if not inner:
            return True
        level = inner
    return False
