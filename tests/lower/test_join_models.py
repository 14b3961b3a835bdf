"""Models put together answer as one after the other, whatever is in them; or they are refused with a reason."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pytest
from graphc.lower.onnx.join import Border, Part, join_models
from graphc.lower.onnx.opsets import Apart
from graphc.lower.onnx.session import Session, open_session
from graphc_components.tensors import TensorType, parse_tensor_type
from onnx import ModelProto, TensorProto, checker, helper, parser

make_model: Any = helper.make_model
make_node: Any = helper.make_node
X: Final = np.array([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]], np.float32)
MATRIX: Final = parse_tensor_type("FP32[batch, 3]")


def model(
    body: str, *, opset: str = '"" : 17', ir: int = 8, inputs: str = "x", outputs: str = "y"
) -> ModelProto:
    """A model of one FP32 matrix to others; the same inner names as every other one here."""
    takes = ", ".join(f"float[N, 3] {name}" for name in inputs.split())
    gives = ", ".join(f"float[N, 3] {name}" for name in outputs.split())
    text = f"<ir_version: {ir}, opset_import: [{opset}]> g ({takes}) => ({gives}) {{ {body} }}"
    return parser.parse_model(text)


def session(content: ModelProto) -> Session:
    opened = open_session(content.SerializeToString())
    assert opened is not None
    return opened


def join(parts: list[Part], outputs: Mapping[str, TensorType] | None = None) -> ModelProto | Apart:
    return join_models(parts, Border({"x": MATRIX}, outputs or {"b.y": MATRIX}))


def chain(first: ModelProto, second: ModelProto) -> list[Part]:
    return [Part("a", first, {"x": "x"}, {"a.y": "y"}), Part("b", second, {"x": "a.y"}, {"b.y": "y"})]


def run(found: ModelProto | Apart, output: str = "b.y") -> Any:
    assert isinstance(found, ModelProto), found
    checking: Any = checker
    checking.check_model(found, full_check=True)
    answer = session(found).run({"x": X}, [output])
    assert answer is not None
    return answer[output]


def one_by_one(first: ModelProto, second: ModelProto) -> Any:
    middle = session(first).run({"x": X}, ["y"])
    assert middle is not None
    last = session(second).run({"x": middle["y"]}, ["y"])
    assert last is not None
    return last["y"]


DOUBLE: Final = "t = Add(x, x) y = Identity(t)"
BRANCH: Final = """
    t = Neg(x) total = ReduceSum <keepdims = 0> (t) zero = Constant <value = float {0.0}> ()
    c = Less(total, zero)
    y = If (c) <
        then_branch = one () => (float[N, 3] r) { u = Add(t, x) r = Sub(u, t) },
        else_branch = two () => (float[N, 3] r2) { r2 = Mul(t, t) }
    >
"""
REPEAT: Final = """
    n = Constant <value = int64 {3}> () go = Constant <value = bool {1}> () t = Abs(x)
    y = Loop (n, go, x) <
        body = step (int64 i, bool g, float[N, 3] v) => (bool g2, float[N, 3] w) { g2 = Identity(g) w = Add(v, t) }
    >
"""


@pytest.mark.parametrize("first", [DOUBLE, BRANCH, REPEAT])
@pytest.mark.parametrize("second", [DOUBLE, BRANCH, REPEAT])
def test_joined_models_answer_as_one_after_the_other(first: str, second: str) -> None:
    one, two = model(first), model(second)
    np.testing.assert_array_equal(run(join(chain(one, two))), one_by_one(one, two))


def test_the_same_model_twice_keeps_its_names_apart() -> None:
    twice = model(DOUBLE)
    np.testing.assert_array_equal(run(join(chain(twice, twice))), X * 4)


def test_what_nothing_reads_is_left_out() -> None:
    first = model("y = Neg(x) z = Exp(x)", outputs="y z")
    found = join(chain(first, model(DOUBLE)))
    assert isinstance(found, ModelProto)
    assert sorted(node.op_type for node in found.graph.node) == ["Add", "Identity", "Identity", "Neg"]


def test_an_input_that_nothing_needs_is_left_out() -> None:
    first = model("y = Neg(x) z = Exp(w)", inputs="x w", outputs="y z")
    part = Part("a", first, {"x": "x", "w": "other"}, {"a.y": "y", "a.z": "z"})
    found = join_models([part], Border({"x": MATRIX, "other": MATRIX}, {"a.y": MATRIX}))
    assert isinstance(found, ModelProto)
    assert [each.name for each in found.graph.input] == ["x"]


def test_a_tensor_between_the_models_can_be_an_output_too() -> None:
    found = join(chain(model(DOUBLE), model(DOUBLE)), {"a.y": MATRIX, "b.y": MATRIX})
    np.testing.assert_array_equal(run(found, "a.y"), X * 2)


def test_older_operators_are_converted_where_they_changed() -> None:
    first = model("t = ReduceMax <axes = [1], keepdims = 1> (x) y = Sub(x, t)", opset='"" : 13')
    second = model(
        "a = Constant <value = int64[1] {1}> () t = ReduceMax(x, a) y = Sub(x, t)", opset='"" : 18'
    )
    found = join(chain(first, second))
    np.testing.assert_array_equal(run(found), one_by_one(first, second))
    assert isinstance(found, ModelProto)
    assert [(each.domain, each.version) for each in found.opset_import] == [("", 18)]


def test_operators_that_did_not_change_are_kept() -> None:
    first = model(
        "y = ai.onnx.ml.Scaler <offset = [1.0], scale = [2.0]> (x)", opset='"" : 17, "ai.onnx.ml" : 1'
    )
    second = model(
        "y = ai.onnx.ml.Scaler <offset = [0.0], scale = [3.0]> (x)", opset='"" : 17, "ai.onnx.ml" : 3'
    )
    np.testing.assert_array_equal(run(join(chain(first, second))), (X - 1) * 6)


def test_different_versions_of_an_unknown_domain_stay_apart() -> None:
    models = [model("y = other.Do(x)", opset=f'"" : 17, "other" : {version}') for version in (1, 2)]
    assert join(chain(*models)) == Apart("the models use `other` in the versions 1 and 2, which differ")


def test_functions_of_the_same_name_are_told_apart() -> None:
    def with_function(body: str) -> ModelProto:
        text = """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
            g (float[N, 3] x) => (float[N, 3] y) { y = own.twist(x) }
            <domain: "own", opset_import: ["" : 17]> twist (v) => (w) { BODY }"""
        return parser.parse_model(text.replace("BODY", body))

    one, two = with_function("w = Add(v, v)"), with_function("u = Neg(v) w = Exp(u)")
    np.testing.assert_allclose(run(join(chain(one, two))), one_by_one(one, two))


def test_a_default_is_replaced_by_what_the_graph_feeds() -> None:
    second = model("y = Mul(x, k)", inputs="x k")
    second.graph.initializer.append(helper.make_tensor("k", TensorProto.FLOAT, [1, 3], [5.0, 5.0, 5.0]))
    parts = chain(model(DOUBLE), second)
    np.testing.assert_array_equal(run(join(parts)), X * 10)
    fed = [parts[0], Part("b", second, {"x": "a.y", "k": "x"}, {"b.y": "y"})]
    np.testing.assert_array_equal(run(join(fed)), X * X * 2)


def test_the_names_of_dimensions_stay_apart() -> None:
    first = model(DOUBLE)
    second = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[M, N] x) => (float[N, M] y) { y = Transpose(x) }'
    )
    found = join(chain(first, second), {"b.y": parse_tensor_type("FP32[3, batch]")})
    np.testing.assert_array_equal(run(found), (X * 2).T)


def test_joining_twice_gives_the_same_bytes() -> None:
    texts = {
        found.SerializeToString(deterministic=True)
        for _ in range(3)
        if isinstance(found := join(chain(model(BRANCH), model(REPEAT))), ModelProto)
    }
    assert len(texts) == 1
