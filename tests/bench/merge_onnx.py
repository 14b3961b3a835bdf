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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.lower.options import Options
from graphc.targets.region import describe_region
from graphc_components.datatypes import Array
from graphc_runtimes.choose import Call
from graphc_runtimes.environment import Environment
from graphc_runtimes.execute import execute
from graphc_runtimes.messages import decode
from graphc_runtimes.reading import read_message
from graphc_runtimes.unit import load_unit

GRAPHS: Final = Path(__file__).parents[2] / "graphs"
TURNS: Final = 60
SAMPLE: Final = 0.02
"""How many seconds one sample takes, about."""


def load(path: Path, level: int, mount: Path, inputs: Mapping[str, Array]) -> Callable[[], object]:
    """Compile a graph, lay its artefacts out as they would be mounted, and return a call of its one region."""
    done = compile_files(Request([str(path)], {}, {}, Options(level), "local"))
    assert not list(done.sink), list(done.sink)
    (graph,) = done.graphs
    (plan,) = graph.plans.values()
    for _, shipment in done.emissions[0].local:
        for name, file in shipment.files:
            (mount / shipment.node / name).parent.mkdir(parents=True, exist_ok=True)
            (mount / shipment.node / name).write_bytes(file.read_bytes())
    region = json.dumps(describe_region(plan, plan.root))
    unit = asyncio.run(load_unit(Environment(region, plan.root.name, mount, "cpu", 1)))
    return lambda: execute(unit.region, unit.runners, inputs, Call({}))


def seconds(call: Callable[[], object], count: int) -> float:
    """Time some calls, and return the seconds of one."""
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def main(name: str = "wine-average", rows: str = "1") -> None:
    """Print the times and the ratio."""
    path = GRAPHS / name / "graph.yaml"
    message = read_message((GRAPHS / name / "request.json").read_bytes(), {})
    arrays = {each: decode(tensor) for each, tensor in message.tensors.items()}
    inputs = {each: np.resize(array, (int(rows), *array.shape[1:])) for each, array in arrays.items()}
    with tempfile.TemporaryDirectory() as folder:
        apart = load(path, 1, Path(folder) / "apart", inputs)
        merged = load(path, 2, Path(folder) / "merged", inputs)
        seconds(merged, 10)
        count = max(1, int(SAMPLE / seconds(apart, 10)))
        pairs = [(seconds(apart, count), seconds(merged, count)) for _ in range(TURNS)]
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
