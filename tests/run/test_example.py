"""The example request and the signature that it is made from."""

import json
import shlex
from pathlib import Path

import pytest
from graphc.run.environment import Ports
from graphc.run.example import MAX_ELEMENTS, make_example, write_curl
from graphc.run.front import bind_units, find_first, find_last, infer_path
from graphc.run.plan import UnitProcess
from graphc.run.signature import Signature, find_signature
from graphc.seldon.unit import Endpoint, SeldonUnit
from graphc_components.tensors import TensorType, parse_tensor_type

REGION = {
    "graphc": 1,
    "graph": {
        "name": "fraud",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": ["batch", 3]}, {"datatype": "NO"}],
        "outputs": [{"name": "label", "datatype": "BYTES", "shape": ["batch"]}],
    },
}


def types(**texts: str) -> dict[str, TensorType]:
    return {name: parse_tensor_type(text) for name, text in texts.items()}


def test_every_datatype_has_an_example() -> None:
    body = make_example(types(x="FP32[batch, 3]", t="BYTES[batch]", b="BOOL[?, 2]", i="UINT8[2, 6]"))
    assert body == {
        "inputs": [
            {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [0.1, 0.2, 0.3]},
            {"name": "t", "shape": [1], "datatype": "BYTES", "data": ["text"]},
            {"name": "b", "shape": [1, 2], "datatype": "BOOL", "data": [True, False]},
            {"name": "i", "shape": [2, 6], "datatype": "UINT8", "data": [*range(10), 0, 1]},
        ]
    }


def test_what_is_unknown_or_too_large_has_no_example() -> None:
    assert make_example({}) is None
    assert make_example(types(x=f"FP32[batch, {MAX_ELEMENTS}]")) is not None
    assert make_example(types(x=f"FP32[batch, {MAX_ELEMENTS + 1}]")) is None


def test_curl_survives_a_shell() -> None:
    body = {"inputs": [{"name": "it's", "data": ["$(x) `y`"]}]}
    words = shlex.split(write_curl("http://127.0.0.1:1/v2/models/a%20b/infer", body))
    assert words[:3] == ["curl", "-sS", "http://127.0.0.1:1/v2/models/a%20b/infer"]
    assert json.loads(words[-1]) == body


def test_signature_is_the_regions() -> None:
    signature = find_signature([{}, {"GRAPHC_REGION": "broken"}, {"GRAPHC_REGION": json.dumps(REGION)}])
    assert signature == Signature(
        "fraud",
        {"x": TensorType("FP32", ("batch", 3))},
        {"label": TensorType("BYTES", ("batch",))},
    )
    assert signature is not None
    assert signature.to_metadata() == {
        "name": "fraud",
        "platform": "graphc",
        "versions": [],
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [{"name": "label", "datatype": "BYTES", "shape": [-1]}],
    }
    assert find_signature([{}, {"GRAPHC_REGION": "[]"}]) is None


MODEL = SeldonUnit("m", "MODEL")
OTHER = SeldonUnit("n", "MODEL")


@pytest.mark.parametrize(
    ("tree", "first", "last"),
    [
        (MODEL, "m", "m"),
        (SeldonUnit("t", "TRANSFORMER", children=(MODEL,)), "t", "m"),
        (SeldonUnit("o", "OUTPUT_TRANSFORMER", children=(MODEL,)), "m", "o"),
        (SeldonUnit("c", "COMBINER", children=(MODEL, OTHER)), "m", "c"),
        (SeldonUnit("r", "ROUTER", children=(MODEL, OTHER)), None, None),
        (SeldonUnit("u"), None, None),
    ],
)
def test_the_ends_of_a_tree(tree: SeldonUnit, first: str | None, last: str | None) -> None:
    ends = (find_first(tree), find_last(tree))
    assert tuple(each.name if each else None for each in ends) == (first, last)


def test_foreign_trees_are_called_without_a_name() -> None:
    chain = SeldonUnit("t", "TRANSFORMER", children=(MODEL,))
    signature = Signature("a/b", {}, {})
    assert infer_path(chain, signature, foreign=True) == "/v2/models/infer"
    assert infer_path(chain, signature, foreign=False) == "/v2/models/a%2Fb/infer"
    assert infer_path(MODEL, signature, foreign=True) == "/v2/models/a%2Fb/infer"


def test_units_are_called_where_they_run() -> None:
    here = Path()
    process = UnitProcess("m", (), {}, here, here, Ports(1, 2, 3))
    bound = bind_units(SeldonUnit("t", "TRANSFORMER", children=(MODEL,)), [process])
    assert bound.endpoint is None
    assert bound.children[0].endpoint == Endpoint("127.0.0.1", 1, 2)
