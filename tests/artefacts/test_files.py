"""Files that a graph or a model names are what they say: regular, in their folder, and whole."""

import importlib
import os
import socket
import time
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from graphc.artefacts.files import check_place
from graphc.artefacts.read_signature import read_signature
from graphc.artefacts.signature import ArtefactFault, Signature
from graphc.cli import main
from graphc.diagnostics.codes.artefacts import (
    FILE_ELSEWHERE,
    MISSING_ARTEFACT,
    UNREADABLE_ARTEFACT,
)

ONNX: Final[Any] = importlib.import_module("onnx")
MAKE: Final[Any] = importlib.import_module("onnx.helper")

EXTERNAL: Final = 1
GRAPH: Final = """\
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: g}
inputs: {x: "FP32[batch, 3]"}
nodes:
  net: {model: net.onnx, in: {x: x}}
outputs: {o: net}
"""


def tensor(
    *, dims: tuple[int, ...] = (3,), element: int = 1, raw: bytes | None = None, **entries: str
) -> Any:
    """A tensor `w`; with entries it lies in another file."""
    made = ONNX.TensorProto(name="w", data_type=element, dims=dims)
    if raw is not None:
        made.raw_data = raw
    if entries:
        made.data_location = EXTERNAL
        for key, text in entries.items():
            made.external_data.add(key=key, value=text)
    return made


def model(*initializers: Any, nodes: list[Any] | None = None) -> Any:
    row = [MAKE.make_tensor_value_info(name, 1, ["batch", 3]) for name in ("x", "y")]
    made = nodes or [MAKE.make_node("Add", ["x", "w"], ["y"])]
    graph = MAKE.make_graph(made, "g", row[:1], row[1:], initializer=list(initializers))
    return MAKE.make_model(graph, opset_imports=[MAKE.make_opsetid("", 17)], ir_version=8)


def write(folder: Path, made: Any) -> Path:
    (folder / "graph.yaml").write_text(GRAPH)
    (folder / "net.onnx").write_bytes(made.SerializeToString())
    return folder / "net.onnx"


def read(folder: Path, made: Any) -> Signature | ArtefactFault:
    return read_signature(write(folder, made), "onnx")


def fault_of(folder: Path, made: Any) -> ArtefactFault:
    fault = read(folder, made)
    assert isinstance(fault, ArtefactFault), fault
    return fault


def run(command: str, folder: Path) -> Result:
    result = CliRunner().invoke(main, [command, str(folder / "graph.yaml")])
    assert result.exit_code == 1, (result.output, result.exception)
    return result


# Where files lie


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    secret, folder = tmp_path / "secret", tmp_path / "graph"
    folder.mkdir()
    secret.write_bytes(bytes(12))
    (folder / "link.bin").symlink_to(secret)
    write(folder, model(tensor(location="link.bin")))
    for command in ("check", "compile", "explain"):
        result = run(command, folder)
        assert "GC530" in result.output
        assert "`link.bin` is a link to a file outside the model's folder" in result.output
        assert "ConfigMap" not in result.output


@pytest.mark.parametrize(
    ("location", "target", "is_refused"),
    [
        ("model.onnx", "../secret", True),
        ("models/model.onnx", "../../secret", True),
        ("models/model.onnx", "../inside", False),
        ("models/../model.onnx", "inside", False),
        ("../graph/model.onnx", "../secret", False),
        ("../graph/model.onnx", "/etc/hostname", True),
    ],
)
def test_a_link_may_lead_where_the_path_itself_may(
    location: str, target: str, is_refused: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "graph"
    (folder / "models").mkdir(parents=True)
    (folder / "inside").touch()
    (tmp_path / "secret").touch()
    (folder / location).symlink_to(target)
    fault = check_place(folder, location)
    assert (fault is not None) is is_refused
    assert fault is None or fault.rule is FILE_ELSEWHERE


def test_a_folder_that_is_a_link_is_followed_too(tmp_path: Path) -> None:
    folder = tmp_path / "graph"
    (tmp_path / "elsewhere").mkdir()
    folder.mkdir()
    (folder / "models").symlink_to(tmp_path / "elsewhere")
    fault = check_place(folder, "models/a.onnx")
    assert fault is not None
    assert fault.rule is FILE_ELSEWHERE


def test_a_graph_may_itself_lie_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "graph").symlink_to("real")
    (tmp_path / "real" / "model.onnx").touch()
    assert check_place(tmp_path / "graph", "model.onnx") is None


def test_links_that_go_round_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").symlink_to("b.onnx")
    (tmp_path / "b.onnx").symlink_to("a.onnx")
    found = check_place(tmp_path, "a.onnx") or read_signature(tmp_path / "a.onnx", "onnx")
    assert isinstance(found, ArtefactFault)


# What files are


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_socket(path: Path) -> None:
    here = Path.cwd()
    # The name of a socket has to be short.
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path.name)
    os.chdir(here)


@pytest.mark.parametrize("make", [make_pipe, make_device, make_socket])
@pytest.mark.parametrize("name", ["net.onnx", "m.joblib", "m.pkl", "m.ubj", "m.json", "w.bin", "post.py"])
def test_only_regular_files_are_read(make: Any, name: str, tmp_path: Path) -> None:
    write(tmp_path, model(tensor(location="w.bin")))
    text = GRAPH.replace("net.onnx", "net.onnx" if name == "w.bin" else name)
    if name == "post.py":
        text = GRAPH.replace("model: net.onnx", 'python: "post:f", out: {y: "FP32[batch, 3]"}')
    (tmp_path / "graph.yaml").write_text(text)
    (tmp_path / name).unlink(missing_ok=True)
    make(tmp_path / name)
    begin = time.monotonic()
    for command in ("check", "compile", "explain"):
        assert f"`{name}` is a" in run(command, tmp_path).output
    assert time.monotonic() - begin < 20


def test_a_misspelt_file_is_told_with_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, model(tensor(raw=bytes(12))))
    fault = read_signature(tmp_path / "nett.onnx", "onnx")
    assert fault == ArtefactFault(
        MISSING_ARTEFACT, "there is no file `nett.onnx`", "did you mean `net.onnx`?"
    )


# What is in files beside


def test_a_file_beside_that_is_missing_is_named_at_the_nodes_line(tmp_path: Path) -> None:
    write(tmp_path, model(tensor(location="net.onnx.data", offset="0", length="12")))
    for command in ("check", "compile", "explain"):
        output = run(command, tmp_path).output
        assert "GC501" in output
        assert "graph.yaml:6:" in output
        assert "there is no file `net.onnx.data`" in output


def test_the_same_file_beside_is_looked_at_when_the_signature_is_kept(tmp_path: Path) -> None:
    path, cache = write(tmp_path, model(tensor(location="w.bin"))), tmp_path / "cache"
    (tmp_path / "w.bin").write_bytes(bytes(12))
    assert isinstance(read_signature(path, "onnx", folder=cache), Signature)
    (tmp_path / "w.bin").write_bytes(bytes(11))
    fault = read_signature(path, "onnx", folder=cache)
    assert isinstance(fault, ArtefactFault)
    assert "has weights up to byte 12 of `w.bin`, which has 11" in fault.message


def subgraph(held: Any) -> list[Any]:
    """Nodes of which one holds a graph that holds a tensor."""
    inner = MAKE.make_graph(
        [MAKE.make_node("Identity", ["w"], ["z"])],
        "then",
        [],
        [MAKE.make_tensor_value_info("z", 1, [3])],
        [held],
    )
    condition = MAKE.make_node("Constant", [], ["c"], value=MAKE.make_tensor("c", 9, [], [True]))
    return [condition, MAKE.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)]


def constant(held: Any) -> list[Any]:
    return [MAKE.make_node("Constant", [], ["w"], value=held), MAKE.make_node("Add", ["x", "w"], ["y"])]


def holding(held: Any, place: str) -> Any:
    """A model that holds a tensor at a place."""
    if place == "function":
        function = MAKE.make_function(
            "local", "Plus", ["a"], ["b"], [constant(held)[0], MAKE.make_node("Add", ["a", "w"], ["b"])],
            [MAKE.make_opsetid("", 17)],
        )  # fmt: skip
        made = model(nodes=[MAKE.make_node("Plus", ["x"], ["y"], domain="local")])
        made.functions.append(function)
        made.opset_import.append(MAKE.make_opsetid("local", 1))
        return made
    if place == "sparse":
        made = model()
        sparse = made.graph.sparse_initializer.add(dims=[3])
        sparse.values.CopyFrom(held)
        sparse.indices.CopyFrom(MAKE.make_tensor("i", 7, [3], [0, 1, 2]))
        return made
    return (
        model(held)
        if place == "initializer"
        else model(nodes={"if": subgraph, "constant": constant}[place](held))
    )


PLACES: Final = ("initializer", "constant", "if", "function", "sparse")
IMPOSSIBLE: Final[dict[str, Any]] = {
    "more than there is": tensor(dims=(1 << 40,)),
    "more than the raw bytes": tensor(dims=(4,), raw=bytes(12)),
    "less than nothing": tensor(dims=(-1,)),
    "more than can be": tensor(dims=(1 << 62, 1 << 62), raw=bytes(12)),
    "an offset past the end": tensor(location="w.bin", offset="1099511627776"),
    "an offset by a byte": tensor(location="w.bin", offset="1"),
    "a length that is another": tensor(location="w.bin", length="11"),
    "a negative offset": tensor(location="w.bin", offset="-4"),
    "an offset in words": tensor(location="w.bin", offset="twelve"),
    "a vast offset": tensor(location="w.bin", offset="9" * 40),
    "no location": tensor(offset="0"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_tensors_have_the_numbers_that_they_say(case: str, place: str, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(12))
    assert fault_of(tmp_path, holding(IMPOSSIBLE[case], place)).rule is UNREADABLE_ARTEFACT


@pytest.mark.parametrize("place", PLACES)
def test_sound_tensors_are_no_fault(place: str, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))
    for sound in (
        tensor(raw=bytes(12)),
        tensor(location="w.bin", offset="4"),
        tensor(location="w.bin", length="12"),
    ):
        signature = read(tmp_path, holding(sound, place))
        assert isinstance(signature, Signature), signature


@pytest.mark.parametrize("element", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 21, 22])
def test_numbers_of_every_type_are_counted_as_onnx_writes_them(element: int, tmp_path: Path) -> None:
    values: list[Any] = ["a", "", "ccc", "d", "e"] if element == 8 else [1, 0, 1, 0, 1]
    made = MAKE.make_tensor("w", element, [5], values)
    assert isinstance(read(tmp_path, model(made)), Signature)
    made.dims[0] = 5000
    assert fault_of(tmp_path, model(made)).rule is UNREADABLE_ARTEFACT


def test_a_sparse_tensor_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    made = model()
    sparse = made.graph.sparse_initializer.add(dims=[1 << 40])
    sparse.values.CopyFrom(tensor(dims=(1,), raw=bytes(4)))
    sparse.indices.CopyFrom(MAKE.make_tensor("i", 7, [1], [0]))
    assert "too large to be spread out" in fault_of(tmp_path, made).message


def delimited(number: int, data: bytes) -> bytes:
    length, size = b"", len(data)
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


def test_graphs_within_graphs_have_an_end(tmp_path: Path) -> None:
    graph = model(tensor(raw=bytes(12))).graph.SerializeToString()
    for _ in range(400):
        # A node (1) with an attribute (5) that is a graph (6).
        for number in (6, 5, 1):
            graph = delimited(number, graph)
    (tmp_path / "net.onnx").write_bytes(bytes([8, 8]) + delimited(7, graph))
    fault = read_signature(tmp_path / "net.onnx", "onnx")
    assert isinstance(fault, ArtefactFault)
    assert "nested too deeply" in fault.message
