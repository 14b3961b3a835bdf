"""One wrong declaration is one fault in a graph of any size, and a sound graph is not searched for any."""

from pathlib import Path
from typing import Final

import pytest
from graphc.compile.pipeline import compile_document
from graphc.compile.request import Request
from graphc.diagnostics import Sink
from graphc.frontend.check_types import Blaming
from graphc.source.yaml_reader import read_documents

HEAD: Final = """
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: large}
inputs: {x: "FP32[batch, 3]"}
nodes:
"""


def problems_of(last: str, tmp_path: Path) -> list[str]:
    """Return what is said of 150 nodes in a row, the last of which 50 means read."""
    made = ["  p0: {python: 'post:f', in: {a: x}, out: {y: 'FP32[batch, 3]'}}"]
    made += [
        f"  p{at}: {{python: 'post:f', in: {{a: p{at - 1}.y}}, out: {{y: 'FP32[batch, 3]'}}}}"
        for at in range(1, 149)
    ]
    made.append(f"  p149: {{python: 'post:f', in: {{a: p148.y}}, out: {{y: '{last}'}}}}")
    made += [f"  m{at}: {{component: mean, in: [x, p149.y]}}" for at in range(50)]
    outputs = ", ".join(f"o{at}: m{at}" for at in range(50))
    text = HEAD + "\n".join(made) + f"\noutputs: {{{outputs}}}\n"
    sink = Sink()
    (document,) = read_documents(text, "large.yaml", sink)
    compile_document(document, tmp_path, Request([]), sink)
    return [each.message for each in sink]


def test_the_tensor_that_most_nodes_complain_of_is_tried_first(tmp_path: Path) -> None:
    (message,) = [
        each for each in problems_of("FP32[batch, 4]", tmp_path) if "cannot work" in each or "m1" in each
    ]
    assert message.startswith("`p149.y` is declared as `FP32[batch, 4]`, with which `m0`, `m1`")
    assert message.endswith(" and 42 more cannot work")


def test_a_sound_graph_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Blaming) -> dict[str, list[str]]:
        raise AssertionError

    monkeypatch.setattr(Blaming, "_map_readers", refuse)
    assert not [each for each in problems_of("FP32[batch, 3]", tmp_path) if "m0" in each]
