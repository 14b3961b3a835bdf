"""`graphc check --load` tries every node in a process to throw away, and plain `check` says what it did not try."""

import importlib
import pickle
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from click.testing import CliRunner, Result
from graphc.cli import main
from graphc.trial import check_loading

GRAPHS: Final = Path(__file__).parents[2] / "graphs"
GRAPH: Final = """\
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: g}
inputs: {x: "FP32[batch, 4]"}
nodes:
  n: %s
outputs: {y: n}
"""
PYTHON: Final = '{python: "steps:f", in: {x: x}, out: {y: "FP32[batch, 4]"}}'


def check(folder: Path, node: str, *options: str) -> Result:
    (folder / "graph.yaml").write_text(GRAPH % node)
    return CliRunner().invoke(main, ["check", *options, str(folder / "graph.yaml")])


@pytest.mark.parametrize("name", ["wine-average", "cancer-vote"])
def test_sound_graphs_load_and_run(name: str) -> None:
    result = CliRunner().invoke(main, ["check", "--load", str(GRAPHS / name / "graph.yaml")])
    assert (result.exit_code, result.output) == (0, "1 graph, no problems found\n")


def test_what_is_not_judged_is_said(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text("def f(x):\n    return x\n")
    result = check(tmp_path, PYTHON)
    assert (
        result.output
        == "1 graph, no problems found; not judged without `--load`: whether `n` loads and runs\n"
    )
    assert "error[GC539]" in check(tmp_path, PYTHON, "--strict").output
    assert check(tmp_path, PYTHON, "--strict", "--load").output == "1 graph, no problems found\n"
    far = '{model: "s3://bucket/m.onnx", in: {X: x}, out: {y: "FP32[batch, 4]"}}'
    assert "not judged: whether `n` loads and runs" in check(tmp_path, far, "--load").output
    asks = '{server: triton, url: "http://triton:8000", in: {X: x}, out: {y: "FP32[batch, 4]"}}'
    assert "not judged: whether `n` loads and runs" in check(tmp_path, asks, "--load").output
    told = check(tmp_path, asks, "--strict").output
    assert "`n` asks a server, which has not been called" in told
    assert "--load" not in told


def test_every_framework_is_tried(tmp_path: Path) -> None:
    rows, values = np.random.default_rng(1).random((40, 4)), np.arange(40.0)
    lightgbm: Any = importlib.import_module("lightgbm")
    xgboost: Any = importlib.import_module("xgboost")
    linear: Any = importlib.import_module("sklearn.linear_model")
    data = lightgbm.Dataset(rows, values)
    lightgbm.train({"verbose": -1, "num_threads": 1}, data, 2).save_model(tmp_path / "m.txt")
    xgboost.train({"booster": "gblinear"}, xgboost.DMatrix(rows, values), 2).save_model(tmp_path / "m.ubj")
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(linear.LinearRegression().fit(rows, values)))
    for name in ("m.txt", "m.ubj", "m.pkl"):
        result = check(tmp_path, f"{{model: {name}, in: {{X: x}}}}", "--load")
        assert result.output == "1 graph, no problems found\n", result.output


def test_a_lightgbm_file_that_ends_its_process_is_told(tmp_path: Path) -> None:
    """LightGBM itself calls an end to the process over some files."""
    lightgbm: Any = importlib.import_module("lightgbm")
    data = lightgbm.Dataset(np.random.default_rng(1).random((40, 4)), np.arange(40.0))
    text: str = lightgbm.train({"verbose": -1, "num_threads": 1}, data, 2).model_to_string()
    # As long as it was, and without sense.
    (tmp_path / "m.txt").write_text(text.replace("num_cat=", "num_xxx="))
    result = check(tmp_path, "{model: m.txt, in: {X: x}}", "--load")
    assert "GC536" in result.output
    assert result.exit_code == 1


def test_time_and_memory_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "steps.py").write_text("held = bytearray(64 << 30)\n\ndef f(x):\n    return x\n")
    assert "`n` does not load: MemoryError" in check(tmp_path, PYTHON, "--load").output
    (tmp_path / "steps.py").write_text("import time\ntime.sleep(600)\n\ndef f(x):\n    return x\n")
    monkeypatch.setattr(check_loading, "MOST_SECONDS", 3)
    assert "`n` does not load: it takes longer than 3 s" in check(tmp_path, PYTHON, "--load").output


def test_what_a_node_prints_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text('print("{}")\n\ndef f(x):\n    print("x")\n    return x\n')
    assert check(tmp_path, PYTHON, "--load").output == "1 graph, no problems found\n"


def test_the_users_folder_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text("def f(x):\n    return x\n")
    check(tmp_path, PYTHON, "--load")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["graph.yaml", "steps.py"]
