"""Times the nodes of an example as separate sessions and as the merged one, side by side.

    python tests/bench/merge_onnx.py [GRAPH] [ROWS]

Both run as the runtime runs them, in turns, so that a busy machine slows both; each turn's ratio is one sample.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from graphc.compilation import Request, compile_files
from graphc.graph import ModelWork, PythonWork
from graphc.lower.options import Options
from graphc.plan import Plan
from graphc.targets.region import describe_region
from graphc_components.datatypes import Array
from graphc_runtimes.choose import Call
from graphc_runtimes.environment import Environment
from graphc_runtimes.execute import execute
from graphc_runtimes.unit import load_unit

GRAPHS: Final = Path(__file__).parents[2] / "graphs"
TURNS: Final = 60
CALLS: Final = 200


def compile_graph(path: Path, level: int, mount: Path) -> Plan:
    """Compile a graph and lay its artefacts out as they would be mounted."""
    done = compile_files(Request([str(path)], {}, {}, Options(level), "local"))
    assert not list(done.sink), list(done.sink)
    plan = (
        done.graphs[0].plans["main"]
        if "main" in done.graphs[0].plans
        else next(iter(done.graphs[0].plans.values()))
    )
    for node in plan.root.region.nodes:
        if isinstance(node.work, ModelWork) and node.work.local:
            (mount / node.origin).mkdir(parents=True)
            (mount / node.origin / node.work.local.name).write_bytes(node.work.local.read_bytes())
        assert not isinstance(node.work, PythonWork), "the bench is for graphs of models and components"
    return plan


def load(path: Path, level: int, mount: Path, inputs: dict[str, Array]) -> Callable[[], object]:
    """Return a call of the graph's one region."""
    plan = compile_graph(path, level, mount)
    region = json.dumps(describe_region(plan, plan.root))
    unit = asyncio.run(load_unit(Environment(region, plan.root.name, mount, "cpu", 1)))
    return lambda: execute(unit.region, unit.runners, inputs, Call({}))


def seconds(call: Callable[[], object]) -> float:
    """Time some calls."""
    start = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - start) / CALLS


def main(name: str = "wine-average", rows: str = "1") -> None:
    """Print the times and the ratio."""
    path = GRAPHS / name / "graph.yaml"
    inputs: dict[str, Array] = {}
    for tensor in json.loads((GRAPHS / name / "request.json").read_text())["inputs"]:
        width = tensor["shape"][1:]
        inputs[tensor["name"]] = np.random.default_rng(0).normal(size=(int(rows), *width)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        apart = load(path, 1, Path(folder) / "apart", inputs)
        merged = load(path, 2, Path(folder) / "merged", inputs)
        seconds(apart), seconds(merged)
        pairs = [(seconds(apart), seconds(merged)) for _ in range(TURNS)]
    ratios = sorted(left / right for left, right in pairs)
    for what, index in (("apart", 0), ("merged", 1)):
        times = sorted(pair[index] * 1e6 for pair in pairs)
        print(
            f"{what:7} min {times[0]:8.1f}  median {statistics.median(times):8.1f}  max {times[-1]:8.1f} us"
        )
    print(f"ratio   min {ratios[0]:8.2f}  median {statistics.median(ratios):8.2f}  max {ratios[-1]:8.2f}")
    print(f"{name}, {rows} rows, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main(*sys.argv[1:])
