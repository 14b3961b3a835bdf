"""What a folder says of an MLServer's models is read once, however many nodes ask the server."""

import json
from pathlib import Path
from typing import IO, Final

import pytest
from graphc.artefacts import model_settings
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.regular_files import open_regular

GRAPH: Final = """\
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: g}
inputs: {x: "FP32[batch, 3]"}
servers:
  boxes: {kind: mlserver, image: registry.example.com/mlserver, models: models}
nodes:
"""
MODELS: Final = ("a", "b", "c")


def test_each_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = {"name": "y", "datatype": "FP64", "shape": [-1, 3]}
    for name in MODELS:
        (tmp_path / "models" / name).mkdir(parents=True)
        settings = {"name": name, "implementation": "a.Model", "outputs": [tensor]}
        (tmp_path / "models" / name / "model-settings.json").write_text(json.dumps(settings))
    nodes = [f'  {name}: {{server: boxes, in: {{x: x}}, out: {{y: "FP32[batch, 3]"}}}}\n' for name in MODELS]
    path = tmp_path / "graph.yaml"
    path.write_text(
        GRAPH + "".join(nodes) + "outputs: {" + ", ".join(f"{name}: {name}.y" for name in MODELS) + "}\n"
    )
    opened: list[Path] = []

    def count(file: Path) -> IO[bytes]:
        opened.append(file)
        return open_regular(file)

    monkeypatch.setattr(model_settings, "open_regular", count)
    found = [each.message for each in compile_files(Request([str(path)])).sink]
    assert found == [
        f"`{name}` declares `y` as `FP32[batch, 3]`, and `{name}/model-settings.json` has `FP64`"
        for name in MODELS
    ]
    assert [each.parent.name for each in opened] == [*MODELS]


def test_a_file_that_is_too_long_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "model-settings.json"
    path.write_text(json.dumps({"name": "a", "parameters": {"version": "1" * (1 << 20)}}))
    found = model_settings.read_settings([("a/model-settings.json", path)])
    assert found.faults == {"a/model-settings.json": "it is longer than 1 MiB"}
    assert not found.models
