"""Reading files: whatever stands in the way is a diagnostic."""

import io
import os
import sys
from pathlib import Path

import pytest
from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.source.files import LARGEST, STDIN, Source, read_source


def read(path: str) -> tuple[Source | None, list[Diagnostic]]:
    sink = Sink()
    return read_source(path, sink), list(sink)


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "graph.yaml"
    path.write_bytes("\ufeffname: é\r\n".encode())
    assert read(str(path)) == (Source(str(path), "name: é\r\n"), [])


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a: 1\n")))
    assert read("-") == (Source(STDIN, "a: 1\n"), [])


def test_missing(tmp_path: Path) -> None:
    path = str(tmp_path / "x")
    source, (problem,) = read(path)
    assert source is None
    assert problem.rule.code == "GC001"
    assert problem.message.endswith(" does not exist")


def test_folder(tmp_path: Path) -> None:
    source, (problem,) = read(str(tmp_path))
    assert source is None
    assert (problem.rule.code, problem.at) == ("GC001", None)
    assert problem.message.endswith(" is a folder, not a file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden(tmp_path: Path) -> None:
    path = tmp_path / "graph.yaml"
    path.touch(mode=0)
    _, (problem,) = read(str(path))
    assert problem.message.endswith(" cannot be read: permission denied")


def test_a_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    _, (problem,) = read(str(tmp_path / "file" / "graph.yaml"))
    assert problem.message.endswith(" cannot be read: not a directory")


@pytest.mark.parametrize(("size", "codes"), [(LARGEST, []), (LARGEST + 1, ["GC006"])])
def test_size(size: int, codes: list[str], tmp_path: Path) -> None:
    path = tmp_path / "graph.yaml"
    path.write_bytes(b"#" * size)
    source, problems = read(str(path))
    assert [each.rule.code for each in problems] == codes
    assert (source is None) == bool(codes)


def test_a_device_without_end() -> None:
    _, (problem,) = read("/dev/zero")
    assert problem.rule.code == "GC006"


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (b"\xff\xfea\0", 1, 1),
        (b"a: 1\r\nb: \xe9\n", 2, 4),
        ("é: ".encode() + b"\xc3", 1, 4),
        (b"\xef\xbb\xbfa: \xe9", 1, 4),
    ],
)
def test_not_utf8(data: bytes, line: int, column: int, tmp_path: Path) -> None:
    path = tmp_path / "graph.yaml"
    path.write_bytes(data)
    source, (problem,) = read(str(path))
    assert source is None
    assert problem.rule.code == "GC002"
    assert problem.at == Span(str(path), line, column, line, column + 1)
