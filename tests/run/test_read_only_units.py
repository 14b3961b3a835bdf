"""A unit does all its work where it can write to nothing but the folder that its container mounts."""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request

Json = dict[str, Any]

START_SECONDS: Final = 200
# Where others hold the namespace of mounts, or it cannot be made, there is nothing to try.
IN_PRIVATE: Final = ("unshare", "--mount", "--propagation", "private")

NODE: Final = """
import tempfile
from pathlib import Path


def note(x):
    kept = Path.home() / ".cache" / "notes"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text("seen")
    with tempfile.TemporaryFile() as file:
        file.write(b"seen")
    try:
        Path("/graphc-was-here").write_text("a root that can be written to")
    except OSError:
        return x
    raise RuntimeError("the root can be written to")
"""

GRAPH: Final[Json] = {
    "apiVersion": "graphc/v1",
    "kind": "InferenceGraph",
    "metadata": {"name": "notes"},
    "inputs": {"x": "FP32[batch, 2]"},
    "nodes": {
        "note": {"python": "steps:note", "in": {"x": "x"}, "out": "FP32[batch, 2]"},
        "norm": {"component": "softmax", "in": "note"},
    },
    "outputs": {"y": "norm"},
}


def test_a_unit_of_two_processes_works_on_a_read_only_root(tmp_path: Path) -> None:
    if not _can_have_mounts():
        pytest.skip("a namespace of mounts takes rights that this user lacks")
    (tmp_path / "steps.py").write_text(NODE)
    (tmp_path / "graph.yaml").write_text(json.dumps(GRAPH | {"workers": 2}))
    done = compile_files(Request([str(tmp_path / "graph.yaml")]))
    assert not done.sink.has_errors, [each.message for each in done.sink]
    config_map, deployment = json.loads(json.dumps(done.emissions[0].documents))
    pod = deployment["spec"]["predictors"][0]["componentSpecs"][0]["spec"]
    (container,) = pod["containers"]
    _lay_files(config_map, tmp_path / "artefacts" / "note")
    ports = _free_ports()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    env = {each["name"]: each["value"].replace("/tmp", str(scratch)) for each in container["env"]}
    env |= {f"MLSERVER_{name}_PORT": str(port) for name, port in ports.items()}
    env |= {"MLSERVER_MODEL_NAME": container["name"], "PREDICTIVE_UNIT_ID": container["name"]}
    env |= {"GRAPHC_ARTIFACTS": str(tmp_path / "artefacts"), "TMPDIR": str(scratch)}
    (tmp_path / "empty").mkdir()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *IN_PRIVATE,
                "sh",
                "-ec",
                _read_only(scratch),
                "sh",
                sys.executable,
                "-m",
                "graphc_runtimes",
                ".",
            ],
            cwd=tmp_path / "empty",
            env={"PATH": os.environ["PATH"], **env},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        answer = _ask(process, f"http://127.0.0.1:{ports['HTTP']}/v2/models/notes/infer", tmp_path / "log")
        assert answer["outputs"][0]["data"] == [0.5, 0.5], answer
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert (scratch / ".cache" / "notes").read_text() == "seen"


def _read_only(scratch: Path) -> str:
    """Return what makes the root of the container read-only but for one folder, and runs what is given."""
    return f'mount --bind "{scratch}" "{scratch}"; mount -o remount,bind,ro /; exec "$@"'


def _can_have_mounts() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = [*IN_PRIVATE, "mount", "-o", "remount,bind,ro", "/"]
    return not subprocess.run(tried, capture_output=True, timeout=60).returncode


def _lay_files(config_map: Json, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, text in config_map.get("data", {}).items():
        (folder / name).write_text(text)
    for name, content in config_map.get("binaryData", {}).items():
        (folder / name).write_bytes(base64.b64decode(content))


def _free_ports() -> dict[str, int]:
    found: dict[str, int] = {}
    for name in ("HTTP", "GRPC", "METRICS"):
        with socket.socket() as each:
            each.bind(("127.0.0.1", 0))
            found[name] = each.getsockname()[1]
    return found


def _ask(process: subprocess.Popen[bytes], url: str, log: Path) -> Json:
    body = json.dumps({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [3.0, 3.0]}]})
    request = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"})
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code not in {404, 503}:
                pytest.fail(f"{error.code}: {error.read().decode()}\n{log.read_text()[-3000:]}")
        except OSError:
            pass
        time.sleep(0.2)
    pytest.fail(f"the unit does not answer:\n{log.read_text()[-3000:]}")
