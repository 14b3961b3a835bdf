"""Says what 64 rows take in the models of the peers: `PYTHONPATH=tests/support python THIS_FILE`.

In turns, in one process and without a socket: each session bare, with one thread and with as many as onnxruntime takes
by itself; the four bare sessions one after another; and a fused unit, from JSON to JSON. The last column is the time of
all processors.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from graphc_runtimes.lane import Lane
from graphc_runtimes.unit import load_unit
from mean_models import Case, make_cases
from served_graphs import compile_graph

ROUNDS: Final = 40
CALLS: Final = 50
OUTPUTS: Final = dict.fromkeys(("first", "second", "third"), "probabilities")


def open_session(path: Path, threads: int) -> Any:
    """Open a model as a unit does; no thread stands for onnxruntime's own choice."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def prepare(case: Case, folder: Path) -> Mapping[str, Callable[[], object]]:
    """Return what is measured, by its name."""
    x = np.array(json.loads(case.request("flat").read_text())["data"], np.float32).reshape(case.rows, -1)
    found: dict[str, Callable[[], object]] = {}
    for threads, title in ((1, "one thread"), (0, "its own choice")):
        opened = {name: open_session(case.folder / f"{name}.onnx", threads) for name in ("scale", *OUTPUTS)}
        (scaled,) = opened["scale"].run(["scaled"], {"X": x})
        found[f"scale, {title}"] = partial(opened["scale"].run, ["scaled"], {"X": x})
        for name, output in OUTPUTS.items():
            found[f"{name}, {title}"] = partial(opened[name].run, [output], {"X": scaled})

        def run_all(opened: Mapping[str, Any] = opened) -> None:
            (scaled,) = opened["scale"].run(["scaled"], {"X": x})
            for name, output in OUTPUTS.items():
                opened[name].run([output], {"X": scaled})

        found[f"all four, {title}"] = run_all
    (environment,) = compile_graph(case.graph, 1, folder / "mounted").environments.values()
    lane = Lane.find(asyncio.run(load_unit(replace(environment, threads=None))), "mean")
    body = case.request("v2").read_bytes()
    assert lane is not None
    found["from JSON to JSON"] = lambda: lane.answer(body, {}, "id")
    return found


def main() -> None:
    """Measure, and print the least, the medians, and the time of all processors."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        timed = prepare(make_cases(folder / "models")["batch 64"], folder)
        times: dict[str, list[float]] = {name: [] for name in timed}
        used: dict[str, list[float]] = {name: [] for name in timed}
        for _ in range(ROUNDS):
            for name, work in timed.items():
                start, processor = time.perf_counter(), time.process_time()
                for _ in range(CALLS):
                    work()
                times[name].append((time.perf_counter() - start) / CALLS * 1e6)
                used[name].append((time.process_time() - processor) / CALLS * 1e6)
    for name, found in times.items():
        print(
            f"{name:24}{min(found):8.1f}{statistics.median(found):8.1f} us{statistics.median(used[name]):8.1f}"
        )


if __name__ == "__main__":
    main()
