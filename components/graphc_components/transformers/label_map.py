"""Positions or values turned into labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from graphc_components.arguments import elements, text
from graphc_components.component import (
    Component,
    ComponentError,
    Parameter,
    ParameterKind,
    Role,
    SignatureError,
    Values,
)
from graphc_components.late import datatypes, steps
from graphc_components.signatures import require_datatype
from graphc_components.tensors import INTEGERS, TensorType, value_range
from graphc_components.transformers.cast import cast_to

_WORDS: Final = {"true": 1, "false": 0}


def label_map(
    x: datatypes.Array, *, labels: Sequence[str] | Mapping[str, str], default: str | None = None
) -> datatypes.Array:
    """Return the label of each value: by position in a list, or by the value's text in a mapping.

    A value without a label gets `default`; where there is none, it is an error.
    """
    pairs = (
        labels.items() if isinstance(labels, Mapping) else ((str(i), label) for i, label in enumerate(labels))
    )
    table = {key.encode(): label.encode() for key, label in pairs}
    texts = datatypes.bytes_of(cast_to(x, datatype="BYTES"))
    if default is None:
        unknown = next((text for text in texts if text not in table), None)
        if unknown is not None:
            raise ComponentError(f"{datatypes.show(unknown)} has no label")
    fallback = (default or "").encode()
    return datatypes.bytes_array((table.get(text, fallback) for text in texts), x.shape)


def _signature(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:
    (x,), labels = types, values["labels"]
    if isinstance(labels, Mapping):
        require_datatype(types, INTEGERS | {"BYTES", "BOOL"}, "a tensor of integers, BYTES or BOOL")
        for key in labels:
            _require_key(x.datatype, key)
    else:
        require_datatype(types, INTEGERS, "a tensor of integers for a list of labels")
    return {"output": x.with_datatype("BYTES")}


def _require_key(datatype: str, key: str) -> None:
    if datatype == "BYTES" or (datatype == "BOOL" and key in {"true", "false"}):
        return
    if datatype in INTEGERS and _is_integer(key):
        least, greatest = value_range(datatype)
        if least <= int(key) <= greatest:
            return
    raise SignatureError(f"has `{key}` in `labels`, which is not a value of {datatype}", parameter="labels")


def _is_integer(key: str) -> bool:
    digits = key.removeprefix("-")
    # Values are looked up by their text, which has no leading zero.
    return digits.isascii() and digits.isdigit() and key == str(int(key))


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:
    """State the look-up of labels."""
    labels = values["labels"]
    pairs = (
        {_WORDS[key] if key in _WORDS else int(key): label for key, label in labels.items()}
        if isinstance(labels, Mapping)
        else {index: str(label) for index, label in enumerate(elements(values, "labels"))}
    )
    position = steps.look_up(writer, list(pairs))
    if position is None:
        return None
    texts = [label.encode() for label in pairs.values()]
    if "default" not in values:
        table = writer.constant(datatypes.bytes_array(texts, (len(texts),)))
        return [writer.refuse_out_of_bounds(table, position)]
    texts.append(text(values, "default").encode())
    table = writer.constant(datatypes.bytes_array(texts, (len(texts),)))
    return [writer.add("Gather", table, position, axis=0)]


COMPONENT = Component(
    name="label-map",
    role=Role.TRANSFORMER,
    summary="Turns positions or values into labels, as BYTES.",
    signature=_signature,
    function=label_map,
    onnx=_onnx,
    inputs=("x",),
    parameters=(
        Parameter(
            name="labels",
            kind=ParameterKind.STRINGS_OR_MAPPING,
            required=True,
            doc="The labels by position from 0, or a mapping from values to labels.",
        ),
        Parameter(
            name="default",
            kind=ParameterKind.STRING,
            doc="The label of a value that has none; without it such a value fails the request.",
        ),
    ),
)
