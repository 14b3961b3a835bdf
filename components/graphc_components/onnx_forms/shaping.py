"""The ONNX forms of the transformers that move values and change none."""

import math
from collections.abc import Mapping

from graphc_components.arguments import integers
from graphc_components.component import Value
from graphc_components.onnx_forms.writer import Writer

Values = Mapping[str, Value]


def select(writer: Writer, values: Values) -> list[str] | None:
    """State the selection; where the number of columns is unknown, a GPU would not notice that one is missing."""
    if not isinstance(writer.types[0].shape[-1], int):
        return None
    return [writer.add("Gather", writer.inputs[0], writer.sizes(*integers(values, "columns")), axis=-1)]


def reshape(writer: Writer, values: Values) -> list[str] | None:
    """State the reshaping, with a size that is worked out here: operators cannot, for a batch of no rows."""
    sizes = [dim for dim in writer.types[0].shape[1:] if isinstance(dim, int)]
    if len(sizes) != writer.types[0].rank - 1:
        return None
    shape = integers(values, "shape")
    known = math.prod(dim for dim in shape if dim != -1)
    # A size of 0 keeps the one there is.
    target = writer.sizes(0, *(math.prod(sizes) // known if dim == -1 else dim for dim in shape))
    return None if 0 in sizes else [writer.add("Reshape", writer.inputs[0], target)]


def rename(writer: Writer, values: Values) -> list[str] | None:  # noqa: ARG001
    """State nothing but the inputs."""
    return list(writer.inputs)
