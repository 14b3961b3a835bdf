"""Every example, compiled and walked over HTTP, answers as the training library's own models do."""

from pathlib import Path
from typing import Any

import pytest
from example_cases import FOLDERS, GRAPHS, assert_same, read, read_cases
from served_graphs import Call, serve_graph

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the models that -O2 merges away from the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_compiled_graph_answers_as_the_originals(folder: Path, level: int, tmp_path: Path) -> None:
    cases = read_cases(folder)
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
