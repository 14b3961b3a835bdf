"""`python -m graphc_runtimes.trial`: load one node and run it once on made-up inputs, in a process to throw away.

Reads `{"region": {...}, "node": ..., "artifacts": ..., "inputs": {port: {"datatype", "shape"}}, "outputs": {...},
"memory_bytes": ..., "result": FILE}` from standard input, and writes `{"stage": ..., "message": ...}` to that file:
what failed, `load`, `run` or `answer`, or `none`. Standard output is the node's own.
"""

import asyncio
import json
import re
import resource
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, cast

import numpy as np
from graphc_components.datatypes import Array, bytes_array, to_numpy

from graphc_runtimes.adapters import load_runner
from graphc_runtimes.arrays import ArrayError, check_type
from graphc_runtimes.environment import Environment
from graphc_runtimes.errors import LoadError
from graphc_runtimes.execute import Runner
from graphc_runtimes.faults import describe
from graphc_runtimes.region import ComponentNode, ModelNode, PythonNode, RunnableNode, parse_region

_ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")
_ROWS: Final = 2
_OTHERS: Final = 3
"""The size of dimensions that are not known and are not rows."""

_Type = Mapping[str, object]
_Outcome = dict[str, str]


def try_node(job: Mapping[str, object], note: Callable[[_Outcome], object]) -> _Outcome:
    """Load a node and run it; what fails is said by its stage and in a line. `note` gets the stage that begins."""
    region = parse_region(json.dumps(job["region"]))
    node = next(
        each
        for each in region.nodes
        if each.name == job["node"] and isinstance(each, ModelNode | PythonNode | ComponentNode)
    )
    environment = Environment("", None, Path(str(job["artifacts"])), "cpu", 1)
    try:
        runner = asyncio.run(load_runner(node, environment))
    except LoadError as error:
        return _failed("load", str(error).removeprefix(f"node `{node.name}`: "))
    note(_failed("run", ""))
    return _run(runner, node, job)


def _run(runner: Runner, node: RunnableNode, job: Mapping[str, object]) -> _Outcome:
    sizes: dict[str, int] = {}
    given = cast("Mapping[str, _Type]", job["inputs"])
    inputs = {name: make_input(type_, sizes, seed) for seed, (name, type_) in enumerate(given.items())}
    try:
        answers = runner(inputs)
    except ArrayError as error:
        return _failed("answer", f"it {error}")
    # The user's own code raises what it likes, and may mean to end the process.
    except (Exception, SystemExit) as error:
        return _failed("run", describe(error))
    promised = cast("Mapping[str, _Type]", job["outputs"])
    for name in node.outputs:
        type_ = promised.get(name)
        if type_ is None or name not in answers:
            continue
        try:
            shape = cast("list[int | str | None]", type_["shape"])
            check_type(np.asarray(answers[name]), str(type_["datatype"]), shape, sizes)
        except ArrayError as error:
            return _failed("answer", f"`{name}` {error}")
    return _failed("none", "")


def _failed(stage: str, message: str) -> _Outcome:
    return {"stage": stage, "message": _ADDRESS.sub("", message)}


def make_input(type_: _Type, sizes: dict[str, int], seed: int) -> Array:
    """Return made-up values of a type: numbers that are small, and one text; `sizes` has the named dimensions."""
    dims = cast("list[int | str | None]", type_["shape"])
    shape = [_size(dim, _OTHERS if index else _ROWS, sizes) for index, dim in enumerate(dims)]
    datatype = str(type_["datatype"])
    if datatype == "BYTES":
        return bytes_array([b"a"] * int(np.prod(shape)), tuple(shape))
    random = np.random.default_rng(seed)
    values = random.random(shape) if datatype.startswith("FP") else random.integers(0, 2, shape)
    return values.astype(to_numpy(datatype))


def _size(dim: int | str | None, unknown: int, sizes: dict[str, int]) -> int:
    if isinstance(dim, int):
        return dim
    return unknown if dim is None else sizes.setdefault(dim, unknown)


def main() -> None:
    """Read a job, do it, and write what came of it."""
    job = cast("Mapping[str, object]", json.load(sys.stdin))
    limit = int(cast("int", job["memory_bytes"]))
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    result = Path(str(job["result"]))

    def note(outcome: _Outcome) -> None:
        result.write_text(json.dumps(outcome), "utf-8")

    note(try_node(job, note))


if __name__ == "__main__":
    main()
