"""Each sentence of the components' reference is true of the functions, of their ONNX forms, and of units."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pytest
from graphc.lower.onnx.form_model import write_form
from graphc.lower.onnx.session import open_session
from graphc_components.catalog import (
    CATALOG,
    ROUTERS,
    ComponentError,
    SignatureError,
    check_parameters,
)
from graphc_components.datatypes import bytes_array, to_datatype
from graphc_components.onnx_forms import state_in_onnx
from graphc_components.tensors import TensorType
from graphc_runtimes.choose import Call, choose
from graphc_runtimes.errors import RequestError
from graphc_runtimes.region import ChoiceNode
from in_process import FailedError, load_plans, lower, read_document

Json = dict[str, Any]
Test = Callable[[], None]

README: Final = (Path(__file__).parents[2] / "components" / "README.md").read_text(encoding="utf-8")
NAN, INF = np.nan, np.inf
SENTENCES: dict[str, Test] = {}


def sentence(text: str) -> Callable[[Test], Test]:
    def keep(test: Test) -> Test:
        SENTENCES[text] = test
        return test

    return keep


def fp32(*values: Any) -> Any:
    return np.array(values, np.float32)


def texts(*values: str) -> Any:
    return bytes_array([each.encode() for each in values], (len(values),))


def run(name: str, *arrays: Any, **given: Any) -> Any:
    """Return what a component answers with, its ONNX form alike where it has one."""
    component = CATALOG[name]
    values, problems = check_parameters(component, given)
    assert not problems
    function: Any = component.function
    answer = cast("object", function(*arrays, **values))
    found = cast("tuple[Any, ...]", answer if isinstance(answer, tuple) else (answer,))
    types = [TensorType(to_datatype(each.dtype), each.shape) for each in arrays]
    form = state_in_onnx(component, types, values)
    if form is not None:
        outputs = list(component.signature(tuple(types), values).values())
        session = open_session(write_form(form, types, outputs).SerializeToString())
        assert session is not None
        feeds = dict(zip(form.inputs, arrays, strict=True))
        for stated, array in zip(
            cast("Any", session.run(feeds, list(form.outputs))).values(), found, strict=True
        ):
            np.testing.assert_array_equal(np.asarray(stated), array)
    return found if isinstance(answer, tuple) else found[0]


def refuses(name: str, *arrays: Any, **given: Any) -> None:
    with pytest.raises(ComponentError):
        run(name, *arrays, **given)


def decide(
    router: str, value: Any, *, call: Call | None = None, per: Any = "row", **parameters: Any
) -> list[int]:
    """Return what a choice in a unit decides."""
    kind: Any = router
    filled: Any = {"branches": 3} | parameters
    node = ChoiceNode(name="r", outputs={}, kind="choice", router=kind, parameters=filled, per=per)
    return choose(node, value, call or Call()).tolist()


# Combiners


@sentence("`mean`, `weighted-mean`, `median` and `soft-vote` compute in FP64 and round once.")
def _() -> None:
    large, small = fp32(2**24), fp32(1)
    assert run("mean", large, small, small, fp32(-(2**24))) == fp32(0.5)
    assert run("weighted-mean", large, small, fp32(-(2**24)), weights=[1, 1, 1]) == fp32(1 / 3)
    assert run("soft-vote", large[None], small[None], fp32(-(2**24))[None])[0] == fp32(1 / 3)
    assert run("median", large, fp32(2**24 - 1)) == np.float32((2**25 - 1) / 2)


@sentence("NaN in any input makes NaN in the answer of `mean`, `weighted-mean`, `median`, `min` and `max`.")
def _() -> None:
    for name, given in (
        ("mean", {}),
        ("weighted-mean", {"weights": [1, 1, 1]}),
        ("median", {}),
        ("min", {}),
        ("max", {}),
    ):
        for order in ((1, NAN, 2), (NAN, 1, 2), (2, 1, NAN)):
            assert np.isnan(run(name, *(fp32(each) for each in order), **cast("Json", given))).all()


@sentence("An input with the weight 0 is not looked at, not even its NaN.")
def _() -> None:
    assert run("weighted-mean", fp32(NAN), fp32(3), weights=[0, 2]) == 3
    assert run("soft-vote", fp32(NAN)[None], fp32(3)[None], weights=[0, 2])[0] == 3


@sentence("Infinity and minus infinity have NaN as their mean.")
def _() -> None:
    assert np.isnan(run("mean", fp32(INF), fp32(-INF))).all()


@sentence("The median of an even number of inputs is the mean of the middle two.")
def _() -> None:
    assert run("median", fp32(1), fp32(4), fp32(2), fp32(100)) == 3


@sentence("`soft-vote` answers with the first of equal classes, and counts NaN as minus infinity.")
def _() -> None:
    assert run("soft-vote", np.array([[0.5, 0.5, 0], [NAN, 0, 0], [NAN, NAN, NAN]], np.float32))[
        1
    ].tolist() == [0, 1, 0]


@sentence("`hard-vote` answers, of labels with equal votes, with that of the earliest input.")
def _() -> None:
    assert run("hard-vote", texts("b"), texts("a"), texts("a"), texts("b")).tolist() == [b"b"]
    assert run("hard-vote", np.array([7]), np.array([3])).tolist() == [7]


@sentence("Weights of `hard-vote` are equal when they are equal to twelve decimals of all weights together.")
def _() -> None:
    assert run(
        "hard-vote", np.array([3]), np.array([1]), np.array([1]), weights=[0.3, 0.1, 0.2]
    ).tolist() == [3]
    assert run("hard-vote", np.array([3]), np.array([1]), weights=[1, 1 + 1e-10]).tolist() == [1]


@sentence("NaN agrees with no label, not even with NaN.")
def _() -> None:
    assert run("hard-vote", fp32(NAN), fp32(NAN), fp32(1)).tolist() == [1]


# Transformers


@sentence("`scale` with a constant column is an ordinary division; `scale: 0` is refused by `check`.")
def _() -> None:
    assert run("scale", np.array([[5, 1], [5, 3]], np.float32), mean=[5, 1], scale=[2, 2]).tolist() == [
        [0, 0],
        [0, 1],
    ]
    with pytest.raises(SignatureError, match="has 0 in `scale`"):
        CATALOG["scale"].signature((TensorType("FP32", ("batch", 2)),), {"mean": 0, "scale": 0})


@sentence("`normalise` leaves zeros as they are; a constant row becomes zeros under `minmax`.")
def _() -> None:
    for norm in ("l1", "l2", "max", "minmax"):
        assert run("normalise", np.zeros((1, 3), np.float32), norm=norm).tolist() == [[0, 0, 0]]
    assert run("normalise", np.full((1, 3), 7, np.float32), norm="minmax").tolist() == [[0, 0, 0]]


@sentence("`normalise` and `softmax` do not overflow, however large the numbers are.")
def _() -> None:
    large = np.array([[1e308, 1e308]])
    np.testing.assert_allclose(run("normalise", large), [[np.sqrt(0.5)] * 2])
    np.testing.assert_allclose(run("softmax", large), [[0.5, 0.5]])


@sentence("`softmax` of a row with NaN or infinity is NaN.")
def _() -> None:
    assert np.isnan(run("softmax", np.array([[NAN, 0], [INF, 0]]))).all()


@sentence("`clip` leaves NaN as it is, and brings infinity to the nearest bound.")
def _() -> None:
    np.testing.assert_array_equal(run("clip", fp32(NAN, INF, -INF), low=-1, high=2), [NAN, 2, -1])


@sentence("`argmax` and `top-k` count NaN as minus infinity, and the first of equals comes first.")
def _() -> None:
    rows = np.array([[NAN, 1, 1], [0, NAN, -1]], np.float32)
    assert run("argmax", rows).tolist() == [1, 0]
    assert run("top-k", rows, k=2)[1].tolist() == [[1, 2], [0, 2]]


@sentence("`threshold` is true where a number is at least `at`; NaN never is.")
def _() -> None:
    assert run("threshold", fp32(0.7, 0.6, NAN, INF), at=0.7).tolist() == [True, False, False, True]
    whole = np.array([2**53, 2**53 + 1], np.int64)
    assert run("threshold", whole, at=2**53 + 1).tolist() == [False, True]


@sentence("`one-hot` refuses a value that is no category, or with `unknown: ignore` answers with zeros.")
def _() -> None:
    refuses("one-hot", np.array([5]), categories=[0, 1])
    assert run("one-hot", np.array([5, 1]), categories=[0, 1], unknown="ignore").tolist() == [[0, 0], [0, 1]]


@sentence("A list of `labels` is by position and takes integers only; a mapping is by the text of the value.")
def _() -> None:
    assert run("label-map", np.array([1, 0]), labels=["a", "b"]).tolist() == [b"b", b"a"]
    assert run("label-map", texts("x", "1"), labels={"x": "a", "1": "b"}).tolist() == [b"a", b"b"]
    assert run("label-map", np.array([True]), labels={"true": "yes"}).tolist() == [b"yes"]
    with pytest.raises(SignatureError, match="integers"):
        CATALOG["label-map"].signature((TensorType("BYTES", ("batch",)),), {"labels": ["a"]})


@sentence("`label-map` refuses a value without a label, unless there is a `default`.")
def _() -> None:
    refuses("label-map", np.array([5]), labels=["a"])
    assert run("label-map", np.array([5, 0]), labels=["a"], default="?").tolist() == [b"?", b"a"]


# `cast`


@sentence("A float becomes an integer by cutting its fraction off, towards zero.")
def _() -> None:
    assert run("cast", fp32(2.9, -2.9), datatype="INT8").tolist() == [2, -2]


@sentence("NaN, infinity and a value out of range are errors as integers, never another value.")
def _() -> None:
    for value in (NAN, INF, 128, -129):
        refuses("cast", fp32(value), datatype="INT8")
    refuses("cast", np.array([-1], np.int64), datatype="UINT64")
    refuses("cast", np.array([2.0**63]), datatype="INT64")


@sentence("An integer becomes the nearest float; a float that would become infinite is an error.")
def _() -> None:
    assert run("cast", np.array([2**24 + 1], np.int64), datatype="FP32").tolist() == [2**24]
    refuses("cast", np.array([1e39]), datatype="FP32")
    assert run("cast", np.array([INF]), datatype="FP32").tolist() == [INF]


@sentence("Anything but zero is true, and NaN is neither true nor false.")
def _() -> None:
    assert run("cast", fp32(0.5, 0, -0.0, INF), datatype="BOOL").tolist() == [True, False, False, True]
    refuses("cast", fp32(NAN), datatype="BOOL")


@sentence("A number becomes the shortest text that reads back as the same value.")
def _() -> None:
    assert run("cast", fp32(0.1, 1e10), datatype="BYTES").tolist() == [b"0.1", b"1e+10"]
    assert run("cast", np.array([True]), datatype="BYTES").tolist() == [b"true"]


@sentence("Text becomes a number only if all of it is one: no spaces, no underscores.")
def _() -> None:
    assert run("cast", texts("-7", "1e3"), datatype="FP32").tolist() == [-7, 1000]
    for text in (" 1", "1_000", "", "one", "1.5"):
        refuses("cast", texts(text), datatype="INT64")


# Decisions


@sentence(
    "A `threshold` router compares in the tensor's own datatype: integers exactly, "
    "floats with the limit rounded to FP16, FP32 or FP64."
)
def _() -> None:
    for datatype in (np.int64, np.uint64):
        assert decide("threshold", np.array([2**53, 2**53 + 1], datatype), below=[2**53 + 1]) == [0, 1]
    assert decide("threshold", np.array([2**64 - 2, 2**64 - 1], np.uint64), below=[2**64 - 1]) == [0, 1]
    assert decide("threshold", np.array([0, 1], np.int8), below=[0.5]) == [0, 1]
    for dtype in (np.float16, np.float32, np.float64):
        assert decide("threshold", np.array([0.7], dtype), below=[0.7]) == [1]
    assert decide("threshold", fp32(2**24), below=[2**24 + 1]) == [1]


@sentence(
    "A limit past the greatest number of a float datatype is infinity there: every finite number is below it."
)
def _() -> None:
    assert decide("threshold", fp32(3e38, INF), below=[1e39]) == [0, 1]


@sentence("NaN is below no limit, and equal to nothing.")
def _() -> None:
    assert decide("threshold", fp32(NAN), below=[0, 1e39]) == [2]
    assert decide("equals", fp32(NAN), equals=[0, 1]) == [2]


@sentence(
    "The first branch whose condition holds is taken, else the one without a condition; "
    "where there is none, the request is refused."
)
def _() -> None:
    assert decide("threshold", fp32(0, 1.5, 9), below=[1, 2]) == [0, 1, 2]
    with pytest.raises(RequestError):
        decide("threshold", fp32(9), below=[1, 2], branches=2)


@sentence(
    "An `equals` router rounds a number to the tensor's float datatype first, and takes no text for a number."
)
def _() -> None:
    assert decide("equals", fp32(0.1), equals=[0.1]) == [0]
    assert decide("equals", np.array([2**53 + 1], np.int64), equals=[2**53, 2**53 + 1]) == [1]
    with pytest.raises(SignatureError, match="not a value of INT64"):
        ROUTERS["equals"].signature((TensorType("INT64", ("batch",)),), {"equals": ["1"]})


@sentence(
    'A `parameter` or `header` router compares texts: the parameters `"1"`, `1` and `1.0` are all `1`, '
    "and `true` is `true`."
)
def _() -> None:
    for given in ("1", 1, 1.0):
        assert decide("parameter", None, call=Call({"p": given}), name="p", equals=["1"]) == [0]
        assert decide("parameter", None, call=Call({"p": given}), name="p", equals=[1]) == [0]
    assert decide("parameter", None, call=Call({"p": True}), name="p", equals=["1", "true"]) == [1]
    assert decide("header", None, call=Call({}, {"H": "1"}), name="h", equals=[1]) == [0]


@sentence("Under `per: request`, rows that disagree on the branch are refused.")
def _() -> None:
    assert decide("threshold", fp32(0, 0.5), below=[1], per="request") == [0]
    with pytest.raises(RequestError, match="rows disagree"):
        decide("threshold", fp32(0, 2), below=[1], per="request")


def served(inputs: Json, nodes: Json, output: str, values: Mapping[str, Any]) -> Any:
    """Return what a graph in a unit answers with."""
    document = {"apiVersion": "graphc/v1", "kind": "InferenceGraph", "metadata": {"name": "reference"}}
    graph = read_document(document | {"inputs": inputs, "nodes": nodes, "outputs": {"o": output}}, Path())
    plan = lower(graph, 1)
    assert not isinstance(plan, list)
    tensors = [
        {
            "name": name,
            "shape": list(each.shape),
            "datatype": to_datatype(each.dtype),
            "data": each.ravel().tolist(),
        }
        for name, each in values.items()
    ]
    return load_plans([plan], Path())[0].infer({"inputs": tensors})["outputs"][0]["data"]


@sentence(
    "The confidence of a step is the greatest number of a row of the first tensor that it takes, or of `confidence:`."
)
def _() -> None:
    inputs = {"a": "FP32[batch, 2]", "b": "FP32[batch, 2]", "c": "FP32[batch, 2]"}
    values = {"a": fp32([0.1, 0.9], [0.1, 0.2]), "b": fp32([0.2, 0.3], [0.9, 0.1]), "c": fp32([5, 5], [5, 5])}
    last = {"take": {"z": "c", "y": "c"}}
    for first, more, found in (
        ({"z": "a", "y": "b"}, {}, [0.2, 0.3, 5, 5]),
        ({"y": "b", "z": "a"}, {}, [5, 5, 0.9, 0.1]),
        ({"y": "b", "z": "a"}, {"confidence": "a"}, [0.2, 0.3, 5, 5]),
    ):
        nodes = {"s": {"cascade": [{"take": first, "until": 0.8} | more, last]}}
        np.testing.assert_allclose(served(inputs, nodes, "s.y", values), found, rtol=1e-6)


@sentence(
    "A step is left where the confidence is at least `until`, rounded to the tensor's datatype; NaN never is."
)
def _() -> None:
    assert decide("confidence", fp32([0.9, 0], [NAN, 0], [NAN, 0.9]), until=0.9, branches=2) == [0, 1, 0]
    assert decide("confidence", fp32(0.9, 0.8, NAN), until=0.9, branches=2) == [0, 1, 1]


@sentence("With `confidence:`, what a step takes is run only for the rows that leave there.")
def _() -> None:
    inputs = {"k": "INT64[batch]", "p": "FP32[batch]", "b": "BYTES[batch]"}
    nodes = {
        "n": {"component": "label-map", "in": "k", "parameters": {"labels": ["A"]}},
        "s": {"cascade": [{"take": "n", "until": 0.5, "confidence": "p"}, {"take": "b"}]},
    }
    values = {"k": np.array([0, 9]), "p": fp32(1, 0)}
    given = {**values, "b": np.array(["x", "y"], object)}
    assert served(inputs, nodes, "s", given) == ["A", "y"]
    with pytest.raises(FailedError):
        served(inputs, nodes, "s", given | {"p": fp32(1, 1)})


ONCE: Final[Json] = {
    "n": {"component": "label-map", "in": "k", "parameters": {"labels": ["A"]}},
    "r": {"router": "threshold", "in": "p", "branches": [{"below": 0.5, "take": "n"}, {"take": "b"}]},
}
"""`n` fails for whatever is not 0, and `r` takes it where `p` is below 0.5."""


@sentence(
    "A node runs once, for exactly the rows that some reader of it takes, and not at all where none takes any."
)
def _() -> None:
    inputs = {"k": "INT64[batch]", "p": "FP32[batch]", "q": "FP32[batch]", "b": "BYTES[batch]"}
    branches = [{"below": 0.5, "take": "n"}, {"take": "r"}]
    nodes = ONCE | {"t": {"router": "threshold", "in": "q", "branches": branches}}
    given = {"p": fp32(0, 1), "q": fp32(1, 1), "b": np.array(["x", "y"], object)}
    assert served(inputs, nodes, "t", {"k": np.array([0, 9]), **given}) == ["A", "y"]
    given["p"] = fp32(1, 1)
    assert served(inputs, nodes, "t", {"k": np.array([9, 9]), **given}) == ["x", "y"]
    given["q"] = fp32(1, 0)
    with pytest.raises(FailedError):
        served(inputs, nodes, "t", {"k": np.array([9, 9]), **given})


@sentence("A decision made from a node's own answer, whatever lies between, leaves out no row for that node.")
def _() -> None:
    inputs = {"k": "INT64[batch]", "p": "FP32[batch]", "b": "BYTES[batch]"}
    branches = [{"equals": "A", "take": "n"}, {"take": "b"}]
    nodes = ONCE | {"t": {"router": "equals", "in": "r", "branches": branches}}
    given = {"p": fp32(0, 1), "b": np.array(["x", "y"], object)}
    assert served(inputs, nodes, "t", {"k": np.array([0, 0]), **given}) == ["A", "y"]
    # Nobody reads the second row of `n`, and it could be known only once `n` has answered.
    with pytest.raises(FailedError):
        served(inputs, nodes, "t", {"k": np.array([0, 9]), **given})


LISTED: Final = re.findall(r"^- (.+)$", README, re.MULTILINE)


def test_every_sentence_has_a_test() -> None:
    assert list(SENTENCES) == LISTED


@pytest.mark.parametrize("text", LISTED)
def test_the_sentence_is_true(text: str) -> None:
    SENTENCES[text]()
