"""Predictors that have other files for a node run with their own."""

from pathlib import Path

from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.run.load import load_compiled

GRAPH = """
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: two}
inputs: {x: "FP32[batch, 13]"}
nodes: {model: {model: first.onnx, in: {X: x}}}
outputs: {y: model.scaled}
predictors:
  main: {traffic: 90}
  canary: {traffic: 10, nodes: {model: {model: second.onnx}}}
"""


def test_each_predictor_has_its_own_files(tmp_path: Path) -> None:
    scaler = Path(__file__).parents[2] / "graphs" / "wine-average" / "models" / "scale.onnx"
    for name in ("first.onnx", "second.onnx"):
        (tmp_path / name).write_bytes(scaler.read_bytes())
    (tmp_path / "graph.yaml").write_text(GRAPH)
    done = compile_files(Request([str(tmp_path / "graph.yaml")], purpose="local"))
    assert not list(done.sink)
    loaded = load_compiled(done)
    names = {predictor: [*files["/mnt/graphc/model"].files] for predictor, files in loaded.overrides.items()}
    assert names == {"main": ["first.onnx"], "canary": ["second.onnx"]}
