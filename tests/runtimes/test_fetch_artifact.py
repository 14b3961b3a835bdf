"""Fetching, as an init container does it: a process, its exit code, and what lies in the folder afterwards."""

import hashlib
import importlib.util
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from graphc_runtimes.fetch import main

MODEL = b"model" * 1000
NO_SCHEME = "`ftp` is not a scheme that can be fetched: file, http, https, s3, gs"


class _Handler(SimpleHTTPRequestHandler):
    """Serves a folder; a path that begins with `cut` breaks off half-way."""

    def do_GET(self) -> None:
        if not self.path.startswith("/cut"):
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", str(len(MODEL)))
        self.end_headers()
        self.wfile.write(MODEL[:100])
        return None

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    served = tmp_path / "served"
    served.mkdir()
    (served / "my model.onnx").write_bytes(MODEL)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(served))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _listing(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


def test_a_file_of_the_web_is_fetched(web: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    digest = hashlib.sha256(MODEL).hexdigest().upper()
    assert main([f"{web}/my%20model.onnx", str(target), "--sha256", digest]) == 0
    assert (target / "my model.onnx").read_bytes() == MODEL
    assert _listing(target) == ["my model.onnx"]


def test_a_file_and_a_folder_on_disk_are_fetched(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "a.onnx").write_bytes(MODEL)
    (source / "deep" / "b.txt").write_text("b")
    target = tmp_path / "target"
    assert main([str(source / "a.onnx"), str(target)]) == 0
    assert _listing(target) == ["a.onnx"]
    (target / "deep").mkdir()
    (target / "deep" / "old.txt").write_text("from before the container restarted")
    assert main([source.as_uri(), str(target)]) == 0
    assert _listing(target) == ["a.onnx", "deep/b.txt"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/none.onnx", "HTTP Error 404: File not found"),
        ("/cut.onnx", "the connection broke off after 100 of 5000 bytes"),
        ("/folder/", "the URL names no file"),
        ("", "the URL names no file"),
    ],
)
def test_nothing_is_left_of_what_could_not_be_fetched(
    web: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str, reason: str
) -> None:
    target = tmp_path / "target"
    assert main([f"{web}{path}", str(target)]) == 1
    assert capsys.readouterr().err == f"error: cannot fetch `{web}{path}`: {reason}\n"
    assert list(target.iterdir()) == []


def test_another_file_than_the_one_expected_is_refused(
    web: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "my model.onnx").write_text("the one before")
    assert main([f"{web}/my%20model.onnx", str(target), "--sha256", "00"]) == 1
    assert (
        f"the SHA-256 of `my model.onnx` is {hashlib.sha256(MODEL).hexdigest()}, not 00"
        in capsys.readouterr().err
    )
    assert (target / "my model.onnx").read_text() == "the one before"


@pytest.mark.parametrize(
    ("uri", "line"),
    [
        ("/no/such/file", "error: cannot fetch `/no/such/file`: there is no such file\n"),
        (
            "ftp://host/a",
            f"error: cannot fetch `ftp://host/a`: {NO_SCHEME}\n",
        ),
        (
            "ftp://me:secret@host/a?signature=secret",
            f"error: cannot fetch `ftp://host/a`: {NO_SCHEME}\n",
        ),
    ],
)
def test_the_reason_is_one_line_without_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], uri: str, line: str
) -> None:
    assert main([uri, str(tmp_path)]) == 1
    assert capsys.readouterr().err == line


@pytest.mark.skipif(importlib.util.find_spec("fsspec") is not None, reason="fsspec is installed")
@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_bucket_needs_an_extra(tmp_path: Path, capsys: pytest.CaptureFixture[str], scheme: str) -> None:
    assert main([f"{scheme}://bucket/model.onnx", str(tmp_path)]) == 1
    assert f"{scheme}:// needs the `fetch` extra of graphc-runtimes" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_digest_of_a_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").touch()
    (source / "b").touch()
    assert main([str(source), str(tmp_path / "target"), "--sha256", "00"]) == 1
    assert "a SHA-256 is of one file, and the URI names a folder" in capsys.readouterr().err


def test_weights_come_with_their_model(web: str, tmp_path: Path) -> None:
    served = tmp_path / "served"
    (served / "more weights").mkdir()
    (served / "more weights" / "w.bin").write_bytes(b"weights")
    target = tmp_path / "target"
    for uri in (f"{web}/my%20model.onnx", str(served / "my model.onnx")):
        assert main([uri, str(target), "more weights/w.bin"]) == 0
        assert (target / "more weights" / "w.bin").read_bytes() == b"weights"
        assert (target / "my model.onnx").is_file()


@pytest.mark.parametrize("name", ["../w.bin", "/w.bin", "."])
def test_nothing_is_fetched_from_elsewhere(
    web: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main([f"{web}/my%20model.onnx", str(tmp_path / "target"), name]) == 1
    assert "does not lie beside it" in capsys.readouterr().err
    assert list((tmp_path / "target").iterdir()) == []
