"""The short way through a unit: a JSON request of just the tensors it takes, all of its answers as JSON.

Most requests are of that kind, and most of what the long way looks at is not there to be found in them. Whatever is
out of the ordinary goes the long way, which says what is wrong with it; the answers are the same, byte for byte.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

import orjson
from graphc_components.datatypes import Array, to_numpy
from graphc_components.tensors import Dim

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.bodies import dump_numbers, dump_rows, dump_tensor
from graphc_runtimes.choose import Call, find_looks
from graphc_runtimes.deadline import PARAMETER as DEADLINE
from graphc_runtimes.errors import RequestError, RunError
from graphc_runtimes.lists import FlatDecoder
from graphc_runtimes.messages import FALLBACKS, OWN_PARAMETERS, WANTED, WireTensor
from graphc_runtimes.numerals import LEAST, read_numbers
from graphc_runtimes.numerals import Text as Body
from graphc_runtimes.packed import read_packed
from graphc_runtimes.reading import MOST_ID
from graphc_runtimes.region import DecidingNode, Node, PythonNode, Region, RegionOutput, TensorSpec
from graphc_runtimes.shapes import is_shape
from graphc_runtimes.unit import LoadedUnit, named_version

LONGEST: Final = 65_536
"""Of larger bodies the decoding is what takes time, and no body is to be decoded twice."""

_KEYS: Final = frozenset({"inputs", "id", "parameters"})
_TOLD: Final = OWN_PARAMETERS | {WANTED, DEADLINE, FALLBACKS}
"""Parameters that say how a request is to be read or answered."""
_SIMPLE: Final = (str, bool, int, float)
_DESCRIBED: Final = 3
"""How many fields a tensor has beside its numbers."""
_MOST_SHAPES: Final = 64

_NOTHING: Final[Mapping[str, str]] = {}


class Asked(NamedTuple):
    """What a request of the plain kind holds."""

    tensors: Mapping[str, Array]
    identity: str
    call: Call
    parameters: bytes
    """Those that the answer has too, as JSON."""


class Lane:
    """The short way of one unit under one of its names."""

    def __init__(self, unit: LoadedUnit, name: str) -> None:
        self.unit = unit
        self._takes = tuple(_Reader(spec) for spec in unit.region.takes)
        self._unread: tuple[None, ...] = (None,) * len(self._takes)
        named: dict[str, object] = {"model_name": name} | named_version(unit)
        self._start = orjson.dumps(named)[:-1] + b',"id":'
        self._looks = find_looks(unit.region)
        self._answers = tuple(
            (_Writer if _has_numbers(answer) else _TextWriter)(answer, unit) for answer in unit.region.answers
        )
        # Nothing is noted where no policy may stand in: one list does for all requests.
        self._no_fallbacks: list[str] = []
        # Nor is anything said by a node: those that do have no short way.
        self._no_tags: dict[str, object] = {}
        self._notes_fallbacks = any(_may_stand_in(node) for node in unit.region.nodes)

    @classmethod
    def find(cls, unit: LoadedUnit, name: str) -> "Lane | None":
        """Return the short way of a unit; None where every request has to be looked at more closely."""
        return cls(unit, name) if _is_plain(unit.region) else None

    def answer(self, body: Body, headers: Mapping[str, str], identity: str) -> bytes | None:
        """Return the JSON of the answer; None for a request that goes the long way. Raises as `read` and `run` do."""
        asked = self.read(body, headers, identity)
        return None if asked is None else self.frame(asked, self.run(asked))

    def run(self, asked: Asked) -> bytes:
        """Return the JSON of the tensors that the unit answers; raises RequestError and RunError as it does."""
        return self.write(self.unit.run(asked.tensors, asked.call))

    def write(self, made: Mapping[str, Array]) -> bytes:
        """Return the JSON of the answer's tensors, out of those that the nodes made; raises RunError."""
        return b",".join([answer.write(made) for answer in self._answers])

    def write_all(self, made: Mapping[str, Array], rows: int, count: int) -> list[bytes] | None:
        """Return the JSON for each of several requests that ran as one; None where each is to be written."""
        found: list[list[bytes]] = []
        for answer in self._answers:
            texts = answer.write_all(made, rows, count)
            if texts is None:
                return None
            found.append(texts)
        return found[0] if len(found) == 1 else [b",".join(each) for each in zip(*found, strict=True)]

    def frame(self, asked: Asked, outputs: bytes) -> bytes:
        """Return the JSON of an answer around that of its tensors."""
        identity, parameters, fallbacks = orjson.dumps(asked.identity), asked.parameters, asked.call.fallbacks
        if fallbacks:
            parameters = orjson.dumps({**asked.call.parameters, FALLBACKS: list(dict.fromkeys(fallbacks))})
        return b'%b%b,"parameters":%b,"outputs":[%b]}' % (self._start, identity, parameters, outputs)

    def sort(self, asked: Asked) -> tuple[int, Hashable]:
        """Return how many rows a request has, and what it has in common with those that it may run with."""
        tensors, kind = asked.tensors, list[Hashable]()
        for reader in self._takes:
            kind += (reader.datatype, *tensors[reader.name].shape[1:])
        if self._looks:
            kind += self._looks.find(asked.call)
        return len(tensors[self._takes[0].name]), tuple(kind)

    def read(self, body: Body, headers: Mapping[str, str], identity: str) -> Asked | None:
        """Return what is asked, under `identity` if it names none; None for a request that goes the long way.

        Raises RequestError for a long list of numbers that is not what it says: no list is read twice.
        """
        found = self._read(body)
        if found is None:
            return None
        tensors, fields = found
        identity = fields.get("id", identity)
        parameters = fields.get("parameters")
        if not parameters and not self._looks and not self._notes_fallbacks:
            call = Call(_NOTHING, _NOTHING, None, identity, self._no_fallbacks, self._no_tags)
            return Asked(tensors, identity, call, b"{}")
        call = Call(parameters or {}, headers, identity=identity)
        return Asked(tensors, identity, call, orjson.dumps(call.parameters))

    def _read(self, body: Body) -> tuple[dict[str, Array], Mapping[str, Any]] | None:
        """Return the tensors and the fields of a request that is of the plain kind."""
        # What the JSON holds is Any, and not cast: as many calls would cost as much as decoding it.
        fields: dict[str, Any]
        texts: Sequence[memoryview | None] = self._unread
        if len(body) < LEAST:
            try:
                fields = orjson.loads(body)
            except orjson.JSONDecodeError:
                return None
        else:
            packed = read_packed(body)
            if packed is None or len(packed.texts) != len(self._takes):
                return None
            fields, texts = packed.fields, packed.texts
        if type(fields) is not dict:
            return None
        tensors = self._take(fields, texts)
        return None if tensors is None else (tensors, fields)

    def _take(self, fields: Mapping[str, Any], texts: Sequence[memoryview | None]) -> dict[str, Array] | None:
        """Return the tensors, whose numbers may stand apart."""
        given: list[Any] | None = fields.get("inputs")
        if type(given) is not list or (len(fields) > 1 and not _is_framed(fields)):
            return None
        if len(given) != len(self._takes):
            return None
        tensors: dict[str, Array] = {}
        sizes: dict[str, int] = {}
        for each, reader, text in zip(given, self._takes, texts, strict=True):
            try:
                array = reader.read(each, sizes, text)
            except ArrayError as error:
                if reader is not self._takes[-1]:
                    # Others may be wrong before this one.
                    return None
                unit = self.unit.region.unit
                raise RequestError(f"unit `{unit}`: tensor `{reader.name}` {error}") from None
            if array is None:
                return None
            tensors[reader.name] = array
        return tensors


def _may_stand_in(node: Node) -> bool:
    return not isinstance(node, DecidingNode) and node.policy.on_error != "fail"


def _is_plain(region: Region) -> bool:
    known = {spec.name for spec in region.graph.inputs}
    return (
        region.wire == "plain"
        and region.graph.deadline_ms is None
        and bool(region.takes)
        and all(spec.name in known and not spec.optional and _has_numbers(spec) for spec in region.takes)
        and not any(answer.optional for answer in region.answers)
        # What such a class says beside its tensors is a parameter of the answer.
        and not any(isinstance(node, PythonNode) and node.seldon is not None for node in region.nodes)
    )


def _has_numbers(spec: TensorSpec | RegionOutput) -> bool:
    return spec.datatype != "BYTES"


def _is_framed(fields: Mapping[str, object]) -> bool:
    """Say whether what stands around the tensors is of the plain kind."""
    if not fields.keys() <= _KEYS or not _is_id(fields.get("id", "")):
        return False
    if "parameters" not in fields:
        return True
    parameters = fields["parameters"]
    if type(parameters) is not dict:
        return False
    told = cast("dict[str, object]", parameters)
    return told.keys().isdisjoint(_TOLD) and all(isinstance(value, _SIMPLE) for value in told.values())


def _is_id(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MOST_ID


class _Reader:
    """Reads one tensor of a request."""

    def __init__(self, spec: TensorSpec) -> None:
        self.name = spec.name
        self.datatype, self._dims = spec.datatype, tuple(spec.shape)
        self._decode = FlatDecoder(spec.datatype)

    def read(self, fields: dict[str, Any], sizes: dict[str, int], text: memoryview | None) -> Array | None:
        """Return the tensor; None where it is not of the plain kind.

        `sizes` has the named dimensions so far, `text` the numbers where they are not among what is given, for which
        ArrayError is raised where they are not what the tensor says.
        """
        if type(fields) is not dict:
            return None
        shape: list[int] | None = fields.get("shape")
        if fields.get("name") != self.name or fields.get("datatype") != self.datatype:
            return None
        if type(shape) is not list or not _fits(shape, self._dims, sizes):
            return None
        if text is not None:
            is_sound = len(fields) == _DESCRIBED and is_shape(shape)
            return read_numbers(text, self.datatype, shape) if is_sound else None
        data: list[object] | None = fields.get("data")
        if type(data) is not list or math.prod(shape) != len(data):
            return None
        flat = self._decode(data)
        return None if flat is None or len(fields) != _DESCRIBED + 1 else flat.reshape(shape)


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

    def __init__(self, answer: RegionOutput, unit: LoadedUnit) -> None:
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
            data = dump_numbers(array)
        except ArrayError as error:
            raise RunError(f"unit `{self._unit.region.unit}`: tensor `{self._answer.name}` {error}") from None
        return b"%b%b}" % (text, data)

    def write_all(self, made: Mapping[str, Array], rows: int, count: int) -> list[bytes] | None:
        """Return the JSON for each of several requests that ran as one; None where each is to be written."""
        array = made.get(self._tensor)
        if array is None or array.dtype is not self._dtype or len(array) != rows:
            return None
        text = self._shapes.get((rows // count, *array.shape[1:]))
        numbers = None if text is None else dump_rows(array, count)
        return None if numbers is None else [b"%b[%b]}" % (text, each) for each in numbers]

    def _describe(self, shape: tuple[int, ...]) -> bytes:
        """Return the JSON of the tensor up to its numbers."""
        if len(self._shapes) >= _MOST_SHAPES:
            self._shapes.clear()
        text = self._shapes[shape] = b"%b%b%b" % (self._start, orjson.dumps(shape), self._middle)
        return text


class _TextWriter:
    """Writes one tensor of texts of an answer."""

    def __init__(self, answer: RegionOutput, unit: LoadedUnit) -> None:
        self._answer, self._unit = answer, unit

    def write(self, made: Mapping[str, Array]) -> bytes:
        """Return the JSON of the tensor; raises RunError."""
        return self._write(made.get(self._answer.tensor))

    def write_all(self, made: Mapping[str, Array], rows: int, count: int) -> list[bytes] | None:
        """Return the JSON for each of several requests that ran as one; None where each is to be written."""
        array = made.get(self._answer.tensor)
        if array is None or not array.ndim or not rows or len(array) != rows:
            return None
        size = rows // count
        try:
            return [self._write(array[start : start + size]) for start in range(0, rows, size)]
        except RunError:
            return None

    def _write(self, array: Array | None) -> bytes:
        answer, checked = self._answer, self._unit.checked(self._answer, array)
        tensor = WireTensor(answer.name, answer.datatype, checked.shape, (), array=checked)
        return dump_tensor(tensor, self._unit.region.unit)
