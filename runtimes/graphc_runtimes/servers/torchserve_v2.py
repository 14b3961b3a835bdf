"""TorchServe's envelope `kservev2`: V2, except that its answers keep neither names, datatypes nor shapes.

TorchServe 0.12 names outputs by the inputs in their order, gives them the datatype of numpy's own choice, and flattens
them. It reads one text of a tensor.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from graphc_components.datatypes import Array
from graphc_components.tensors import Dim

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.region import Declared
from graphc_runtimes.servers import v2
from graphc_runtimes.servers.dialect import Answer, AnswerError, Asked, Call
from graphc_runtimes.servers.nested import Json, load_object, read_array
from graphc_runtimes.shapes import MOST_DIMS
from graphc_runtimes.shown import show

_NONE: Final = "answered with no V2 answer"


class EnvelopedV2:
    """Asks for one model, and takes the outputs as the node declares them."""

    def __init__(self, asked: Asked, path: str) -> None:
        self._outputs = asked.outputs
        self._asking = v2.V2(asked, path)

    def ask(self, inputs: Mapping[str, Array]) -> Sequence[Call]:
        """Return the one call of a request; raises ArrayError."""
        for name, array in inputs.items():
            if array.dtype.kind == "O" and array.size != 1:
                count = f"input {show(name)} has {array.size} texts"
                raise ArrayError(f"cannot ask its server: {count}, and this envelope reads the first alone")
        return self._asking.ask(inputs)

    def read(self, answers: Sequence[Answer], _inputs: Mapping[str, Array], /) -> Mapping[str, Array]:
        """Return the declared outputs; raises AnswerError."""
        found = load_object(answers[0].body).get("outputs")
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise AnswerError(f"{_NONE}: it has no list of `outputs`")
        tensors = [each for each in found if isinstance(each, dict)]
        return {
            name: _read(tensor, name, self._outputs[name])
            for name, tensor in _by_name(tensors, list(self._outputs)).items()
        }


def _by_name(tensors: Sequence[dict[str, Json]], wanted: Sequence[str]) -> dict[str, dict[str, Json]]:
    """Return the tensors by the declared names: those that have them, or all of them in their order."""
    named = {each["name"]: each for each in tensors if isinstance(each.get("name"), str)}
    if all(name in named for name in wanted):
        return {name: named[name] for name in wanted}
    if len(tensors) != len(wanted):
        raise AnswerError(f"gave {len(tensors)} outputs, and {len(wanted)} are declared")
    return dict(zip(wanted, tensors, strict=True))


def _read(tensor: Mapping[str, Json], name: str, declared: Declared) -> Array:
    try:
        array = read_array(tensor.get("data"), declared)
        return array.reshape(_shape(array.shape, tensor.get("shape"), declared.shape))
    except ArrayError as error:
        raise AnswerError(f"gave an output {show(name)} that {error}") from None


def _shape(found: Sequence[int], said: Json, declared: Sequence[Dim]) -> Sequence[int]:
    """Return the shape of an output: as declared where it came flat, else as the answer says."""
    count = math.prod(found)
    if isinstance(said, list) and 1 < len(said) <= MOST_DIMS:
        dims = [dim for dim in said if isinstance(dim, int) and dim >= 0]
        if len(dims) == len(said) and math.prod(dims) == count:
            return dims
    known = math.prod(dim for dim in declared if isinstance(dim, int))
    unknown = sum(not isinstance(dim, int) for dim in declared)
    is_whole = unknown <= 1 and known > 0 and count % known == 0 and (unknown or count == known)
    if len(found) != 1 or not is_whole:
        return found
    return [dim if isinstance(dim, int) else count // known for dim in declared]
