"""Shared by the training scripts: models as ONNX files with names of their own, answers as V2 messages."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator, is_classifier

OPSET = 17
DATATYPES = {"f4": "FP32", "f8": "FP64", "i4": "INT32", "i8": "INT64", "b1": "BOOL"}

Json = dict[str, object]
"""A JSON object."""

Case = dict[str, Json | str]
"""A `request` and what is `expected` of it, and the `predictor` that is asked, where that is not the main one."""


def save_onnx(model: BaseEstimator, path: Path, outputs: Sequence[str]) -> None:
    """Write a fitted model as ONNX: input `X`, its outputs named in order, the first dimension `batch`."""
    exported = convert_sklearn(
        model,
        name=path.stem,
        initial_types=[("X", FloatTensorType([None, model.n_features_in_]))],
        options={"zipmap": False} if is_classifier(model) else None,
        target_opset=OPSET,
    )
    _set_opset(exported)
    _rename(exported.graph, {old.name: new for old, new in zip(exported.graph.output, outputs, strict=True)})
    for value in (*exported.graph.input, *exported.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(exported, full_check=True)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(exported.SerializeToString(deterministic=True))


def _set_opset(model: onnx.ModelProto) -> None:
    # skl2onnx states the default domain twice, or in the version of its newest operator; models can be merged
    # only where all state one version.
    versions = {entry.domain: entry.version for entry in model.opset_import} | {"": OPSET}
    del model.opset_import[:]
    model.opset_import.extend(
        onnx.helper.make_opsetid(domain, version) for domain, version in versions.items()
    )


def _rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in graph.output:
        value.name = names[value.name]


def tensor(name: str, values: NDArray[np.generic]) -> Json:
    """Return an array of numbers as a V2 tensor; FP32 in the fewest digits that read back the same."""
    data = (
        [float(str(value)) for value in values.flat]
        if values.dtype == np.float32
        else values.ravel().tolist()
    )
    datatype = DATATYPES[values.dtype.str[1:]]
    return {"name": name, "shape": list(values.shape), "datatype": datatype, "data": data}


def texts(name: str, values: Sequence[str]) -> Json:
    """Return words as a V2 tensor."""
    return {"name": name, "shape": [len(values)], "datatype": "BYTES", "data": list(values)}


def binaries(name: str, values: Sequence[bytes]) -> Json:
    """Return the content of files as a V2 tensor, in base64."""
    data = [base64.b64encode(value).decode("ascii") for value in values]
    parameters = {"content_type": "base64"}
    return {"name": name, "shape": [len(data)], "datatype": "BYTES", "parameters": parameters, "data": data}


def case(inputs: list[Json], outputs: list[Json], parameters: Json | None = None) -> Case:
    """Return a request and the answer that the models in the training library give to it."""
    request: Json = {"parameters": parameters} if parameters else {}
    return {"request": request | {"inputs": inputs}, "expected": {"outputs": outputs}}


def save_cases(folder: Path, shown: Case, *others: Case) -> None:
    """Write one case as `request.json` and `expected.json`, and the others to `cases.json`."""
    for part, message in shown.items():
        if isinstance(message, dict):
            (folder / f"{part}.json").write_text(_readable(message))
    lines = ",\n".join(json.dumps(other) for other in others)
    (folder / "cases.json").write_text(f"[\n{lines}\n]\n")


def _readable(message: Json) -> str:
    # One line for a tensor, not one for each number.
    return "{\n" + ",\n".join(f'  "{key}": {_field(value)}' for key, value in message.items()) + "\n}\n"


def _field(value: object) -> str:
    if not isinstance(value, list):
        return json.dumps(value)
    return "[\n" + ",\n".join(f"    {json.dumps(item)}" for item in value) + "\n  ]"
