"""What signatures refuse, and what they tell of symbolic shapes."""

from collections.abc import Mapping

import pytest
from graphc_components.catalog import (
    CATALOG,
    ROUTERS,
    Component,
    SignatureError,
    check_parameters,
    infer_outputs,
)
from graphc_components.tensors import TensorType, parse_tensor_type


def types(component: Component, inputs: list[str] | dict[str, str]) -> dict[str, TensorType]:
    if isinstance(inputs, list):
        names = component.inputs or [str(index) for index in range(len(inputs))]
        inputs = dict(zip(names, inputs, strict=True))
    return {name: parse_tensor_type(text) for name, text in inputs.items()}


def infer(
    component: Component, inputs: list[str] | dict[str, str], values: Mapping[str, object]
) -> dict[str, str]:
    checked, problems = check_parameters(component, values)
    assert problems == []
    inferred = infer_outputs(component, types(component, inputs), checked)
    return {name: str(type_) for name, type_ in inferred.items()}


@pytest.mark.parametrize(
    ("name", "inputs", "values", "expected"),
    [
        ("mean", ["FP32[batch, 2]", "FP64[batch, 2]"], {}, {"output": "FP64[batch, 2]"}),
        ("mean", ["FP16[?, 2]", "FP32[batch, ?]"], {}, {"output": "FP32[batch, 2]"}),
        ("mean", ["INT8[n]"], {}, {"output": "FP64[n]"}),
        ("soft-vote", ["FP32[n, 3]"], {}, {"probabilities": "FP32[n, 3]", "index": "INT64[n]"}),
        ("hard-vote", ["BYTES[n]", "BYTES[?]"], {}, {"output": "BYTES[n]"}),
        ("max", ["UINT8[n, 2]"] * 2, {}, {"output": "UINT8[n, 2]"}),
        ("stack", ["BOOL[n]", "BOOL[n]"], {}, {"output": "BOOL[n, 2]"}),
        ("stack", ["BOOL[n, 4]", "BOOL[n, 4]"], {"axis": 1}, {"output": "BOOL[n, 2, 4]"}),
        ("concat", ["FP32[n, 4]", "FP32[?, 5]"], {}, {"output": "FP32[n, 9]"}),
        ("concat", ["FP32[n, 4]", "FP32[n, k]"], {}, {"output": "FP32[n, ?]"}),
        ("concat", ["FP32[n, 1, ?]", "FP32[n, 2, 8]"], {"axis": 1}, {"output": "FP32[n, 3, 8]"}),
        ("scale", ["INT32[n, ?]"], {"mean": [1, 2]}, {"output": "FP64[n, 2]"}),
        ("select", ["BYTES[n, ?]"], {"columns": [4, 0]}, {"output": "BYTES[n, 2]"}),
        ("reshape", ["FP32[n, 6]"], {"shape": [2, -1]}, {"output": "FP32[n, 2, 3]"}),
        ("reshape", ["FP32[n, k]"], {"shape": [2, -1]}, {"output": "FP32[n, 2, ?]"}),
        ("reshape", ["FP32[n, 1]"], {"shape": []}, {"output": "FP32[n]"}),
        ("argmax", ["FP32[n, a, b]"], {"axis": 1}, {"output": "INT64[n, b]"}),
        ("top-k", ["FP16[n, a]"], {"k": 2}, {"values": "FP16[n, 2]", "indices": "INT64[n, 2]"}),
        ("one-hot", ["BYTES[n]"], {"categories": ["a", "b"]}, {"output": "FP32[n, 2]"}),
        ("threshold", ["FP32[n]"], {"at": 1}, {"output": "BOOL[n]"}),
        ("rename", {"p": "FP32[n]", "q": "BYTES[m]"}, {}, {"p": "FP32[n]", "q": "BYTES[m]"}),
    ],
)
def test_shapes_that_follow(
    name: str, inputs: list[str] | dict[str, str], values: Mapping[str, object], expected: dict[str, str]
) -> None:
    assert infer(CATALOG[name], inputs, values) == expected


def test_routers_choose_for_each_row() -> None:
    assert infer(ROUTERS["threshold"], ["FP32[n, 1]"], {"below": [1]}) == {"choice": "INT32[n]"}
    assert infer(ROUTERS["equals"], ["BYTES[n]"], {"equals": ["a"]}) == {"choice": "INT32[n]"}
    assert infer(ROUTERS["confidence"], ["FP32[n, 3]"], {"until": 0.9}) == {"choice": "INT32[n]"}
    assert infer(ROUTERS["random"], [], {"weights": [1]}) == {"choice": "INT32[?]"}


# Which input or parameter is guilty, as an index or a name.
REFUSED: list[tuple[Component, list[str] | dict[str, str], Mapping[str, object], str, int | str | None]] = [
    (CATALOG["mean"], ["FP32[n]", "BYTES[n]"], {}, "needs a numeric tensor, not `BYTES[n]`", 1),
    (CATALOG["mean"], ["BOOL[n]"], {}, "needs a numeric tensor, not `BOOL[n]`", 0),
    (
        CATALOG["mean"],
        ["FP32[n, 2]", "FP32[n, 3]"],
        {},
        "needs inputs of one shape, not `FP32[n, 2]` and `FP32[n, 3]`",
        1,
    ),
    (
        CATALOG["mean"],
        ["FP32[n]", "FP32[m]"],
        {},
        "needs inputs of one shape, not `FP32[n]` and `FP32[m]`",
        1,
    ),
    (CATALOG["mean"], [], {}, "needs at least 1 input", None),
    (
        CATALOG["weighted-mean"],
        ["FP32[n]"],
        {"weights": [1, 2]},
        "needs as many weights as it has inputs: 1, not 2",
        "weights",
    ),
    (
        CATALOG["weighted-mean"],
        ["FP32[n]"],
        {"weights": [0]},
        "needs weights with a sum above 0",
        "weights",
    ),
    (CATALOG["soft-vote"], ["FP32[n]"], {}, "needs a tensor of at least 2 dimensions, not `FP32[n]`", 0),
    (CATALOG["soft-vote"], ["FP32[n, 0]"], {}, "needs at least one class, not `FP32[n, 0]`", 0),
    (
        CATALOG["hard-vote"],
        ["INT64[n]", "FP32[n]"],
        {},
        "needs inputs of one datatype, not `INT64[n]` and `FP32[n]`; `cast` changes a datatype",
        1,
    ),
    (CATALOG["min"], ["BYTES[n]"], {}, "needs a numeric tensor, not `BYTES[n]`", 0),
    (
        CATALOG["concat"],
        ["FP32[n, 2]"],
        {"axis": 0},
        "works row by row, and axis 0 of a tensor of 2 dimensions is its rows",
        "axis",
    ),
    (
        CATALOG["concat"],
        ["FP32[n]"],
        {},
        "works row by row, and axis -1 of a tensor of 1 dimension is its rows",
        "axis",
    ),
    (
        CATALOG["stack"],
        ["FP32[n]"],
        {"axis": -2},
        "works row by row, and axis -2 of a result of 2 dimensions is its rows",
        "axis",
    ),
    (CATALOG["softmax"], ["FP32[n, 2]"], {"axis": 2}, "has no axis 2 in a tensor of 2 dimensions", "axis"),
    (
        CATALOG["concat"],
        ["FP32[n, 2]", "FP32[m, 2]"],
        {},
        "cannot join `FP32[n, 2]` and `FP32[m, 2]` along axis 1",
        1,
    ),
    (
        CATALOG["concat"],
        ["FP32[n, 2]", "FP32[n]"],
        {},
        "cannot join `FP32[n, 2]` and `FP32[n]` along axis 1",
        1,
    ),
    (
        CATALOG["scale"],
        ["FP32[n, 3]"],
        {"mean": [1, 2]},
        "needs as many numbers in `mean` as `FP32[n, 3]` has columns: 3, not 2",
        "mean",
    ),
    (
        CATALOG["scale"],
        ["FP32[n, ?]"],
        {"mean": [1, 2], "scale": [1]},
        "needs as many numbers in `scale` as `FP32[n, ?]` has columns: 2, not 1",
        "scale",
    ),
    (
        CATALOG["scale"],
        ["FP32[n, 2]"],
        {"scale": [1, 0]},
        "has 0 in `scale`, by which nothing can be divided",
        "scale",
    ),
    (
        CATALOG["scale"],
        ["FP32[n]"],
        {"scale": 0},
        "has 0 in `scale`, by which nothing can be divided",
        "scale",
    ),
    (CATALOG["clip"], ["FP32[n]"], {}, "needs `low`, `high` or both", None),
    (
        CATALOG["clip"],
        ["FP32[n]"],
        {"low": 2, "high": 1},
        "has a `low` of 2 above its `high` of 1",
        "low",
    ),
    (
        CATALOG["clip"],
        ["INT8[n]"],
        {"low": 0.5},
        "has a `low` of 0.5, which is not a value of INT8",
        "low",
    ),
    (CATALOG["clip"], ["UINT8[n]"], {"high": -1}, "has a `high` of -1, which no UINT8 satisfies", "high"),
    (
        CATALOG["select"],
        ["FP32[n, 3]"],
        {"columns": [3]},
        "has 3 in `columns`, and the last of the 3 columns of `FP32[n, 3]` is 2",
        "columns",
    ),
    (
        CATALOG["reshape"],
        ["FP32[n, 6]"],
        {"shape": [4]},
        "cannot give a row of `FP32[n, 6]`, which has 6 values, the shape [4]",
        "shape",
    ),
    (
        CATALOG["reshape"],
        ["FP32[n, 6]"],
        {"shape": [-1, -1]},
        "needs sizes of at least 1 in `shape`, one of which may be -1",
        "shape",
    ),
    (
        CATALOG["argmax"],
        ["FP32[n, 0]"],
        {},
        "needs values on axis 1 of `FP32[n, 0]`, which is empty",
        0,
    ),
    (CATALOG["top-k"], ["FP32[n, 3]"], {"k": 4}, "has a `k` of 4, and `FP32[n, 3]` has 3 columns", "k"),
    (
        CATALOG["one-hot"],
        ["FP32[n]"],
        {"categories": [1]},
        "needs a tensor of integers or BYTES, not `FP32[n]`",
        0,
    ),
    (
        CATALOG["one-hot"],
        ["INT8[n]"],
        {"categories": [1, 200]},
        "has `200` in `categories`, which is not a value of INT8",
        "categories",
    ),
    (
        CATALOG["one-hot"],
        ["BYTES[n]"],
        {"categories": [1]},
        "has `1` in `categories`, which is not a value of BYTES",
        "categories",
    ),
    (
        CATALOG["label-map"],
        ["BYTES[n]"],
        {"labels": ["a"]},
        "needs a tensor of integers for a list of labels, not `BYTES[n]`",
        0,
    ),
    (
        CATALOG["label-map"],
        ["UINT8[n]"],
        {"labels": {"01": "a"}},
        "has `01` in `labels`, which is not a value of UINT8",
        "labels",
    ),
    (
        CATALOG["label-map"],
        ["UINT8[n]"],
        {"labels": {"-1": "a"}},
        "has `-1` in `labels`, which is not a value of UINT8",
        "labels",
    ),
    (
        ROUTERS["threshold"],
        ["FP32[n]"],
        {"below": [2, 1]},
        "has 1 after 2 in `below`, so that its branch is never taken",
        "below",
    ),
    (
        ROUTERS["threshold"],
        ["FP32[n, 2]"],
        {"below": [1]},
        "needs one value for each row, not `FP32[n, 2]`",
        0,
    ),
    (
        ROUTERS["equals"],
        ["BOOL[n]"],
        {"equals": [True, 1]},
        "has `1` in `equals`, which is not a value of BOOL",
        "equals",
    ),
    (
        ROUTERS["equals"],
        ["INT8[n]"],
        {"equals": [True]},
        "has `true` in `equals`, which is not a value of INT8",
        "equals",
    ),
    (
        ROUTERS["confidence"],
        ["FP32[n, 2, 2]"],
        {"until": 1},
        "needs a tensor of one or two dimensions, not `FP32[n, 2, 2]`",
        0,
    ),
    (ROUTERS["random"], [], {"weights": [0, 0]}, "needs weights with a sum above 0", "weights"),
    (CATALOG["clip"], {"y": "FP32[n]"}, {"low": 0}, "takes the inputs `x`, not `y`", None),
]


@pytest.mark.parametrize(("component", "inputs", "values", "message", "guilty"), REFUSED)
def test_refusals(
    component: Component,
    inputs: list[str] | dict[str, str],
    values: Mapping[str, object],
    message: str,
    guilty: int | str | None,
) -> None:
    with pytest.raises(SignatureError) as caught:
        infer(component, inputs, values)
    assert caught.value.message == message
    blamed = caught.value.parameter if caught.value.input is None else caught.value.input
    assert blamed == guilty
