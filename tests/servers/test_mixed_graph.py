"""The example of three frameworks: compiled always, and run with the real MLServer and BentoML in the slow tier."""

import json
import os
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from click.testing import CliRunner
from graphc.bench.serve import serve
from graphc.cli import main
from real_servers import environment

FOLDER: Final = Path(__file__).parents[2] / "graphs" / "servers" / "wine-mixed"
GRAPH: Final = str(FOLDER / "graph.yaml")


def read(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


def test_the_example_checks_without_its_servers() -> None:
    done = CliRunner().invoke(main, ["check", GRAPH])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("level", ["-O0", "-O1"])
def test_golden(level: str, golden: Callable[[str, str], None]) -> None:
    done = CliRunner().invoke(main, ["compile", level, GRAPH])
    assert done.exit_code == 0, done.stderr
    golden(f"wine-mixed.{level[1:]}.yaml", done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["-O0", "-O1", "-O2"])
def test_the_example_answers_as_its_parts_by_hand(
    level: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bins = [str(environment(name) / "bin") for name in ("mlserver", "bentoml")]
    monkeypatch.setenv("PATH", os.pathsep.join([*bins, os.environ["PATH"]]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cases = [{"request": read("request.json"), "expected": read("expected.json")}, *read("cases.json")]
    with serve(GRAPH, (level,)) as served:
        for case in cases:
            body = json.dumps(case["request"]).encode()
            request = urllib.request.Request(served.url, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                found = {each["name"]: each for each in json.load(answer)["outputs"]}
            for want in case["expected"]["outputs"]:
                got = found[want["name"]]
                assert (got["datatype"], got["shape"]) == (want["datatype"], want["shape"])
                np.testing.assert_allclose(got["data"], want["data"], rtol=1e-5, atol=1e-5)
