"""A rollout of `graphs/cancer-rollout` in the API server, with real engines and units, while clients ask all the time.

No pod runs: the stand-in for the operator and the pods starts `graphc run` for every predictor that is applied, and
shares requests by the applied traffic. `graphc apply`, `promote` and `rollback`, the comparing service and the figures
are the real ones.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from stand_in_operator import Operator, operating
from stand_in_pods import Place, Pods, running_pods
from steady_load import loading, single_rows

EXAMPLE: Final = Path(__file__).parents[2] / "graphs" / "cancer-rollout"
PAGE: Final = EXAMPLE.parents[1] / "docs" / "deploy.md"
NAMESPACE: Final = "default"
"""Where commands that name none go, as the page's do."""

OUTPUTS: Final = frozenset({"diagnosis", "probabilities"})
GRAPHC: Final = [sys.executable, "-c", "from graphc.cli import start; start()"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Json = dict[str, Any]


@contextmanager
def comparing(folder: Path) -> Generator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = os.environ | {"GRAPHC_COMPARE_DATABASE": str(folder / "compare.db")}
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([*GRAPHC, "compare-server", "--port", str(port)], env=environment) as process:
        try:
            end = time.monotonic() + 60
            while True:
                with (
                    contextlib.suppress(OSError),
                    urllib.request.urlopen(f"{url}/healthz", timeout=5),
                ):
                    break
                assert time.monotonic() < end
                time.sleep(0.1)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


@dataclass
class Stage:
    kubeconfig: Path
    folder: Path
    operator: Operator
    pods: Pods
    url: str
    compare: str

    def type(self, command: str, code: int = 0) -> str:
        """Run a command as it is typed in the repository, in a shell whose cluster is this one."""
        script = (
            f'graphc() {{ "{sys.executable}" -c "from graphc.cli import start; start()" "$@"; }}; {command}'
        )
        environment = os.environ | {"KUBECONFIG": str(self.kubeconfig), "COMPARE": self.compare}
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=EXAMPLE.parents[1],
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def write(self, change: Callable[[str], str]) -> Path:
        """Write the example with a change of its text."""
        path = self.folder / "graph.yaml"
        text = change((EXAMPLE / "graph.yaml").read_text())
        path.write_text(text.replace("model: models/", f"model: {EXAMPLE}/models/"))
        return path

    def shares(self) -> dict[str, int]:
        return {row.predictor: row.traffic for row in self.pods.rows if not row.shadow}


@pytest.fixture
def stage(kubeconfig: Path, seldon: object, tmp_path: Path) -> Iterator[Stage]:
    with (
        comparing(tmp_path) as compare,
        running_pods(
            Place(
                str(kubeconfig), NAMESPACE, "cancer-rollout", {"http://graphc-compare.graphc-system": compare}
            ),
            tmp_path,
        ) as (pods, url),
        operating(str(kubeconfig), NAMESPACE, pods.mood) as operator,
    ):
        yield Stage(kubeconfig, tmp_path, operator, pods, url, compare)


def swap_labels(text: str) -> str:
    """Give the shadow the labels in the wrong order, as somebody might."""
    swapped = "      score: {model: models/forest.onnx}\n      diagnosis: {parameters: {labels: [benign, malignant]}}\n"
    return text.replace("      score: {model: models/forest.onnx}\n", swapped)


def commands_of_the_page() -> list[tuple[str, int]]:
    """Return the commands for a cluster, with the exit code that a comment says first."""
    block = PAGE.read_text().partition("**On a cluster**")[2].partition("```sh\n")[2].partition("```")[0]
    found: list[tuple[str, int]] = []
    for line in block.splitlines():
        command, _, comment = line.partition("  #")
        code = comment.strip().partition(":")[0]
        found.append((command.strip(), int(code) if code.isdigit() else 0))
    return found


def patch(path: Path, difference: str) -> None:
    """Change a file as `promote` says."""
    done = subprocess.run(["patch", str(path)], input=difference, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_good_shadow_is_promoted_and_a_bad_one_refused_with_no_failed_request(stage: Stage) -> None:
    words: dict[str, str] = {}
    (planning, applying), *more = commands_of_the_page()[:2], *commands_of_the_page()[2:]
    for command, code in (planning, applying):
        words[command.split()[1]] = stage.type(command, code)
    with loading(f"{stage.url}/v2/models/cancer-rollout/infer", single_rows(EXAMPLE), OUTPUTS) as load:
        # Half the requests are copied.
        load.await_answers(800)
        assert set(load.by) == {"main", "canary"}
        stage.operator.seen.clear()
        for command, code in more:
            words[command.split()[1]] = stage.type(command, code)
            load.await_answers(100)
        steps = [seen["forest"] for seen in stage.operator.seen]
        promoted = load.by["forest"]
        assert stage.pods.started == 3, "neither a promotion nor a rollback of it starts a pod"
        assert stage.shares() == {"main": 90, "canary": 10}

        stage.type(f"graphc apply --yes {stage.write(swap_labels)}")
        load.await_answers(50)
        promote = next(each for each, _ in more if each.startswith("graphc promote"))
        refused = stage.type(promote, 1)
        assert stage.shares() == {"main": 90, "canary": 10}
        load.await_answers(100)
    print(refused, words["status"])
    print(f"{load.answered} requests were answered, {len(load.failures)} failed; by {dict(load.by)}")
    assert load.failures == []
    assert load.answered > 1500
    # The first and the last are of the shadow: how much of the requests it gets a copy of.
    assert steps == [50, 10, 50, 100, 50]
    assert promoted > 200
    assert load.by["forest"] == promoted
    assert "cancer-rollout (default): no change" in words["plan"]
    assert re.findall(r"(\w+): (\d+) %, 1 of 1 pods ready", words["status"]) == [
        ("main", "0"),
        ("canary", "0"),
        ("forest", "100"),
    ]
    assert re.search(
        r"`forest` is not promoted: gate: agreement: 0\.0\d+, wanted >= 0\.9 \(between .* by [\d,]+ pairs\)",
        refused,
    ), refused
    assert "- forest" not in refused

    # What `promote` says of the file makes the file say what serves.
    patched = stage.folder / "patched.yaml"
    patched.write_text((EXAMPLE / "graph.yaml").read_text())
    patch(patched, words["promote"][words["promote"].index("--- ") :])
    patched.write_text(patched.read_text().replace("model: models/", f"model: {EXAMPLE}/models/"))
    predictors = yaml.safe_load(patched.read_text())["predictors"]
    assert {name: each["traffic"] for name, each in predictors.items()} == {
        "main": 0,
        "canary": 0,
        "forest": 100,
    }
    assert "no problems found" in stage.type(f"graphc check {patched}")
    stage.type("graphc delete --yes cancer-rollout")
