"""What the config maps do not hold: pinned in the manifest, pushed to a store, and fetched as it was compiled."""

import hashlib
import json
import os
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

import pytest
import yaml
from click.testing import CliRunner, Result
from graphc.cli import main
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.push.problem import PushError
from graphc.push.push import push_all
from graphc.push.web import AUTHORIZATION
from graphc.targets.storing import Upload
from graphc_runtimes.fetch import main as fetch

GRAPH: Final = """\
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: score}
inputs: {x: "FP32[batch, 4]"}
nodes:
  near: %s
outputs: {y: near}
artifacts: %s
"""
MODEL: Final = '{model: own.pkl, in: {X: x}, out: {predict: "FP32[batch]"}}'
PYTHON: Final = '{python: "post:score", in: {x: x}, out: {y: "FP32[batch]"}, files: [data, "words/*.txt"]}'

Push = Callable[..., Result]


def own_model(filling: int = 0) -> bytes:
    # A pickle's value ends it: what follows is never read.
    return b"(isix\nScore\n." + bytes([filling]) * 1_100_000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "graph").mkdir()
    monkeypatch.chdir(tmp_path / "graph")
    return tmp_path / "graph"


def write_graph(folder: Path, node: str, store: str) -> None:
    (folder / "graph.yaml").write_text(GRAPH % (node, store))


def write_python(folder: Path) -> None:
    (folder / "post.py").write_text("import common\n\ndef score(x):\n    return x[:, 0]\n")
    (folder / "common.py").write_text("")
    for name, size in (("data/a/b.bin", 900_000), ("data/c.bin", 300_000), ("words/fr.txt", 10)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(os.urandom(size))


def push(*options: str) -> Result:
    return CliRunner().invoke(main, ["push", *options, "graph.yaml"])


def compiled() -> dict[str, Any]:
    done = CliRunner().invoke(main, ["compile", "graph.yaml"])
    assert done.exit_code == 0, done.output
    (document,) = (each for each in yaml.safe_load_all(done.stdout) if each["kind"] == "SeldonDeployment")
    return cast("dict[str, Any]", document)


def pod_of(document: dict[str, Any]) -> dict[str, Any]:
    return cast("dict[str, Any]", document["spec"]["predictors"][0]["componentSpecs"][0]["spec"])


def load(document: dict[str, Any], target: Path) -> int:
    """Do what the init container does, with its own words, in a folder of this machine."""
    (loader,) = pod_of(document)["initContainers"]
    assert loader["command"][:3] == ["python", "-m", "graphc_runtimes.fetch"]
    words = [str(target) if word == "/mnt/graphc/near" else word for word in loader["command"][3:]]
    assert str(target) in words
    return fetch(words)


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


# --- What is pinned ------------------------------------------------------------------------------------


def test_a_change_of_a_model_is_a_change_of_the_manifest_and_can_be_taken_back(folder: Path) -> None:
    store = folder.parent / "store"
    write_graph(folder, MODEL, store.as_uri())
    manifests: list[dict[str, Any]] = []
    for filling in (1, 2):
        (folder / "own.pkl").write_bytes(own_model(filling))
        assert push().exit_code == 0
        manifests.append(compiled())
    assert manifests[0] != manifests[1]
    # What was applied before finds what it found before.
    for filling, manifest in enumerate(manifests, start=1):
        target = folder.parent / f"target-{filling}"
        assert load(manifest, target) == 0
        assert files_below(target) == {"own.pkl": own_model(filling)}


def test_what_the_store_holds_instead_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = folder.parent / "store"
    write_graph(folder, MODEL, store.as_uri())
    (folder / "own.pkl").write_bytes(own_model())
    push()
    (stored,) = store.rglob("own.pkl")
    stored.write_bytes(own_model(9))
    assert load(compiled(), folder.parent / "target") == 1
    assert "the SHA-256 of `own.pkl` is" in capsys.readouterr().err


def test_weights_beside_a_model_are_pinned_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.onnx").write_bytes(b"model")
    (tmp_path / "w.bin").write_bytes(b"weights")
    digests = [hashlib.sha256(each).hexdigest() for each in (b"model", b"weights")]
    words = [str(tmp_path / "m.onnx"), str(tmp_path / "target"), "w.bin", "--sha256", digests[0], "--sha256"]
    assert fetch([*words, digests[1]]) == 0
    assert fetch([*words, digests[0]]) == 1
    assert "the SHA-256 of `w.bin` is" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        fetch(words[:-1])
    assert "--sha256 is given for each file, or for none" in capsys.readouterr().err


def test_the_users_python_travels_as_an_archive(folder: Path) -> None:
    store = folder.parent / "store"
    write_graph(folder, PYTHON, store.as_uri())
    write_python(folder)
    assert push().exit_code == 0
    document, target = compiled(), folder.parent / "target"
    assert load(document, target) == 0
    wanted = files_below(folder)
    del wanted["graph.yaml"]
    assert files_below(target) == wanted
    # The same files make the same archive, whatever their times say.
    os.utime(folder / "post.py", (1, 1))
    assert compiled() == document


@pytest.mark.parametrize("kind", ["link", "above", "absolute", "damaged"])
def test_an_archive_puts_nothing_elsewhere(kind: str, tmp_path: Path) -> None:
    import io
    import tarfile

    archive = tmp_path / "files.tar"
    with tarfile.open(archive, "w") as made:
        member = tarfile.TarInfo(
            {"above": "../out.txt", "absolute": str(tmp_path / "out.txt")}.get(kind, "a")
        )
        member.size = 4
        if kind == "link":
            member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
        made.addfile(member, io.BytesIO(b"text"))
    if kind == "damaged":
        archive.write_bytes(b"text")
    target = tmp_path / "target"
    assert fetch([str(archive), str(target), "--unpack"]) == (0 if kind == "absolute" else 1)
    assert not (tmp_path / "out.txt").exists() or kind == "absolute"
    assert not (tmp_path / "target" / "a").is_symlink()


def test_large_python_without_a_store_is_told_where_to_go(folder: Path) -> None:
    (folder / "graph.yaml").write_text((GRAPH % (PYTHON, "")).replace("artifacts: \n", ""))
    write_python(folder)
    done = CliRunner().invoke(main, ["check", "graph.yaml"])
    assert done.exit_code == 1
    assert "`near`: `post.py` and what it needs have 1,200," in done.stdout
    assert "put them there with `graphc push`" in done.stdout


# --- Pushing -------------------------------------------------------------------------------------------


def test_what_is_there_is_not_sent_again(folder: Path) -> None:
    store = folder.parent / "store"
    write_graph(folder, MODEL, store.as_uri())
    (folder / "own.pkl").write_bytes(own_model())
    dry = push("--dry-run")
    assert dry.exit_code == 2
    assert "1 missing (1,100,013 bytes), 0 there already" in dry.stdout
    assert not store.exists()
    assert "1 pushed (1,100,013 bytes), 0 there already" in push().stdout
    (stored,) = store.rglob("own.pkl")
    before = stored.stat().st_mtime_ns
    again = push()
    assert again.exit_code == 0
    assert "0 pushed (0 bytes), 1 there already" in again.stdout
    assert stored.stat().st_mtime_ns == before
    # One that was cut off, or damaged, is replaced.
    for damaged in (own_model()[:1000], own_model(5)):
        stored.write_bytes(damaged)
        assert "1 pushed" in push().stdout
        assert stored.read_bytes() == own_model()
    assert [*store.rglob(".*")] == []


def test_a_claim_is_filled_where_it_is_mounted(folder: Path) -> None:
    claim = folder.parent / "claim"
    claim.mkdir()
    write_graph(folder, PYTHON, "pvc://models/team")
    write_python(folder)
    lost = push()
    assert lost.exit_code == 1
    assert (
        "the volume claim `models` is not here: mount it, and give it with `--mount models=DIR`"
        in lost.output
    )
    assert push("--mount", f"models={claim}").exit_code == 0
    pod = pod_of(compiled())
    (mount,) = (each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "graphc-near")
    (volume,) = (each for each in pod["volumes"] if each["name"] == "graphc-near")
    assert "initContainers" not in pod
    assert volume["persistentVolumeClaim"] == {"claimName": "models", "readOnly": True}
    wanted = files_below(folder)
    del wanted["graph.yaml"]
    assert files_below(claim / mount["subPath"]) == wanted


def test_nothing_to_push_is_said(folder: Path) -> None:
    (folder / "graph.yaml").write_text(
        (GRAPH % ("{component: softmax, in: x}", "s3://b")).replace("near.y", "near")
    )
    done = push()
    assert (done.exit_code, done.stdout.splitlines()[-1][:16]) == (0, "nothing to push:")


def test_a_file_that_changes_meanwhile_is_never_stored(folder: Path) -> None:
    store = folder.parent / "store"
    write_graph(folder, MODEL, store.as_uri())
    (folder / "own.pkl").write_bytes(own_model())
    uploads = uploads_of(folder)
    (folder / "own.pkl").write_bytes(own_model(3))
    with pytest.raises(
        PushError, match=r"cannot push `own\.pkl` to .*: it was changed meanwhile: push again"
    ):
        push_all(uploads, {}, ignore, dry=False)
    assert files_below(store) == {}


def ignore(upload: Upload, what: str) -> None:
    """Nobody reads what is said."""


def uploads_of(folder: Path) -> list[Upload]:
    done = compile_files(Request([str(folder / "graph.yaml")]))
    return [each for emission in done.emissions for each in emission.uploads]


def test_memory_does_not_grow_with_the_file(folder: Path) -> None:
    write_graph(folder, MODEL, (folder.parent / "store").as_uri())
    (folder / "own.pkl").write_bytes(own_model())
    os.truncate(folder / "own.pkl", 200 << 20)
    tracemalloc.start()
    try:
        push_all(uploads_of(folder), {}, ignore, dry=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20


# --- The web -------------------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    """Keeps files in memory; `answer` stands for all answers to PUT, `token` is asked for where it is set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.answer: int | None = None
        self.token: str | None = None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def kept(self) -> _Server:
        return cast("_Server", self.server)

    def do_HEAD(self) -> None:
        found = self.kept.files.get(self.path)
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Length", str(len(found or b"")))
        self.end_headers()

    def do_PUT(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        allowed = self.kept.token in {None, self.headers.get("Authorization")}
        status = self.kept.answer or (201 if allowed else 403)
        if status == 201 and len(body) == length:
            self.kept.files[self.path] = body
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002


@pytest.fixture
def web() -> Iterator[_Server]:
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def web_graph(folder: Path, web: _Server) -> None:
    write_graph(folder, MODEL.replace("own.pkl", "my own.pkl"), f"http://127.0.0.1:{web.server_port}/team")
    (folder / "my own.pkl").write_bytes(own_model())


def test_a_web_server_gets_files_by_put(folder: Path, web: _Server) -> None:
    web_graph(folder, web)
    assert push().exit_code == 0
    ((path, content),) = web.files.items()
    assert path == f"/team/sha256/{hashlib.sha256(own_model()).hexdigest()}/my%20own.pkl"
    assert content == own_model()
    assert "1 there already" in push().stdout
    web.files[path] = content[:1000]
    assert "1 pushed" in push().stdout
    assert web.files[path] == own_model()


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (500, "the server answers 500 Internal Server Error"),
        (403, f"the server answers 403: what `{AUTHORIZATION}` holds does not let us in"),
        (307, "the server sends us elsewhere (307): name that place in `artifacts:`"),
    ],
)
def test_a_web_servers_refusal_is_told(folder: Path, web: _Server, status: int, reason: str) -> None:
    web_graph(folder, web)
    web.answer = status
    done = push()
    assert done.exit_code == 1
    assert reason in done.output
    assert web.files == {}


def test_a_token_goes_in_a_header_and_nowhere_else(
    folder: Path, web: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    web_graph(folder, web)
    web.token = "Bearer 1234567"
    assert push().exit_code == 1
    monkeypatch.setenv(AUTHORIZATION, web.token)
    done = push()
    assert done.exit_code == 0
    assert "1234567" not in done.output


def test_a_server_that_is_not_there_is_told(folder: Path) -> None:
    write_graph(folder, MODEL, "http://127.0.0.1:1/team")
    (folder / "own.pkl").write_bytes(own_model())
    done = push()
    assert done.exit_code == 1
    assert "Error: cannot push `own.pkl` to `http://127.0.0.1:1/team/sha256/" in done.output
    assert "refused" in done.output


def test_what_changes_while_it_is_sent_never_arrives(folder: Path, web: _Server) -> None:
    web_graph(folder, web)
    uploads = uploads_of(folder)
    (folder / "my own.pkl").write_bytes(own_model(3))
    with pytest.raises(PushError, match="it was changed meanwhile"):
        push_all(uploads, {}, ignore, dry=False)
    assert web.files == {}


# --- Buckets -------------------------------------------------------------------------------------------


class _Object:
    """An object as fsspec has one: it is there once it is closed, unless it was discarded."""

    def __init__(self, files: dict[str, bytes], path: str) -> None:
        self._files, self._path, self._parts = files, path, list[bytes]()
        self.closed = False

    def __del__(self) -> None:
        if not self.closed:
            self.close()

    def write(self, data: bytes) -> int:
        self._parts.append(data)
        return len(data)

    def close(self) -> None:
        self.closed = True
        self._files[self._path] = b"".join(self._parts)

    def discard(self) -> None:
        self._parts.clear()


class _Bucket:
    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def info(self, path: str) -> dict[str, object]:
        if path not in self.files:
            raise FileNotFoundError(path)
        return {"size": len(self.files[path])}

    def open(self, path: str, mode: str, block_size: int) -> _Object:
        assert (mode, block_size > 0) == ("wb", True)
        return _Object(self.files, path)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> _Bucket:
    made, module = _Bucket(), ModuleType("fsspec")

    def filesystem(scheme: str) -> _Bucket:
        assert scheme in {"s3", "gs"}
        return made

    vars(module)["filesystem"] = filesystem
    monkeypatch.setitem(sys.modules, "fsspec", module)
    return made


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_bucket_gets_objects(folder: Path, bucket: _Bucket, scheme: str) -> None:
    write_graph(folder, MODEL, f"{scheme}://bucket/team")
    (folder / "own.pkl").write_bytes(own_model())
    assert push().exit_code == 0
    ((path, content),) = bucket.files.items()
    assert path == f"bucket/team/sha256/{hashlib.sha256(own_model()).hexdigest()}/own.pkl"
    assert content == own_model()
    assert "1 there already" in push().stdout


def test_a_bucket_has_nothing_of_what_changed_meanwhile(folder: Path, bucket: _Bucket) -> None:
    write_graph(folder, MODEL, "s3://bucket/team")
    (folder / "own.pkl").write_bytes(own_model())
    uploads = uploads_of(folder)
    (folder / "own.pkl").write_bytes(own_model(3))
    with pytest.raises(PushError, match="it was changed meanwhile"):
        push_all(uploads, {}, ignore, dry=False)
    assert bucket.files == {}


def test_a_bucket_needs_its_client(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    write_graph(folder, MODEL, "s3://bucket/team")
    (folder / "own.pkl").write_bytes(own_model())
    done = push()
    assert done.exit_code == 1
    assert "s3:// needs `s3fs`, which is not installed: install `graphc-compiler[push]`" in done.output


def test_the_region_finds_what_was_pushed(folder: Path) -> None:
    write_graph(folder, MODEL, "s3://bucket/team")
    (folder / "own.pkl").write_bytes(own_model())
    (container,) = pod_of(compiled())["containers"]
    region = next(each["value"] for each in container["env"] if each["name"] == "GRAPHC_REGION")
    assert json.loads(region.replace("$$", "$"))["nodes"][0]["path"] == "near/own.pkl"
