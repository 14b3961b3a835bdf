"""Targets are found by their folders, and a new one needs nothing but its folder."""

from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest
from graphc import targets
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.targets.find import DEFAULT, find_target, list_targets
from graphc.targets.interface import Target

FOLDER: Final = Path(targets.__path__[0])
GRAPH: Final = Path(__file__).parents[2] / "graphs" / "wine-average" / "graph.yaml"
DEEP: Final = """\
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {{name: deep}}
inputs: {{x: "FP32[batch, 3]"}}
nodes:
{nodes}outputs: {{y: {last}}}
"""


def test_every_folder_with_a_target_is_one() -> None:
    assert list_targets() == sorted(each.parent.name for each in FOLDER.glob("*/target.py"))
    assert DEFAULT in list_targets()


@pytest.mark.parametrize("name", list_targets())
def test_a_target_is_called_like_its_folder(name: str) -> None:
    found = find_target(name)
    assert isinstance(found, Target)
    assert found.name == name


@pytest.mark.parametrize("name", ["routes", "model", "nothing"])
def test_what_is_no_target_is_not_found(name: str) -> None:
    with pytest.raises(LookupError, match=rf"^`{name}` is not a target; there (is|are) .*seldon"):
        find_target(name)


@pytest.mark.usefixtures("echo")
def test_a_folder_is_all_that_a_target_needs() -> None:
    done = compile_files(Request([str(GRAPH)], {}, {}, target="echo"))
    assert not list(done.sink)
    assert [each.documents for each in done.emissions] == [({"kind": "Echo", "units": ["wine-average"]},)]


@pytest.mark.usefixtures("echo")
def test_what_a_target_cannot_express_rejects_the_graph() -> None:
    done = compile_files(Request([str(GRAPH)], {}, {}, profile="istio", target="echo"))
    assert [each.message for each in done.sink] == ["echo has no ingress"]
    assert done.emissions == []


@pytest.mark.usefixtures("echo")
def test_the_limits_of_one_target_are_none_of_another(tmp_path: Path) -> None:
    names = ["x", *(f"n{index}" for index in range(14)), "n" * 60]
    nodes = "".join(
        f"  {name}: {{component: clip, in: {before}, parameters: {{low: {index}}}, replicas: 2,"
        f" env: {{PREDICTIVE_UNIT_ID: a}}}}\n"
        for index, (before, name) in enumerate(pairwise(names))
    )
    path = tmp_path / "graph.yaml"
    path.write_text(DEEP.format(nodes=nodes, last=names[-1]))
    done = compile_files(Request([str(path)], {}, {}, target="echo"))
    assert [each.message for each in done.sink] == []
    assert len(done.emissions[0].documents[0]["units"]) == 15  # pyright: ignore
    refused = compile_files(Request([str(path)], {}, {}))
    assert {each.rule.code for each in refused.sink} == {"GC301", "GC302"}
