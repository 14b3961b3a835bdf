"""The ONNX forms of the transformers between datatypes.

Operators raise nothing for a value that has no label or category, but a look-up fails for an index that the table
does not have: so what is unknown gets the index after the last.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from graphc_components.arguments import elements, text
from graphc_components.component import Value
from graphc_components.datatypes import bytes_array, to_numpy
from graphc_components.onnx_forms.writer import ML, Writer
from graphc_components.tensors import FLOATS, INTEGERS, value_range

Values = Mapping[str, Value]

_WORDS: Final = {"true": 1, "false": 0}


def one_hot(writer: Writer, values: Values) -> list[str] | None:
    """State the encoding, as rows of a table with a 1 in each."""
    categories = [each for each in elements(values, "categories") if isinstance(each, int)]
    position = _position(writer, categories)
    if position is None:
        return None
    rows = np.eye(len(categories) + 1, len(categories)).astype(to_numpy(text(values, "datatype")))
    if text(values, "unknown") == "ignore":
        return [writer.add("Gather", writer.constant(rows), position, axis=0)]
    return [writer.refuse_out_of_bounds(writer.constant(rows[:-1]), position)]


def label_map(writer: Writer, values: Values) -> list[str] | None:
    """State the look-up of labels."""
    labels = values["labels"]
    pairs = (
        {_WORDS[key] if key in _WORDS else int(key): label for key, label in labels.items()}
        if isinstance(labels, Mapping)
        else {index: str(label) for index, label in enumerate(elements(values, "labels"))}
    )
    position = _position(writer, list(pairs))
    if position is None:
        return None
    texts = [label.encode() for label in pairs.values()]
    if "default" not in values:
        table = writer.constant(bytes_array(texts, (len(texts),)))
        return [writer.refuse_out_of_bounds(table, position)]
    texts.append(text(values, "default").encode())
    return [writer.add("Gather", writer.constant(bytes_array(texts, (len(texts),))), position, axis=0)]


def cast_to(writer: Writer, values: Values) -> list[str] | None:
    """State the conversion, where no value fails it."""
    source, target = writer.types[0].datatype, text(values, "datatype")
    return [writer.cast(writer.inputs[0], source, target)] if _is_total(source, target) else None


def _is_total(source: str, target: str) -> bool:
    if source == target:
        return True
    if target == "BYTES":
        return source in {"INT32", "INT64"}
    # A number of an integer datatype may be infinity in FP16, and ONNX Runtime does not round as numpy does.
    if target == "FP16":
        return False
    if source == "BOOL":
        return True
    if source in FLOATS:
        return target in FLOATS and int(source[2:]) < int(target[2:])
    return target in FLOATS or target == "BOOL" or _contains(target, source)


def _contains(target: str, source: str) -> bool:
    least, greatest = value_range(source)
    return value_range(target)[0] <= least and greatest <= value_range(target)[1]


def _position(writer: Writer, known: Sequence[int]) -> str | None:
    """Return the place of each value among those known, or the number of them."""
    datatype = writer.types[0].datatype
    if datatype not in (INTEGERS | {"BOOL"}) - {"UINT64"} or not known:
        return None
    wide = writer.cast(writer.inputs[0], datatype, "INT64")
    return writer.add(
        "LabelEncoder",
        wide,
        domain=ML,
        keys_int64s=tuple(known),
        values_int64s=tuple(range(len(known))),
        default_int64=len(known),
    )
