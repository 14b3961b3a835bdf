"""The short way through a unit: a plain JSON request of just the tensors it takes, all of its answers as JSON.

Most requests are of that kind, and most of what the long way looks at is not there to be found in them. Whatever is
out of the ordinary goes the long way, which says what is wrong with it; the answers are the same, byte for byte.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, cast

import orjson
from graphc_components.datatypes import Array, to_numpy
from graphc_components.tensors import Dim

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.bodies import Body, write_numbers
from graphc_runtimes.choose import Call
from graphc_runtimes.errors import RunError
from graphc_runtimes.messages import FlatDecoder
from graphc_runtimes.region import Answer, ChoiceNode, Region, TensorSpec
from graphc_runtimes.unit import Unit

LONGEST: Final = 65_536
"""Of larger bodies the decoding is what takes time, and no body is to be decoded twice."""

_KEYS: Final = frozenset({"inputs", "id"})
_TENSOR_KEYS: Final = 4
_MOST_SHAPES: Final = 64


class Lane:
    """The short way of one unit under one of its names."""

    def __init__(self, unit: Unit, name: str) -> None:
        self.unit = unit
        self._takes = tuple(_Reader(spec) for spec in unit.region.takes)
        self._start = b'{"model_name":%b,"id":' % orjson.dumps(name)
        self._answers = tuple(_Writer(answer, unit) for answer in unit.region.answers)
        self._call = Call()

    @classmethod
    def find(cls, unit: Unit, name: str) -> "Lane | None":
        """Return the short way of a unit; None where every request has to be looked at more closely."""
        return cls(unit, name) if _is_plain(unit.region) else None

    def answer(self, body: Body, identity: str) -> tuple[str, bytes] | None:
        """Return the answer's id, which is `identity` for requests without one, and its JSON.

        None for a request that goes the long way; raises RunError as the unit does.
        """
        try:
            fields = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        tensors = self._read(fields)
        if tensors is None:
            return None
        identity = fields.get("id", identity)
        made = self.unit.run(tensors, self._call)
        outputs = b",".join([answer.write(made) for answer in self._answers])
        text = b'%b%b,"parameters":{},"outputs":[%b]}' % (self._start, orjson.dumps(identity), outputs)
        return identity, text

    def _read(self, fields: object) -> dict[str, Array] | None:
        """Return the tensors of a request that is of the plain kind."""
        if type(fields) is not dict:
            return None
        found = cast("dict[str, object]", fields)
        inputs = found.get("inputs")
        if type(inputs) is not list or (len(found) > 1 and not _has_identity(found)):
            return None
        given = cast("list[object]", inputs)
        if len(given) != len(self._takes):
            return None
        tensors: dict[str, Array] = {}
        sizes: dict[str, int] = {}
        for each, reader in zip(given, self._takes, strict=True):
            array = reader.read(each, sizes)
            if array is None:
                return None
            tensors[reader.name] = array
        return tensors


def _is_plain(region: Region) -> bool:
    known = {spec.name for spec in region.graph.inputs}
    return (
        region.wire == "plain"
        and region.graph.deadline_ms is None
        and region.batch is None
        and not any(isinstance(node, ChoiceNode) and _looks_at_request(node) for node in region.nodes)
        and bool(region.takes)
        and all(spec.name in known and not spec.optional and _has_numbers(spec) for spec in region.takes)
        and all(not answer.optional and _has_numbers(answer) for answer in region.answers)
    )


def _looks_at_request(node: ChoiceNode) -> bool:
    return node.router in ("parameter", "header") or bool(node.parameters.get("key"))


def _has_numbers(spec: TensorSpec | Answer) -> bool:
    return spec.datatype != "BYTES"


def _has_identity(fields: Mapping[str, object]) -> bool:
    return type(fields.get("id")) is str and fields.keys() <= _KEYS


class _Reader:
    """Reads one tensor of a request."""

    def __init__(self, spec: TensorSpec) -> None:
        self.name = spec.name
        self._datatype, self._dims = spec.datatype, tuple(spec.shape)
        self._decode = FlatDecoder(spec.datatype)

    def read(self, given: object, sizes: dict[str, int]) -> Array | None:
        """Return the tensor; None where it is not of the plain kind. `sizes` has the named dimensions so far."""
        if type(given) is not dict:
            return None
        fields = cast("dict[str, object]", given)
        shape, data = fields.get("shape"), fields.get("data")
        if len(fields) != _TENSOR_KEYS or fields.get("name") != self.name:
            return None
        if fields.get("datatype") != self._datatype or type(shape) is not list or type(data) is not list:
            return None
        listed, numbers = cast("list[int]", shape), cast("list[object]", data)
        if not _fits(listed, self._dims, sizes) or math.prod(listed) != len(numbers):
            return None
        flat = self._decode(numbers)
        return None if flat is None else flat.reshape(listed)


def _fits(shape: Sequence[int], dims: Sequence[Dim], sizes: dict[str, int]) -> bool:
    if len(shape) != len(dims):
        return False
    for size, dim in zip(shape, dims, strict=True):
        if type(size) is not int or size < 0:
            return False
        wanted = sizes.setdefault(dim, size) if type(dim) is str else dim
        if wanted is not None and wanted != size:
            return False
    return True


class _Writer:
    """Writes one tensor of an answer."""

    def __init__(self, answer: Answer, unit: Unit) -> None:
        self._answer, self._unit = answer, unit
        self._tensor, self._dtype = answer.tensor, to_numpy(answer.datatype)
        self._start = b'{"name":%b,"shape":' % orjson.dumps(answer.name)
        self._middle = b',"datatype":%b,"data":' % orjson.dumps(answer.datatype)
        self._shapes: dict[tuple[int, ...], bytes] = {}

    def write(self, made: Mapping[str, Array]) -> bytes:
        """Return the JSON of the tensor; raises RunError."""
        array = made.get(self._tensor)
        # A shape that is known here was found to be one that the answer may have.
        text = None if array is None or array.dtype is not self._dtype else self._shapes.get(array.shape)
        if array is None or text is None:
            array = self._unit.checked(self._answer, array)
            text = self._describe(array.shape)
        try:
            data = orjson.dumps(write_numbers(array), option=orjson.OPT_SERIALIZE_NUMPY)
        except ArrayError as error:
            raise RunError(f"unit `{self._unit.region.unit}`: tensor `{self._answer.name}` {error}") from None
        return b"%b%b}" % (text, data)

    def _describe(self, shape: tuple[int, ...]) -> bytes:
        """Return the JSON of the tensor up to its numbers."""
        if len(self._shapes) >= _MOST_SHAPES:
            self._shapes.clear()
        text = self._shapes[shape] = b"%b%b%b" % (self._start, orjson.dumps(shape), self._middle)
        return text
