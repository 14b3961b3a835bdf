"""What nodes are taken to cost, and files of measured costs."""

import json
from pathlib import Path
from typing import Any

import pytest
from graphc.compile.compile_files import Compilation, compile_files
from graphc.compile.request import Request
from graphc.ir.plan import NodeCost
from graphc.lower.costs import MODEL, tensor_bytes
from graphc.lower.options import Options
from graphc_components.tensors import parse_tensor_type

GRAPHS = Path(__file__).parents[2] / "graphs"


@pytest.mark.parametrize(
    ("text", "batch", "size"),
    [
        ("FP32[batch, 30]", 1, 120),
        ("FP32[batch, 30]", 10, 1200),
        ("INT64[4, 2]", 10, 64),
        ("UINT8[?, time]", 3, 3),
        ("BOOL[batch]", 2, 2),
        ("BYTES[batch]", 2, 128),
        (f"UINT8[batch, {2**62}]", 1, 2**62),
        (f"FP32[batch{', 9000000000000000000' * 40}]", 2**31 - 1, 2**63 - 1),
    ],
)
def test_bytes_of_a_tensor(text: str, batch: int, size: int) -> None:
    assert tensor_bytes(parse_tensor_type(text), batch) == size


def compile_wine(costs: Path | None = None) -> Compilation:
    request = Request(
        [str(GRAPHS / "wine-average/graph.yaml")], {}, {}, Options(), costs=costs and str(costs)
    )
    return compile_files(request)


def costs_of(done: Compilation) -> dict[str, NodeCost]:
    (checked,) = done.graphs
    costs = checked.plans["main"].costs
    assert costs is not None
    return dict(costs.nodes)


def test_a_model_costs_by_its_size() -> None:
    size = (GRAPHS / "wine-average/models/forest.onnx").stat().st_size
    found = costs_of(compile_wine())
    assert found["forest"] == NodeCost(MODEL.model + MODEL.model_mib * size / 2**20, "size")
    assert found["average"] == NodeCost(MODEL.component, "kind")


def write(folder: Path, costs: Any) -> Path:
    file = folder / "costs.json"
    file.write_text(costs if isinstance(costs, str) else json.dumps(costs))
    return file


def test_measured_costs_decide(tmp_path: Path) -> None:
    heavy = {"wine-average": {"linear": 90, "network": 80.5, "forest": 70}}
    done = compile_wine(write(tmp_path, heavy))
    assert not len(done.sink)
    assert costs_of(done)["network"] == NodeCost(80.5, "measured")
    root = done.graphs[0].plans["main"].root
    assert "COMBINER" in {unit.type for unit in root.walk()}


@pytest.mark.parametrize(
    ("costs", "problems"),
    [
        ({"wine-averag": {}}, ["warning GC420 did you mean `wine-average`?"]),
        ({"wine-average": {"forrest": 1}}, ["warning GC420 did you mean `forest`?"]),
        ({"wine-average": {"forest": "1"}}, ["error GC101 None"]),
        ({"wine-average": {"forest": True}}, ["error GC101 None"]),
        ({"wine-average": {"forest": -1}}, ["error GC104 None"]),
        ({"wine-average": 3}, ["error GC101 None"]),
        ([1], ["error GC101 None"]),
        ('{"wine-average": {"forest": .inf}}', ["error GC104 None"]),
        ('{"wine-average": {"forest": .nan}}', ["error GC104 None"]),
        ({"wine-average": {"forest": 1e300}}, ["error GC104 None"]),
        ({"wine-average": {"forest": 86_400_000}}, []),
    ],
)
def test_problems_of_a_file_of_costs(costs: Any, problems: list[str], tmp_path: Path) -> None:
    done = compile_wine(write(tmp_path, costs))
    assert [f"{each.rule.severity} {each.rule.code} {each.help}" for each in done.sink] == problems
    assert all(each.at and each.at.file == str(tmp_path / "costs.json") for each in done.sink)


def test_a_file_of_costs_that_is_not_there(tmp_path: Path) -> None:
    assert [each.rule.code for each in compile_wine(tmp_path / "none.json").sink] == ["GC001"]
