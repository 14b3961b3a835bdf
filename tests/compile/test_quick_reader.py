"""The quick reader of specs takes what pydantic takes, as pydantic reads it, and nothing else."""

from pathlib import Path
from typing import Final, cast

import pytest
from graphc.diagnostics import Sink
from graphc.source.located import to_plain
from graphc.source.yaml_reader import read_documents
from graphc.spec.declare import Spec, accept
from graphc.spec.examine import examine
from graphc.spec.fields import NODE_KINDS, InferenceGraph
from hypothesis import given, settings
from hypothesis import strategies as st

TESTS: Final = Path(__file__).parents[1]
EXAMPLES: Final = sorted(TESTS.parent.glob("graphs/*/graph.yaml"))
FILES: Final = [*EXAMPLES, *sorted((TESTS / "reject").rglob("*.yaml"))]

VALUES: Final = [
    None, True, False, 0, 1, -1, 3, 0.0, 0.5, -2.5, float("inf"), float("nan"), "", "x", "x.y", "a b", "500ms", "0s",
    "2Gi", "100m", "FP32[batch, 3]", "skip", "fail", "row", "quorum", "post:run", "s3://bucket", [], ["x"], [1], {},
    {"x": "y"}, {"x": 1}, {"node": "x"}, {"default": 0}, {"min": 2, "max": 1}, {"max": 3}, {"secret": "s", "key": "k"},
    {"header": "h"}, {"cpu": "1", "gpu": 1}, [{"take": "x"}], [{"take": "x"}, {"take": {"a": "b"}}],
]  # fmt: skip


def judge(model: type[Spec], plain: object) -> bool:
    quick, slow = accept(model, plain), examine(model, plain)
    if isinstance(slow, Spec):
        assert quick is None or quick == slow
        return quick is not None
    assert quick is None, plain
    return False


def documents(path: Path) -> list[object]:
    return [to_plain(each) for each in read_documents(path.read_text("utf-8", "replace"), path.name, Sink())]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files(path: Path) -> None:
    for document in documents(path):
        taken = judge(InferenceGraph, document)
        assert taken or path not in EXAMPLES or "${" in path.read_text()
        nodes = cast("dict[str, object]", document).get("nodes") if isinstance(document, dict) else None
        for node in cast("dict[str, object]", nodes).values() if isinstance(nodes, dict) else ():
            for model in NODE_KINDS.values():
                judge(model, node)


@pytest.mark.parametrize("kind", NODE_KINDS)
@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_fields(kind: str, data: st.DataObject) -> None:
    model = NODE_KINDS[kind]
    names = [info.alias or name for name, (_, info) in model.spec_fields.items()]
    sound = {"in": "x", "model": "m.onnx", "component": "mean", "python": "post:run", "out": "FP32[batch]"}
    sound |= {"router": "threshold"}
    branches: dict[str, object] = {"branches": [{"take": "x"}, {"take": "y"}], "cascade": [{"take": "x"}] * 2}
    plain: dict[str, object] = {name: value for name, value in (sound | branches).items() if name in names}
    plain |= data.draw(
        st.dictionaries(st.sampled_from([*names, "other", "in_"]), st.sampled_from(VALUES), max_size=3)
    )
    judge(model, plain)


@settings(max_examples=400, deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(InferenceGraph.spec_fields)), st.sampled_from(VALUES), max_size=3)
)
def test_any_graph_fields(changes: dict[str, object]) -> None:
    (plain,) = documents(EXAMPLES[0])
    judge(InferenceGraph, cast("dict[str, object]", plain) | changes)


@pytest.mark.parametrize("model", [InferenceGraph, *NODE_KINDS.values()])
def test_everything_is_left_out_alike(model: type[Spec]) -> None:
    sound: dict[str, object] = {
        "apiVersion": "graphc/v1", "kind": "InferenceGraph", "metadata": {"name": "g"}, "inputs": {"x": "FP32[1]"},
        "nodes": {"n": {}}, "outputs": {"y": "n"}, "in": "x", "model": "m.onnx", "component": "mean",
        "python": "post:run", "server": "v2", "out": "FP32[1]", "router": "random",
        "branches": [{"take": "x"}, {"take": "y"}],
        "cascade": [{"take": "x"}, {"take": "y"}],
    }  # fmt: skip
    names = {info.alias or name: info for name, (_, info) in model.spec_fields.items()}
    assert judge(model, {name: value for name, value in sound.items() if name in names})
