"""Signatures are kept by content: never needed, never trusted, the same with and without."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from click import Context
from click.testing import CliRunner
from graphc.artefacts import cache, onnx_reader
from graphc.artefacts.cache import entry_path, find_signature, keep_signature
from graphc.artefacts.read_signature import Signatures, content_hash, read_signature
from graphc.artefacts.signature import ArtefactFault, ArtefactTensor, Opset, Signature, Skipped, WeightFile
from graphc.caching import cache_root
from graphc.cli import main

GRAPHS: Final = Path(__file__).parents[2] / "graphs"
WINE: Final = GRAPHS / "wine-average"
MODEL: Final = WINE / "models" / "scale.onnx"

WHOLE: Final = Signature(
    (ArtefactTensor("X", None, ("batch", 4)), ArtefactTensor("any", "BYTES", None)),
    (ArtefactTensor("y", "FP32", (None, 0)),),
    optional_inputs=(ArtefactTensor("w", "INT64", ()),),
    skipped=(Skipped("map", "it is a map", "take it apart"),),
    weights=(WeightFile("weights/a.bin", 40),),
    ir_version=8,
    opsets=(Opset("", 17),),
    only_gpu=("com.microsoft.GroupNorm",),
)


def fail(*_: object) -> None:
    pytest.fail("read again")


def entry(folder: Path) -> Path:
    (found,) = (folder / "signatures").iterdir()
    return found


def test_what_is_kept_is_found(tmp_path: Path) -> None:
    path = tmp_path / "signatures" / "entry.json"
    assert find_signature(path) is None
    keep_signature(path, WHOLE)
    assert find_signature(path) == WHOLE
    assert [each.name for each in path.parent.iterdir()] == ["entry.json"]


def test_a_kept_signature_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read_signature(MODEL, "onnx", folder=tmp_path)
    assert first == read_signature(MODEL, "onnx")
    monkeypatch.setattr(onnx_reader, "read_onnx", fail)
    copied = shutil.copy(MODEL, tmp_path / "other name.onnx")
    assert read_signature(Path(copied), "onnx", folder=tmp_path) == first


def test_other_content_and_frameworks_have_entries_of_their_own(tmp_path: Path) -> None:
    paths = {entry_path(tmp_path, content, kind) for content in ("a", "b") for kind in ("onnx", "sklearn")}
    assert len(paths) == 4


def test_faults_are_not_kept(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    assert isinstance(read_signature(broken, "onnx", folder=tmp_path / "cache"), ArtefactFault)
    assert not (tmp_path / "cache").exists()


def edit(change: Callable[[dict[str, object]], object]) -> Callable[[str], str]:
    def edited(text: str) -> str:
        fields: dict[str, object] = json.loads(text)
        change(fields)
        return json.dumps(fields)

    return edited


HOSTILE: Final[dict[str, Callable[[str], str]]] = {
    "empty": lambda _: "",
    "cut": lambda text: text[: len(text) // 2],
    "not an object": lambda _: "[]",
    "deep": lambda _: "[" * 60_000,
    "too large": lambda text: text + " " * 70_000,
    "a field more": edit(lambda fields: fields.update(more=1)),
    "a field less": edit(lambda fields: fields.pop("weights")),
    "a file elsewhere": edit(lambda fields: fields.update(weights=[["../../etc/passwd", 1]])),
    "an absolute file": edit(lambda fields: fields.update(weights=[["/etc/passwd", 1]])),
    "an unknown datatype": edit(lambda fields: fields.update(outputs=[["y", "FP8", [1]]])),
    "a datatype that is a list": edit(lambda fields: fields.update(outputs=[["y", [], [1]]])),
    "a negative dimension": edit(lambda fields: fields.update(outputs=[["y", "FP32", [-1]]])),
    "a fractional dimension": edit(lambda fields: fields.update(outputs=[["y", "FP32", [1.5]]])),
    "a boolean dimension": edit(lambda fields: fields.update(outputs=[["y", "FP32", [True]]])),
    "a tensor too short": edit(lambda fields: fields.update(inputs=[["x", "FP32"]])),
    "a name that is a number": edit(lambda fields: fields.update(inputs=[[1, "FP32", [1]]])),
    "a version that is text": edit(lambda fields: fields.update(ir_version="8")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_was_not_written_so_counts_as_absent(name: str, tmp_path: Path) -> None:
    signature = read_signature(MODEL, "onnx", folder=tmp_path)
    path = entry(tmp_path)
    path.write_text(HOSTILE[name](path.read_text()))
    assert find_signature(path) is None
    assert read_signature(MODEL, "onnx", folder=tmp_path) == signature
    assert find_signature(path) == signature


def test_another_users_entry_counts_as_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_signature(MODEL, "onnx", folder=tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: -1)
    assert find_signature(entry(tmp_path)) is None


def test_a_folder_that_cannot_be_written_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "signatures").write_text("a file, not a folder")
    assert read_signature(MODEL, "onnx", folder=tmp_path) == read_signature(MODEL, "onnx")


def test_many_writers_agree(tmp_path: Path) -> None:
    path = tmp_path / "signatures" / "entry.json"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(keep_signature, [path] * 200, [WHOLE] * 200))
    assert find_signature(path) == WHOLE
    assert len(list(path.parent.iterdir())) == 1


def test_the_cache_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_ENTRIES", 10)
    for index in range(25):
        keep_signature(tmp_path / "signatures" / f"{index}.json", WHOLE)
    left = {each.name for each in (tmp_path / "signatures").iterdir()}
    assert len(left) <= 10
    assert "24.json" in left


def test_large_onnx_models_are_not_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphc.artefacts.read_signature.LARGEST_HASHED", 10)
    assert isinstance(read_signature(MODEL, "onnx", folder=tmp_path), Signature)
    assert not (tmp_path / "signatures").exists()


def test_one_compile_reads_a_model_once(monkeypatch: pytest.MonkeyPatch) -> None:
    signatures = Signatures()
    first = signatures.read(MODEL, "onnx", "scale.onnx")
    monkeypatch.setattr(onnx_reader, "read_onnx", fail)
    assert signatures.read(MODEL, "onnx", "scale.onnx") is first


def test_folders() -> None:
    assert cache_root({"GRAPHC_CACHE_DIR": "here", "XDG_CACHE_HOME": "/var/cache/me"}) == Path("here")
    assert cache_root({"XDG_CACHE_HOME": "/var/cache/me"}) == Path("/var/cache/me/graphc")
    assert cache_root({"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache" / "graphc"


@pytest.mark.parametrize("example", sorted(each.parent.name for each in GRAPHS.glob("*/graph.yaml")))
def test_the_same_bytes_with_the_cache_and_without(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path))
    arguments = ["compile", str(GRAPHS / example / "graph.yaml")]
    made = [CliRunner().invoke(main, [*arguments, *more]) for more in (["--no-cache"], [], [])]
    assert [each.exit_code for each in made] == [0, 0, 0]
    assert made[0].output == made[1].output == made[2].output


@pytest.mark.parametrize("name", ["check", "compile", "explain", "lint", "run", "bench"])
def test_every_command_that_reads_models_can_do_without(name: str) -> None:
    command = main.get_command(Context(main), name)
    assert command is not None
    assert any("--no-cache" in each.opts for each in command.params)


def test_no_cache_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path))
    CliRunner().invoke(main, ["check", "--no-cache", str(WINE / "graph.yaml")], catch_exceptions=False)
    assert not list(tmp_path.iterdir())
    CliRunner().invoke(main, ["check", str(WINE / "graph.yaml")], catch_exceptions=False)
    assert entry_path(tmp_path, content_hash(MODEL), "onnx").is_file()
