"""The containers of a pod without Seldon, started here as the manifest says: real units, and the real engine."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml
from click.testing import CliRunner
from graphc.cli import main
from graphc.run.environment import expand
from graphc.run.plan import free_ports
from running_servers import GRAPHC

FOLDER: Final = Path(__file__).parents[2] / "graphs" / "wine-average"
START_S: Final = 240.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Json = dict[str, Any]


def compiled() -> list[Json]:
    options = ["compile", "-O0", "--target", "kubernetes", str(FOLDER / "graph.yaml")]
    done = CliRunner().invoke(main, options)
    assert done.exit_code == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def lay_mounts(pod: Json, container: Json, maps: dict[str, Json], root: Path) -> None:
    """Write what the config maps bring to the places where a container mounts them, below a folder."""
    volumes = {each["name"]: each for each in pod["volumes"]}
    for mount in container["volumeMounts"]:
        source = volumes[mount["name"]].get("configMap")
        for item in source["items"] if source else ():
            content = maps[source["name"]]
            place = root / mount["mountPath"].strip("/") / item["path"]
            place.parent.mkdir(parents=True, exist_ok=True)
            text = content.get("data", {}).get(item["key"])
            place.write_bytes(text.encode() if text else base64.b64decode(content["binaryData"][item["key"]]))


@contextmanager
def started(command: Sequence[str], env: dict[str, str], folder: Path, name: str) -> Generator[None]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def start_pod(pod: Json, maps: dict[str, Json], folder: Path, port: int, stack: ExitStack) -> None:
    """Start every container with its own variables; only folders, the address and the engine's port are others."""
    for container in pod["containers"]:
        name = container["name"]
        home, root = folder / name / "home", folder / name / "root"
        for each in (home, root):
            each.mkdir(parents=True)
        lay_mounts(pod, container, maps, root)
        env = {each["name"]: expand(each["value"], {}) for each in container["env"]}
        env |= {"HOME": str(home), "MLSERVER_METRICS_DIR": str(home), "PATH": os.environ["PATH"]}
        env["MLSERVER_HOST"] = "127.0.0.1"
        if container.get("command"):
            assert container["command"] == ["graphc", "engine"]
            file, *options = container["args"]
            assert options == ["--host", "0.0.0.0", "--http-port", "8000", "--grpc-port", "5001"]
            own = ["--http-port", str(port), "--grpc-port", "0"]
            command = [*GRAPHC, "engine", str(root / file.strip("/")), *own]
        else:
            env["GRAPHC_ARTIFACTS"] = str(root / "mnt" / "graphc")
            command = [sys.executable, "-m", "graphc_runtimes", str(home)]
        stack.enter_context(started(command, env, folder, name))


def await_ready(url: str, folder: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        try:
            if httpx.get(f"{url}/v2/health/ready", timeout=10).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    logs = {each.name: each.read_text(errors="replace")[-500:] for each in folder.glob("*.log")}
    raise AssertionError(logs)


def test_a_pod_of_several_units_answers_every_case(tmp_path: Path) -> None:
    documents = compiled()
    maps = {each["metadata"]["name"]: each for each in documents if each["kind"] == "ConfigMap"}
    (deployment,) = [each for each in documents if each["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    port = free_ports(1)[0].http
    url = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        start_pod(pod, maps, tmp_path, port, stack)
        await_ready(url, tmp_path)
        for case in json.loads((FOLDER / "cases.json").read_text()):
            answer = httpx.post(f"{url}/v2/models/wine-average/infer", json=case["request"], timeout=60)
            assert answer.status_code == 200, answer.text
            found = {each["name"]: each["data"] for each in answer.json()["outputs"]}
            for name, wanted in _outputs(case).items():
                assert found[name] == pytest.approx(wanted, abs=1e-5)
        facts = httpx.get(f"{url}/v2/models/wine-average").json()
        assert facts["versions"] == ["main"]


def _outputs(case: Json) -> Json:
    return {each["name"]: each["data"] for each in case["expected"]["outputs"]}
