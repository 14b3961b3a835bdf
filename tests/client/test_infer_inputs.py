"""What becomes of a file or a JSON text when a model wants a datatype and a shape."""

import gc
import json
from pathlib import Path

import numpy as np
import pytest
from graphc.client.failure import InferError
from graphc.client.inputs import read_inputs
from graphc.client.rest import write_tensor
from graphc.client.tensor import Tensor
from graphc_components.tensors import TensorType, parse_tensor_type
from numpy.testing import assert_array_equal
from PIL import Image


def read(argument: str, wanted: str | None = None, name: str = "x") -> Tensor:
    types: dict[str, TensorType] = {} if wanted is None else {name: parse_tensor_type(wanted)}
    tensors = read_inputs([argument], types)
    assert [each.name for each in tensors] == [name]
    return tensors[0]


def plain(tensor: Tensor) -> tuple[str, list[int], object]:
    return tensor.datatype, tensor.shape, tensor.array.tolist()


VALUES: list[tuple[str, str | None, tuple[str, list[int], object]]] = [
    ("[[1, 2]]", "FP32[?, 2]", ("FP32", [1, 2], [[1.0, 2.0]])),
    ("[1, 2]", "FP32[?, 2]", ("FP32", [1, 2], [[1.0, 2.0]])),
    ("3", "INT64[?]", ("INT64", [1], [3])),
    ("[[1], [2]]", "INT8[?]", ("INT8", [2], [1, 2])),
    ("[1, 2.0]", "INT32[?]", ("INT32", [2], [1, 2])),
    ("[9007199254740993]", "INT64[?]", ("INT64", [1], [9007199254740993])),
    ("[18446744073709551615]", "UINT64[?]", ("UINT64", [1], [18446744073709551615])),
    ("[true, false]", "BOOL[?]", ("BOOL", [2], [True, False])),
    ('["ä", "b"]', "BYTES[?]", ("BYTES", [2], ["ä".encode(), b"b"])),
    ('"one"', "BYTES[?]", ("BYTES", [1], [b"one"])),
    ("[[1, 2], [3, 4]]", None, ("INT64", [2, 2], [[1, 2], [3, 4]])),
    ("[1.5]", None, ("FP64", [1], [1.5])),
    ('{"data": [1, 2, 3, 4], "shape": [2, 2]}', "FP64[?, 2]", ("FP64", [2, 2], [[1.0, 2.0], [3.0, 4.0]])),
    (
        '{"data": ["/wA="], "parameters": {"content_type": "base64"}}',
        "BYTES[?]",
        ("BYTES", [1], [b"\xff\x00"]),
    ),
    ("[]", "FP32[?]", ("FP32", [0], [])),
]


@pytest.mark.parametrize(("text", "wanted", "expected"), VALUES)
def test_json(text: str, wanted: str | None, expected: tuple[str, list[int], object]) -> None:
    assert plain(read(f"x={text}", wanted)) == expected


@pytest.mark.parametrize(
    ("text", "wanted", "message"),
    [
        ("[1, 2, 3]", "FP32[?, 2]", "input `x` is FP32[?, 2], and what is given has shape [3]"),
        ("[[[1]]]", "FP32[?]", "input `x` is FP32[?], and what is given has shape [1, 1, 1]"),
        ("[[1], [2, 3]]", "FP32[?, 2]", "input `x` has rows of different lengths"),
        ("[[1], 2]", "FP32[?]", "input `x` has rows of different lengths"),
        ("[1.5]", "INT32[?]", "input `x` has values that are no INT32"),
        ("[300]", "UINT8[?]", "input `x` has values that are no UINT8"),
        ("[-1]", "UINT64[?]", "input `x` has values that are no UINT64"),
        ("[2]", "BOOL[?]", "input `x` has values that are no BOOL"),
        ("[1e300]", "FP32[?]", "input `x` has values that are no FP32"),
        ("[1e400]", "INT8[?]", "input `x` has values that are no INT8"),
        ("[36893488147419103232]", "INT64[?]", "input `x` has a number that no datatype can hold"),
        ('["a"]', "FP32[?]", "input `x` has datatype FP32, and texts are given"),
        ("[1]", "BYTES[?]", "input `x` has datatype BYTES, and numbers are given"),
        ('["a", 1]', "BYTES[?]", "input `x` mixes texts with other values"),
        ('{"shape": [1]}', "FP32[?]", "input `x` is a JSON object without `data`"),
        (
            '{"data": [1], "shape": [2]}',
            "FP32[?]",
            "input `x` has 1 values, which do not make its shape [2]",
        ),
        ("missing.bin", "FP32[?]", "input `x`: `missing.bin` is neither a file nor JSON"),
        ("missing.csv", "FP32[?]", "`missing.csv` cannot be read: no such file or directory"),
    ],
)
def test_what_does_not_fit_is_said(text: str, wanted: str, message: str) -> None:
    with pytest.raises(InferError) as caught:
        read(f"x={text}", wanted)
    assert str(caught.value) == message


def test_broken_json_is_said() -> None:
    # What the collector finalises that deep down fails for want of stack, and would be blamed on this test.
    gc.collect()
    gc.disable()
    try:
        _broken_json_is_said()
    finally:
        gc.enable()


def _broken_json_is_said() -> None:
    with pytest.raises(InferError, match=r"^it is not JSON: "):
        read("x=[1,", "FP32[?]")
    with pytest.raises(InferError, match="is not JSON"):
        read("x=" + "[" * 100_000, "FP32[?]")


def test_csv_of_numbers_with_and_without_header(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("1,2.5\n3,4\n")
    expected = ("FP32", [2, 2], [[1.0, 2.5], [3.0, 4.0]])
    assert plain(read(f"x={file}", "FP32[?, 2]")) == expected
    file.write_text("width,height\n1,2.5\n3,4\n")
    assert plain(read(f"x={file}", "FP32[?, 2]")) == expected
    file.write_text("amount\n9007199254740993\n")
    assert plain(read(f"x={file}", "INT64[?]")) == ("INT64", [1], [9007199254740993])
    file.write_text("1,2\nx,4\n")
    with pytest.raises(InferError, match="`x` in row 2 is no number"):
        read(f"x={file}", "FP32[?, 2]")
    file.write_text("1,2\n3\n")
    with pytest.raises(InferError, match="rows of different lengths"):
        read(f"x={file}", "FP32[?, 2]")
    file.write_text("")
    with pytest.raises(InferError, match="is empty"):
        read(f"x={file}", "FP32[?, 2]")


def test_csv_of_texts(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text('x\n"a, b"\n1\n')
    assert plain(read(f"x={file}", "BYTES[?]")) == ("BYTES", [2], [b"a, b", b"1"])
    file.write_text("name\nb\n")
    assert plain(read(f"x={file}", "BYTES[?]")) == ("BYTES", [2], [b"name", b"b"])


def test_csv_with_a_column_for_each_input(tmp_path: Path) -> None:
    file = tmp_path / "all.csv"
    file.write_text("amount,city\n1.5,Bern\n2,Genf\n")
    wanted = {"amount": parse_tensor_type("FP64[?]"), "city": parse_tensor_type("BYTES[?]")}
    tensors = read_inputs([str(file)], wanted)
    assert [plain(each) for each in tensors] == [
        ("FP64", [2], [1.5, 2.0]),
        ("BYTES", [2], [b"Bern", b"Genf"]),
    ]


def test_numpy_files(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(4, dtype="<i8").reshape(2, 2))
    np.savez(tmp_path / "all.npz", x=np.ones((1, 2), "<f4"), y=np.array(["a", "ü"]))
    np.savez(tmp_path / "one.npz", other=np.zeros(2))
    assert plain(read(f"x={tmp_path / 'x.npy'}", "FP32[?, 2]"))[2] == [[0.0, 1.0], [2.0, 3.0]]
    assert plain(read(f"y={tmp_path / 'all.npz'}", "BYTES[?]", "y"))[2] == [b"a", "ü".encode()]
    assert plain(read(f"x={tmp_path / 'one.npz'}", "FP64[?]"))[2] == [0.0, 0.0]
    assert [each.name for each in read_inputs([str(tmp_path / "all.npz")], {})] == ["x", "y"]
    with pytest.raises(InferError, match="has no array `z`; its arrays are `x`, `y`"):
        read(f"z={tmp_path / 'all.npz'}", "FP64[?]", "z")


def test_a_pickle_is_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "x.npz").write_bytes(b"no archive")
    for name in ("x.npy", "x.npz"):
        with pytest.raises(InferError, match="cannot be read as numpy's"):
            read(f"x={tmp_path / name}", "FP64[?]")


@pytest.mark.parametrize(
    ("wanted", "shape"),
    [
        ("UINT8[?, 2, 3, 3]", [1, 2, 3, 3]),
        ("UINT8[1, 3, 2, 3]", [1, 2, 3, 3]),
        ("UINT8[?, 3, 2, 5]", [1, 3, 2, 5]),
        ("UINT8[?, 2, 3, 1]", [1, 2, 3, 1]),
        ("UINT8[?, 2, 3, 4]", [1, 2, 3, 4]),
        ("UINT8[2, 3, 3]", [2, 3, 3]),
        ("FP32[?, 2, 5]", [1, 2, 5]),
        ("UINT8[2, 5]", [2, 5]),
        ("UINT8[?, ?, ?, ?]", [1, 2, 3, 3]),
    ],
)
def test_images_are_fitted_to_the_rank(tmp_path: Path, wanted: str, shape: list[int]) -> None:
    width = parse_tensor_type(wanted).shape[-1]
    width = 5 if width == 5 else 3
    pixels = np.arange(2 * width * 3, dtype=np.uint8).reshape(2, width, 3)
    Image.fromarray(pixels).save(tmp_path / "i.png")
    if wanted == "UINT8[1, 3, 2, 3]":
        # The last dimension is taken for the channels: what is left has another shape.
        with pytest.raises(InferError, match="what is given has shape"):
            read(f"x={tmp_path / 'i.png'}", wanted)
        return
    tensor = read(f"x={tmp_path / 'i.png'}", wanted)
    assert tensor.shape == shape
    if shape == [1, 2, 3, 3]:
        assert_array_equal(tensor.array[0], pixels)
    if shape == [1, 3, 2, 5]:
        assert_array_equal(tensor.array[0], np.moveaxis(pixels, -1, 0))


def test_an_images_bytes_are_sent_where_bytes_are_wanted(tmp_path: Path) -> None:
    Image.new("L", (2, 2)).save(tmp_path / "i.png")
    tensor = read(f"x={tmp_path / 'i.png'}", "BYTES[?]")
    assert tensor.array.tolist() == [(tmp_path / "i.png").read_bytes()]
    written = write_tensor(tensor)
    assert written["parameters"] == {"content_type": "base64"}
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InferError, match="is not an image that can be read"):
        read(f"x={tmp_path / 'broken.png'}", "UINT8[?, 2, 2]")


def test_names(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    file.write_text(
        json.dumps({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}], "id": "a"})
    )
    assert plain(read(str(file), "FP32[?]")) == ("FP32", [1], [1.0])
    assert plain(read(f"x={file}", "FP32[?]")) == ("FP32", [1], [1.0])
    with pytest.raises(InferError, match="`y` is not an input of the model; its inputs are `x`"):
        read_inputs(["y=1"], {"x": parse_tensor_type("FP32[?]")})
    with pytest.raises(InferError, match="input `x` is given twice"):
        read_inputs(["x=1", "x=2"], {})
    with pytest.raises(InferError, match=r"needs the name of an input, as in `--input NAME=picture.png`"):
        read_inputs(["picture.png"], {})


def test_json_cannot_hold_everything() -> None:
    with pytest.raises(InferError, match="infinite values, which JSON cannot hold; use --grpc"):
        write_tensor(Tensor("x", "FP32", np.array([np.inf, np.nan], "<f4")))
    missing = write_tensor(Tensor("x", "FP32", np.array([[1.5], [np.nan]], "<f4")))
    assert missing["data"] == [1.5, None]
    assert write_tensor(Tensor("x", "FP32", np.array([[1, 2]], "<f4"))) == {
        "name": "x",
        "shape": [1, 2],
        "datatype": "FP32",
        "data": [1.0, 2.0],
    }


MISSING = float("nan")


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        ("a,b\n1.5,\n2,3\n", "FP32[?, 2]", [[1.5, MISSING], [2.0, 3.0]]),
        (",\n2,3\n", "FP64[?, 2]", [[MISSING, MISSING], [2.0, 3.0]]),
        ("a,b\n,\n", "FP16[?, 2]", [[MISSING, MISSING]]),
        ("a,b\n 1 , \n", "FP32[?, 2]", [[1.0, MISSING]]),
        ("a;b\n1;2\n", "FP32[?, 2]", [[1.0, 2.0]]),
        ("a\tb\n1\t2\n", "INT32[?, 2]", [[1, 2]]),
        ("a,b\n", "FP32[?, 2]", []),
        ("a,b\n", "INT64[?, 2]", []),
        ("a,,c\n1,2,3\n", None, [[b"a", b"", b"c"], [b"1", b"2", b"3"]]),
        ("1,\n2,3\n", None, [[1.0, MISSING], [2.0, 3.0]]),
    ],
)
def test_missing_cells_headers_alone_and_other_delimiters(
    tmp_path: Path, text: str, wanted: str | None, expected: list[object]
) -> None:
    file = tmp_path / "x.csv"
    file.write_text(text)
    tensor = read(f"x={file}", wanted)
    assert_array_equal(np.array(tensor.array.tolist()), np.array(expected))
    assert tensor.array.shape[-1] == (3 if "c" in text else 2)
    assert write_tensor(tensor)["shape"] == tensor.shape


@pytest.mark.parametrize("datatype", ["INT64", "UINT8", "BOOL"])
def test_a_datatype_without_missing_values_refuses_them_by_row(tmp_path: Path, datatype: str) -> None:
    file = tmp_path / "x.csv"
    file.write_text("a,b\n1,0\n1,\n")
    with pytest.raises(InferError, match=f"input `x` has a missing value in row 2, and {datatype} has none"):
        read(f"x={file}", f"{datatype}[?, 2]")


def test_columns_by_name_may_lack_values_and_rows(tmp_path: Path) -> None:
    file = tmp_path / "all.csv"
    wanted = {"amount": parse_tensor_type("FP64[?]"), "city": parse_tensor_type("BYTES[?, 1]")}
    file.write_text("amount,city\n,Bern\n2,\n")
    amount, city = read_inputs([str(file)], wanted)
    assert_array_equal(amount.array, np.array([MISSING, 2.0]))
    assert city.array.tolist() == [[b"Bern"], [b""]]
    file.write_text("city,amount\n")
    assert [(each.name, each.datatype, each.shape) for each in read_inputs([str(file)], wanted)] == [
        ("city", "BYTES", [0, 1]),
        ("amount", "FP64", [0]),
    ]


@pytest.mark.parametrize(
    "argument", ["[[1, 2]]", '{"x": [[1, 2]]}', '{"data": [1, 2], "shape": [1, 2]}', "FILE"]
)
def test_a_model_of_one_input_needs_no_name(tmp_path: Path, argument: str) -> None:
    file = tmp_path / "with=equals.csv"
    file.write_text("a,b\n1,2\n")
    tensor = read(str(file) if argument == "FILE" else argument, "FP32[?, 2]")
    assert plain(tensor) == ("FP32", [1, 2], [[1.0, 2.0]])


def test_a_model_of_several_inputs_says_which_there_are() -> None:
    wanted = {name: parse_tensor_type("FP32[?]") for name in ("a", "b")}
    for argument in ("[1]", "picture.png"):
        with pytest.raises(InferError, match=r"needs the name of an input.*its inputs are `a`, `b`"):
            read_inputs([argument], wanted)


def save_image(path: Path, value: int, size: tuple[int, int] = (5, 2)) -> Path:
    Image.new("L", size, value).save(path)
    return path


def test_several_images_are_the_rows_of_a_batch(tmp_path: Path) -> None:
    files = [save_image(tmp_path / f"{name}.png", value) for name, value in (("b", 2), ("a", 1), ("c", 3))]
    wanted = {"x": parse_tensor_type("UINT8[batch, 2, 5]")}
    for arguments in ([f"x={file}" for file in files], [str(file) for file in files]):
        (tensor,) = read_inputs(arguments, wanted)
        assert tensor.array[:, 0, 0].tolist() == [2, 1, 3]
    # A folder has them in the order of their names, and nothing else of it is read.
    (tmp_path / "notes.txt").write_text("no image")
    for argument in (f"x={tmp_path}", str(tmp_path)):
        (tensor,) = read_inputs([argument], wanted)
        assert tensor.array[:, 1, 2].tolist() == [1, 2, 3]
    (texts,) = read_inputs([f"x={tmp_path}"], {"x": parse_tensor_type("BYTES[batch]")})
    assert texts.array.tolist() == [file.read_bytes() for file in sorted(files)]


def test_images_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    wanted = {"x": parse_tensor_type("UINT8[batch, ?, ?]")}
    (tmp_path / "empty").mkdir()
    with pytest.raises(InferError, match="a folder without images"):
        read_inputs([str(tmp_path / "empty")], wanted)
    one, other = save_image(tmp_path / "a.png", 1), save_image(tmp_path / "b.png", 1, (4, 4))
    with pytest.raises(
        InferError, match=r"have different sizes: `.*a.png` has shape \[2, 5\], `.*b.png` \[4, 4\]"
    ):
        read_inputs([f"x={one}", f"x={other}"], wanted)
    with pytest.raises(InferError, match="input `x` is given twice"):
        read_inputs([f"x={one}", "x=[[[1]]]"], wanted)
