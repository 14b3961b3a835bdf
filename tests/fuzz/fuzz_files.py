"""Readers of files: graphs, manifests, profiles and models."""

import json
import os
import pickle
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from fuzz_words import check_error

ROOT: Final = Path(__file__).parents[2]
GRAPHS: Final = ROOT / "graphs"


@cache
def _folder() -> Path:
    """Return a folder in memory, where there is one, with the models that graphs in it may name."""
    memory = Path("/dev/shm")
    where = memory if os.access(memory, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="graphc-fuzz-", dir=where))
    for name in ("scale", "linear"):
        (folder / f"{name}.onnx").write_bytes(
            (GRAPHS / "wine-average" / "models" / f"{name}.onnx").read_bytes()
        )
    (folder / "steps.py").write_text("def double(x):\n    return x * 2\n")
    return folder


def _compile(data: bytes, *, takes_manifests: bool) -> None:
    """Compile a text: it comes out as documents, or as diagnostics with places that exist."""
    from graphc.compile.compile_files import compile_files
    from graphc.compile.request import Request
    from graphc.diagnostics.render_json import render_json
    from graphc.diagnostics.render_text import render_text
    from graphc.documents import write_yaml

    path = _folder() / "graph.yaml"
    path.write_bytes(data)
    done = compile_files(Request([str(path)], {}, {}, takes_manifests=takes_manifests))
    shown = render_text([*done.sink], done.sources, color=False)
    assert str(ROOT) not in shown
    render_json(done.sink)
    if not done.sink.has_errors:
        for emission in done.emissions:
            write_yaml(emission.documents)


def check_graph(data: bytes) -> None:
    """A graph file comes out as manifests or as diagnostics."""
    _compile(data, takes_manifests=False)


def check_manifest(data: bytes) -> None:
    """A manifest, in YAML or JSON, comes out as diagnostics."""
    _compile(data, takes_manifests=True)


def graph_seeds() -> list[bytes]:
    """Return small graphs of every kind of node, and the examples."""
    files = sorted((ROOT / "tests" / "compile" / "cases").rglob("*.yaml"))
    small = [file.read_bytes() for file in files if file.stat().st_size < 1500]
    return small[:40] + [file.read_bytes() for file in sorted(GRAPHS.glob("*/graph.yaml"))]


def manifest_seeds() -> list[bytes]:
    """Return a manifest as YAML and as JSON."""
    text = """apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {name: m}
spec:
  protocol: v2
  predictors:
    - name: main
      traffic: 100
      replicas: 1
      graph: {name: a, type: MODEL, children: [{name: b, type: MODEL, implementation: SKLEARN_SERVER, modelUri: "gs://x"}]}
      componentSpecs:
        - spec:
            containers: [{name: a, image: "x:1", env: [{name: N, value: "1"}], resources: {limits: {cpu: 100m}}}]
"""
    import yaml

    return [text.encode(), json.dumps(yaml.safe_load(text)).encode()]


def check_profile(data: bytes) -> None:
    """A cluster's profile is read, or told what is wrong with it."""
    from graphc.diagnostics import Sink
    from graphc.diagnostics.render_text import render_text
    from graphc.profiles.read_profile import read_profile
    from graphc.source.files import Source

    text, sink = data.decode("utf-8", "replace"), Sink()
    found = read_profile(Source("profile.yaml", text), sink)
    assert found is not None or sink.has_errors
    render_text([*sink], {"profile.yaml": text}, color=False)


def profile_seeds() -> list[bytes]:
    """Return the profiles that are shipped."""
    return [each.read_bytes() for each in sorted((ROOT / "compiler" / "graphc" / "profiles").rglob("*.yaml"))]


def _check_artefact(data: bytes, framework: str, suffix: str) -> None:
    """Read a model file: a signature, or a fault in a few words."""
    from graphc.artefacts.read_signature import ArtefactFault, read_signature

    path = _folder() / f"model{suffix}"
    path.write_bytes(data)
    found = read_signature(path, framework, called="model")
    if isinstance(found, ArtefactFault):
        check_error(found.message)


def check_onnx(data: bytes) -> None:
    """An ONNX file tells its tensors, or why not."""
    _check_artefact(data, "onnx", ".onnx")


def check_pickle(data: bytes) -> None:
    """A pickle tells its tensors, or why not, and runs nothing."""
    _check_artefact(data, "sklearn", ".joblib")


def check_xgboost(data: bytes) -> None:
    """An XGBoost file, as JSON or UBJSON, tells its tensors, or why not."""
    _check_artefact(data, "xgboost", ".ubj")


def onnx_seeds() -> list[bytes]:
    """Return the smallest models of the examples."""
    files = [file for file in GRAPHS.glob("*/models/*.onnx") if file.stat().st_size < 20_000]
    return [file.read_bytes() for file in sorted(files)]


def pickle_seeds() -> list[bytes]:
    """Return a fitted estimator as joblib and as pickle write it."""
    (file,) = GRAPHS.glob("cancer-vote/models/linear.joblib")
    return [file.read_bytes(), *(pickle.dumps({"a": [1, 2.5, "x", b"y"]}, each) for each in range(6))]


def xgboost_seeds() -> list[bytes]:
    """Return a booster as UBJSON, and a small one as JSON."""
    (file,) = GRAPHS.glob("cancer-vote/models/*.ubj")
    learner = {"learner_model_param": {"num_feature": "4", "num_class": "0", "num_target": "1"}}
    text = {"learner": learner | {"objective": {"name": "reg:squarederror"}}, "version": [2, 0, 0]}
    return [file.read_bytes()[:20_000], json.dumps(text).encode()]
