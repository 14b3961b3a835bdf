"""Operators of ONNX models are refused with element types that the runtime image's onnxruntime has no kernel for."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from graphc.artefacts.onnx_nodes import Operator
from graphc.artefacts.onnx_operators import refuse_on_processors
from graphc.artefacts.onnx_types import LETTERS, find_unrun
from graphc.artefacts.read_signature import read_signature
from graphc.artefacts.signature import ArtefactFault, Opset, Signature

MAKE: Final[Any] = importlib.import_module("onnx.helper")
NUMPY: Final[Any] = importlib.import_module("onnx.numpy_helper")
RUNTIME: Final[Any] = importlib.import_module("onnxruntime")
STATE: Final[Any] = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")

FLOAT, INT8, INT64, BOOL, HALF, DOUBLE = 1, 3, 7, 9, 10, 11


def node(
    name: str, inputs: Sequence[str] = ("x",), outputs: Sequence[str] = ("y",), **attributes: Any
) -> Any:
    return MAKE.make_node(name, inputs, outputs, **attributes)


def model(nodes: Sequence[Any], element: int, gives: int, **initializers: Any) -> Any:
    (x, y) = (
        MAKE.make_tensor_value_info(name, each, ["batch", 1, 4, 4])
        for name, each in (("x", element), ("y", gives))
    )
    stored = [NUMPY.from_array(each, name) for name, each in initializers.items()]
    graph = MAKE.make_graph(list(nodes), "g", [x], [y], initializer=stored)
    return MAKE.make_model(graph, opset_imports=[MAKE.make_opsetid("", 20)], ir_version=10)


def loads(made: Any) -> bool:
    RUNTIME.set_default_logger_severity(4)
    try:
        RUNTIME.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception:
        return False
    return True


def found_in(made: Any, folder: Path) -> Signature:
    path = folder / "net.onnx"
    path.write_bytes(made.SerializeToString())
    found = read_signature(path, "onnx")
    assert not isinstance(found, ArtefactFault), found
    return found


def branch(*nodes: Any) -> Any:
    """Make an `If` whose branches are some nodes."""
    graph = MAKE.make_graph(list(nodes), "b", [], [MAKE.make_tensor_value_info("b", DOUBLE, None)])
    return node("If", ["c"], ["y"], then_branch=graph, else_branch=graph)


ONE: Final = np.ones((1, 1, 3, 3))
TRUE: Final = node("Constant", [], ["c"], value=MAKE.make_tensor("c", BOOL, [], [True]))
CONV: Final = node("Conv", ["x", "w"])


@pytest.mark.parametrize(
    ("made", "refused"),
    [
        (model([CONV], DOUBLE, DOUBLE, w=ONE), "Conv FP64"),
        (model([CONV], FLOAT, FLOAT, w=ONE.astype("f4")), ""),
        (model([CONV], HALF, HALF, w=ONE.astype("f2")), ""),
        (model([CONV], FLOAT, FLOAT, w=ONE), "Conv FP32/FP64"),
        (model([node("Relu")], INT64, INT64), "Relu INT64"),
        (model([node("MatMul", ["x", "x"])], INT8, INT8), "MatMul INT8"),
        (
            model([node("Cast", ["x"], ["d"], to=DOUBLE), node("Conv", ["d", "w"])], FLOAT, DOUBLE, w=ONE),
            "Conv FP64",
        ),
        (
            model([node("Constant", [], ["w"], value=NUMPY.from_array(ONE)), CONV], DOUBLE, DOUBLE),
            "Conv FP64",
        ),
        (model([node("ReduceMax"), node("Relu", ["y"], ["z"])], INT64, INT64), "Relu INT64"),
        (model([TRUE, branch(node("Conv", ["x", "w"], ["b"]))], DOUBLE, DOUBLE, w=ONE), "Conv FP64"),
        (model([TRUE, branch(node("Identity", ["x"], ["b"]))], DOUBLE, DOUBLE), ""),
        (model([node("Shape", ["x"], ["s"]), node("Cast", ["s"], to=FLOAT)], DOUBLE, FLOAT), ""),
    ],
)
def test_it_is_told_where_it_is_so(made: Any, refused: str, tmp_path: Path) -> None:
    assert loads(made) == (not refused)
    assert found_in(made, tmp_path).only_gpu == ((f"ai.onnx.{refused}",) if refused else ())


def test_the_message_names_the_operator_and_its_types() -> None:
    fault = refuse_on_processors("net.onnx", ("ai.onnx.Conv FP64",))
    assert fault.message == (
        f"`net.onnx` has the operator `Conv` of `ai.onnx`, which onnxruntime {RUNTIME.__version__} of the "
        "runtime image does not run on processors with FP64"
    )
    assert fault.help == "export the model in FP32, or convert what the operator reads by `Cast`"


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([node("Relu", ["zz"])], "its operator `Relu` reads `zz`, which nothing gives"),
        ([node("Relu", outputs=["z"])], "nothing gives its output `y`"),
        ([node("Relu"), node("Abs")], "`y` is given twice in it"),
        ([node("Relu", outputs=["x"]), node("Relu")], "`x` is given twice in it"),
        ([node("Clip", ["x", "", ""])], ""),
        ([TRUE, branch(node("Identity", ["x"], ["b"]))], ""),
    ],
)
def test_names_that_lead_nowhere_are_refused(nodes: Sequence[Any], said: str, tmp_path: Path) -> None:
    gives = DOUBLE if len(nodes) == 2 and nodes[0] is TRUE else FLOAT
    made = model(nodes, gives, gives)
    assert loads(made) == (not said)
    if said:
        (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
        fault = read_signature(tmp_path / "net.onnx", "onnx")
        assert isinstance(fault, ArtefactFault)
        assert fault.message == f"`net.onnx` is not an ONNX model: {said}"
    else:
        found_in(made, tmp_path)


@pytest.mark.slow
def test_what_is_refused_is_refused_by_the_runtime() -> None:
    """Every operator of every version, with every type of its first input: nothing that loads is refused."""
    refused, wrongly = 0, list[object]()
    for schema in STATE.get_all_operator_schema():
        if schema.domain not in {"", "ai.onnx.ml"} or schema.deprecated or not schema.min_input:
            continue
        version = {"": 17} | {schema.domain: schema.since_version}
        imports = [Opset(domain, each) for domain, each in version.items()]
        names = tuple(f"x{index}" for index in range(schema.min_input))
        for element in LETTERS:
            given = dict.fromkeys(names, element)
            operator = Operator(schema.domain, schema.name, inputs=names, outputs=("y",))
            if find_unrun([operator], given, imports) is None:
                continue
            refused += 1
            inputs = [MAKE.make_tensor_value_info(name, element, None) for name in names]
            made = MAKE.make_node(schema.name, names, ["y"], domain=schema.domain)
            graph = MAKE.make_graph([made], "g", inputs, [MAKE.make_empty_tensor_value_info("y")])
            sets = [MAKE.make_opsetid(each.domain, each.version) for each in imports]
            whole = MAKE.make_model(graph, ir_version=10, opset_imports=sets)
            if loads(whole):
                wrongly.append((schema.domain, schema.name, schema.since_version, LETTERS[element]))
    assert wrongly == []
    assert refused > 1000
