"""Reads the signature in an MLflow model's `MLmodel`, as MLServer's runtime for MLflow asks and answers by it.

The file is that of https://mlflow.org/docs/latest/ml/model/signatures. How a model is asked was seen with
mlserver-mlflow 1.7.1 and MLflow 3.17:
- The signature takes the place of the tensors in `model-settings.json`.
- Columns are inputs, one each, with one element a row. MLflow takes a narrower number for a wider one.
- Tensors with names need those names and their exact datatype. A tensor without a name takes any.
- An output without a name is `output-1` in answers, although the model's metadata call it `output-0`.
- What the signature has as one dimension is answered with two, the second of size 1.
"""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from graphc.artefacts.described import DescribedModel, DescribedTensor
from graphc.diagnostics import Sink
from graphc.source.located import to_plain
from graphc.source.yaml_reader import read_documents
from graphc.unchecked import find, items, objects, parse, text

FILE: Final = "MLmodel"
RUNTIME: Final = "mlserver_mlflow."
"""How the name of the runtime begins that serves such models."""

UNNAMED: Final = "output-1"
_SMALL: Final = frozenset({"UINT8", "UINT16", "INT8", "INT16"})
_COLUMNS: Final[Mapping[str, DescribedTensor]] = {
    "boolean": DescribedTensor("BOOL", None),
    "integer": DescribedTensor("INT32", None, _SMALL),
    "long": DescribedTensor("INT64", None, _SMALL | {"INT32", "UINT32"}),
    "float": DescribedTensor("FP32", None, frozenset({"FP16", "INT64"})),
    "double": DescribedTensor("FP64", None, _SMALL | {"INT32", "UINT32", "INT64", "FP16", "FP32"}),
    "string": DescribedTensor("BYTES", None),
    "binary": DescribedTensor("BYTES", None),
}
"""What MLflow takes for a column of a type: what its own check of a data frame let through."""

_ANY: Final = DescribedTensor(None, None)
_DTYPES: Final[Mapping[str, str]] = {
    "bool": "BOOL",
    **{f"{kind}{bits}": f"{kind.upper()}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"FP{bits}" for bits in (16, 32, 64)},
    **dict.fromkeys(("str", "object", "bytes"), "BYTES"),
}


def read_mlmodel(body: str, file: str) -> DescribedModel | None:
    """Return the model that a file describes; None where it has no signature, or none that can be read."""
    faults = Sink()
    documents = read_documents(body, file, faults)
    if len(documents) != 1:
        return None
    signature = find(to_plain(documents[0]), "signature")
    inputs, outputs = _read_schema(text(signature, "inputs")), _read_schema(text(signature, "outputs"))
    if not inputs and not outputs:
        return None
    named = {text(each, "name"): _read_input(each) for each in inputs}
    required = tuple(text(each, "name") for each in inputs if _is_required(each))
    # A tensor without a name is fed by any.
    takes, needs = (None, ()) if "" in named or not named else (named, required)
    return DescribedModel(file, takes, _read_outputs(outputs), needs)


def _read_schema(written: str) -> Sequence[Mapping[str, object]]:
    """Return the entries of a schema, which is JSON in a text."""
    try:
        schema = parse(written) if written else None
    except ValueError:
        return ()
    return list(objects({"": schema}, ""))


def _is_required(entry: Mapping[str, object]) -> bool:
    # Older files say `optional`.
    return entry.get("required") is not False and entry.get("optional") is not True


def _read_input(entry: Mapping[str, object]) -> DescribedTensor:
    if entry.get("type") == "tensor":
        return _read_tensor(entry)
    return _COLUMNS.get(text(entry, "type"), _ANY)


def _read_tensor(entry: Mapping[str, object]) -> DescribedTensor:
    datatype = _DTYPES.get(text(entry, "tensor-spec", "dtype"))
    sizes = items(entry, "tensor-spec", "shape")
    shape = tuple(size if type(size) is int and size >= 0 else None for size in cast("list[object]", sizes))
    return DescribedTensor(datatype, shape or None)


def _read_outputs(entries: Sequence[Mapping[str, object]]) -> Mapping[str, DescribedTensor] | None:
    """Return the outputs by the names that answers have; None where several have none."""
    found: dict[str, DescribedTensor] = {}
    for entry in entries:
        name = text(entry, "name") or UNNAMED
        if name in found:
            return None
        # What becomes of columns is up to the model: MLflow checks no answer.
        tensor = _read_tensor(entry) if entry.get("type") == "tensor" else _ANY
        shape = (*tensor.shape, 1) if tensor.shape is not None and len(tensor.shape) == 1 else tensor.shape
        found[name] = DescribedTensor(tensor.datatype, shape)
    return found or None
