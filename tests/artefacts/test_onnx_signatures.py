"""Signatures of ONNX files against what onnx and ONNX Runtime say of them."""

import importlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from graphc.artefacts.read_signature import read_signature
from graphc.artefacts.signature import ArtefactFault, ArtefactTensor, Opset, Signature, Skipped
from graphc.diagnostics.codes.artefacts import UNREADABLE_ARTEFACT, UNSUPPORTED_TENSOR
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ONNX: Final[Any] = importlib.import_module("onnx")
MAKE: Final[Any] = importlib.import_module("onnx.helper")
RUNTIME: Final[Any] = importlib.import_module("onnxruntime")
SKL2ONNX: Final[Any] = importlib.import_module("skl2onnx")

FLOAT: Final = 1
NAMES: Final[Mapping[str, str]] = {
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(float16)": "FP16",
    "tensor(string)": "BYTES",
    "tensor(bool)": "BOOL",
    **{
        f"tensor({sign}int{bits})": f"{sign}int{bits}".upper()
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}
"""ONNX Runtime's names of the types."""


def read(model: Any, folder: Path) -> Signature | ArtefactFault:
    path = folder / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return read_signature(path, "onnx")


def signature_of(model: Any, folder: Path) -> Signature:
    signature = read(model, folder)
    assert isinstance(signature, Signature), signature
    return signature


def value(name: str, element: int = FLOAT, shape: list[int | str | None] | None = None) -> Any:
    return MAKE.make_tensor_value_info(name, element, shape)


def model_of(inputs: list[Any], outputs: list[Any], **options: Any) -> Any:
    nodes = [MAKE.make_node("Identity", [inputs[0].name], [each.name]) for each in outputs]
    graph = MAKE.make_graph(nodes, "g", inputs, outputs, **options)
    return MAKE.make_model(
        graph, opset_imports=[MAKE.make_opsetid("", 17), MAKE.make_opsetid("ai.onnx.ml", 3)], ir_version=8
    )


def told_by_runtime(values: list[Any]) -> list[tuple[str, str, list[object]]]:
    return [(each.name, NAMES[each.type], list(each.shape)) for each in values]


def told(tensors: tuple[ArtefactTensor, ...]) -> list[tuple[str, str | None, list[object]]]:
    return [(each.name, each.datatype, list(each.shape or ())) for each in tensors]


@pytest.mark.parametrize("name", NAMES.values())
def test_a_datatype_is_told_as_the_runtime_tells_it(name: str, tmp_path: Path) -> None:
    runtime_name = next(key for key, known in NAMES.items() if known == name)
    word = runtime_name.removeprefix("tensor(").removesuffix(")").upper()
    element = int(getattr(ONNX.TensorProto, word))
    model = model_of([value("x", element, ["rows", 3])], [value("y", element, ["rows", 3])])
    session = RUNTIME.InferenceSession(model.SerializeToString())
    signature = signature_of(model, tmp_path)
    assert told(signature.inputs) == told_by_runtime(session.get_inputs())
    assert told(signature.outputs) == told_by_runtime(session.get_outputs()) == [("y", name, ["rows", 3])]


SHAPES: Final[list[list[int | str | None]]] = [
    [1],
    ["n", None, 3],
    [None],
    ["batch-size", "n + 1"],
    [7, 0],
    ["", 2],
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_dimensions_are_told_as_the_runtime_tells_them(shape: list[int | str | None], tmp_path: Path) -> None:
    model = model_of([value("x", FLOAT, shape)], [value("y", FLOAT, shape)])
    session = RUNTIME.InferenceSession(model.SerializeToString())
    signature = signature_of(model, tmp_path)
    assert told(signature.inputs) == told_by_runtime(session.get_inputs())
    assert told(signature.outputs) == told_by_runtime(session.get_outputs())


def test_tensors_without_dimensions_are_told_with_the_cure(tmp_path: Path) -> None:
    """`keepdims=0` and the like give them, and no message carries them."""
    signature = signature_of(model_of([value("x", FLOAT, [1])], [value("y", FLOAT, [])]), tmp_path)
    (skipped,) = signature.skipped
    assert (signature.outputs, skipped.name) == ((), "y")
    assert "`keepdims=1`" in skipped.cure
    fault = read(model_of([value("x", FLOAT, [])], [value("y", FLOAT, [])]), tmp_path)
    assert isinstance(fault, ArtefactFault)
    assert fault.rule is UNSUPPORTED_TENSOR


def test_an_absent_shape_is_unknown(tmp_path: Path) -> None:
    signature = signature_of(model_of([value("x")], [value("y")]), tmp_path)
    assert signature.inputs == (ArtefactTensor("x", "FP32", None),)


def test_a_negative_size_is_unknown(tmp_path: Path) -> None:
    signature = signature_of(model_of([value("x", FLOAT, [-1, 2])], [value("y", FLOAT, [-1, 2])]), tmp_path)
    assert signature.inputs == (ArtefactTensor("x", "FP32", (None, 2)),)


def test_versions_are_told(tmp_path: Path) -> None:
    signature = signature_of(model_of([value("x")], [value("y")]), tmp_path)
    assert signature.ir_version == 8
    assert signature.opsets == (Opset("", 17), Opset("ai.onnx.ml", 3))


def test_an_input_with_an_initializer_is_optional(tmp_path: Path) -> None:
    weight = MAKE.make_tensor("w", FLOAT, [2], [1.0, 2.0])
    model = model_of(
        [value("x", FLOAT, [2]), value("w", FLOAT, [2])], [value("y", FLOAT, [2])], initializer=[weight]
    )
    signature = signature_of(model, tmp_path)
    session = RUNTIME.InferenceSession(model.SerializeToString())
    assert [each.name for each in signature.inputs] == [each.name for each in session.get_inputs()] == ["x"]
    assert signature.optional_inputs == (ArtefactTensor("w", "FP32", (2,)),)


def test_a_sparse_initializer_counts_too(tmp_path: Path) -> None:
    values = MAKE.make_tensor("w", FLOAT, [1], [1.0])
    sparse = MAKE.make_sparse_tensor(values, MAKE.make_tensor("i", 7, [1], [0]), [4])
    model = model_of([value("x"), value("w")], [value("y")], sparse_initializer=[sparse])
    assert [each.name for each in signature_of(model, tmp_path).inputs] == ["x"]


def test_an_element_type_that_v2_lacks_is_skipped_with_its_reason(tmp_path: Path) -> None:
    outputs = [value("half", int(ONNX.TensorProto.BFLOAT16), ["n"]), value("y", FLOAT, ["n"])]
    signature = signature_of(model_of([value("x", FLOAT, ["n"])], outputs), tmp_path)
    assert signature.outputs == (ArtefactTensor("y", "FP32", ("n",)),)
    assert signature.find_output("half") == Skipped(
        "half",
        "its elements are bfloat16",
        "convert it to `FP32` within the model, by the operator `Cast`",
    )
    assert signature.find_output("nothing") is None


def test_every_element_type_of_onnx_is_known(tmp_path: Path) -> None:
    for element in ONNX.TensorProto.DataType.values():
        signature = signature_of(model_of([value("x")], [value("y", int(element))]), tmp_path)
        assert not any("unknown" in each.reason for each in signature.skipped), element


def test_an_input_that_v2_lacks_is_a_fault(tmp_path: Path) -> None:
    fault = read(model_of([value("x", int(ONNX.TensorProto.COMPLEX64), [1])], [value("y")]), tmp_path)
    assert isinstance(fault, ArtefactFault)
    assert fault.rule is UNSUPPORTED_TENSOR
    assert fault.message == (
        "`model.onnx` takes `x`, which no V2 message can carry: its elements are complex64"
    )


KINDS: Final = {
    "sequence": "it is a sequence",
    "optional": "it is optional",
    "sparse": "it is a sparse tensor",
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_output_that_is_no_tensor_is_skipped(kind: str, tmp_path: Path) -> None:
    types = {
        "sequence": lambda: MAKE.make_sequence_type_proto(MAKE.make_tensor_type_proto(FLOAT, [1])),
        "optional": lambda: MAKE.make_optional_type_proto(MAKE.make_tensor_type_proto(FLOAT, [1])),
        "sparse": lambda: MAKE.make_sparse_tensor_type_proto(FLOAT, [1]),
    }
    output = MAKE.make_value_info("y", types[kind]())
    signature = signature_of(model_of([value("x")], [output]), tmp_path)
    assert signature.outputs == ()
    assert signature.skipped[0].reason.startswith(KINDS[kind])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("zipmap", [True, False])
def test_a_converted_classifier_is_told_as_the_runtime_tells_it(zipmap: bool, tmp_path: Path) -> None:
    make: Any = importlib.import_module("sklearn.linear_model").LogisticRegression
    points = np.random.default_rng(3).random((20, 4)).astype(np.float32)
    classifier = make().fit(points, np.arange(20) % 3)
    model = SKL2ONNX.to_onnx(classifier, points[:1], options={"zipmap": zipmap})
    session = RUNTIME.InferenceSession(model.SerializeToString())
    signature = signature_of(model, tmp_path)
    assert told(signature.inputs) == told_by_runtime(session.get_inputs())
    tensors = [each for each in session.get_outputs() if each.type in NAMES]
    assert told(signature.outputs) == told_by_runtime(tensors)
    assert [each.name for each in signature.skipped] == (["output_probability"] if zipmap else [])


# Weights


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/../../b", "..\\secret"])
def test_weights_outside_the_models_folder_are_a_fault(location: str, tmp_path: Path) -> None:
    weight = MAKE.make_tensor("w", FLOAT, [1], [1.0])
    weight.data_location = ONNX.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    fault = read(model_of([value("x")], [value("y")], initializer=[weight]), tmp_path)
    assert isinstance(fault, ArtefactFault)
    assert fault.message == f"`model.onnx` keeps weights in `{location}`, outside its own folder"


def test_large_weights_are_not_read(tmp_path: Path) -> None:
    size = 8 << 30
    graph = model_of([value("x")], [value("y")]).graph
    weight = delimited(8, b"w") + key(9, 2) + varint(size)
    tensor = key(5, 2) + varint(len(weight) + size) + weight
    body = graph.SerializeToString()
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.write(key(1, 0) + varint(8) + key(7, 2) + varint(len(tensor) + size + len(body)) + tensor)
        file.seek(size, os.SEEK_CUR)
        file.write(body)
    begin = time.process_time()
    signature = read_signature(path, "onnx")
    assert isinstance(signature, Signature), signature
    assert time.process_time() - begin < 2
    assert [each.name for each in signature.outputs] == ["y"]


# Damage


def varint(number: int) -> bytes:
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*data, number])


def key(number: int, kind: int) -> bytes:
    return varint(number << 3 | kind)


def delimited(number: int, data: bytes) -> bytes:
    return key(number, 2) + varint(len(data)) + data


BROKEN: Final[dict[str, bytes]] = {
    "empty": b"",
    "text": b"this is not a model at all",
    "no graph": key(1, 0) + varint(8),
    "no outputs": key(1, 0) + varint(8) + delimited(7, delimited(2, b"g")),
    "no version": delimited(7, delimited(12, delimited(1, b"y"))),
    "a field without number": b"\x00\x00",
    "a group": key(7, 3),
    "a number without end": b"\xff" * 20,
    "a length beyond the end": key(7, 2) + varint(1 << 62),
    "a name that is not text": key(1, 0) + varint(8) + delimited(7, delimited(12, delimited(1, b"\xff\xfe"))),
    "a name without limit": key(1, 0) + varint(8) + delimited(7, delimited(12, delimited(1, b"y" * 100_000))),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_bytes_are_a_fault(name: str, tmp_path: Path) -> None:
    fault = read(BROKEN[name], tmp_path)
    assert isinstance(fault, ArtefactFault)
    assert fault.rule is UNREADABLE_ARTEFACT
    assert fault.message.startswith("`model.onnx` is not an ONNX model: ")


def test_endless_tiny_fields_are_given_up(tmp_path: Path) -> None:
    fault = read(b"\x10\x00" * 2_100_000, tmp_path)
    assert isinstance(fault, ArtefactFault)
    assert fault.message == "`model.onnx` does not tell its tensors: it takes too long to read"


SOUND: Final[bytes] = model_of(
    [value("x", FLOAT, ["n", 3])], [value("y", FLOAT, ["n", 3])]
).SerializeToString()
QUIET: Final = (HealthCheck.function_scoped_fixture,)


@settings(max_examples=400, deadline=None, suppress_health_check=QUIET)
@given(changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6), share=st.floats(0, 1))
def test_a_damaged_file_never_raises(changes: list[tuple[float, int]], share: float, tmp_path: Path) -> None:
    data = bytearray(SOUND)
    for place, byte in changes:
        data[int(place * (len(data) - 1))] = byte
    assert isinstance(read(bytes(data[: int(share * len(data))]), tmp_path), Signature | ArtefactFault)
