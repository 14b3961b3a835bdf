"""Every example, compiled and walked over HTTP, answers as the training library's own models do."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from served_graphs import Call, serve_graph

GRAPHS: Final = Path(__file__).parents[2] / "graphs"
FOLDERS: Final = sorted(path.parent for path in GRAPHS.glob("*/graph.yaml"))

Json = dict[str, Any]


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def assert_same(answer: Json, expected: Json) -> None:
    assert [each["name"] for each in answer["outputs"]] == [each["name"] for each in expected["outputs"]]
    for got, want in zip(answer["outputs"], expected["outputs"], strict=True):
        assert got["datatype"] == want["datatype"]
        assert got["shape"] == want["shape"]
        if want["datatype"].startswith("FP"):
            np.testing.assert_allclose(got["data"], want["data"], rtol=1e-5, atol=1e-5)
        else:
            assert got["data"] == want["data"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the models that -O2 merges away from the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_compiled_graph_answers_as_the_originals(folder: Path, level: int, tmp_path: Path) -> None:
    cases = [{"request": read(folder / "request.json"), "expected": read(folder / "expected.json")}]
    cases += read(folder / "cases.json")
    assert len(cases) > 1
    for version in {case.get("predictor") for case in cases}:
        asked = [case for case in cases if case.get("predictor") == version]
        calls = [Call(case["request"]) for case in asked]
        answers = serve_graph(folder / "graph.yaml", level, calls, tmp_path / (version or "main"), version)
        for (status, body), case in zip(answers, asked, strict=True):
            assert status == 200, body
            assert_same(body, case["expected"])


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_request_without_rows_is_answered_without_rows(level: int, tmp_path: Path) -> None:
    body = {"inputs": [{"name": "x", "shape": [0, 13], "datatype": "FP32", "data": []}]}
    ((status, answer),) = serve_graph(GRAPHS / "wine-average/graph.yaml", level, [Call(body)], tmp_path)
    assert status == 200, answer
    found = {each["name"]: (each["datatype"], each["shape"]) for each in answer["outputs"]}
    assert found == {"probabilities": ("FP32", [0, 3]), "cultivar": ("INT64", [0])}


@pytest.mark.parametrize("level", [0, 1, 2])
def test_what_a_class_says_beside_its_tensors_reaches_the_client_from_any_unit(
    level: int, tmp_path: Path
) -> None:
    folder = GRAPHS / "wine-class"
    request = read(folder / "request.json") | {"parameters": {"tier": "gold"}}
    ((status, answer),) = serve_graph(folder / "graph.yaml", level, [Call(request)], tmp_path)
    assert status == 200, answer
    assert answer["parameters"] == {"tier": "gold", "bayes.model": "naive-bayes", "bayes.rows": 4}
