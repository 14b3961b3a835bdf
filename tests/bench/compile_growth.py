"""Prints how compiling grows with the graph: `python tests/bench/compile_growth.py [--sizes 10,100] [--shape dag]`.

Each size runs in the same process after all imports; times are the processor's, of one compile from text to YAML.
"""

import argparse
import random
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping
from math import log2
from pathlib import Path
from typing import Final

from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.documents import write_yaml
from graphc.lower.options import Options

Nodes = Mapping[str, list[str]]
"""For each node, what it reads."""

SIZES: Final = (10, 100, 1_000, 10_000, 50_000)


def chain(size: int) -> Nodes:
    """Each node reads the one before."""
    return {f"n{index}": [f"n{index - 1}" if index else "x"] for index in range(size)}


def wide(size: int) -> Nodes:
    """All nodes but the last read the input, and the last combines them."""
    first = {f"n{index}": ["x"] for index in range(size - 1)}
    return first | {f"n{size - 1}": list(first)}


def dag(size: int) -> Nodes:
    """Each node reads one to three of the fifty before it; the last combines what nobody reads."""
    drawn = random.Random(size)
    nodes: dict[str, list[str]] = {}
    for index in range(size - 1):
        before = [f"n{each}" for each in range(max(0, index - 50), index)] or ["x"]
        nodes[f"n{index}"] = drawn.sample(before, min(len(before), drawn.randint(1, 3)))
    read = {each for reads in nodes.values() for each in reads}
    return nodes | {f"n{size - 1}": [name for name in nodes if name not in read]}


def diamonds(size: int) -> Nodes:
    """Diamonds one after another: a node, two that read it, and one that joins them."""
    nodes: dict[str, list[str]] = {}
    last = "x"
    while len(nodes) + 3 < size:
        top, left, right, join = (f"n{len(nodes) + each}" for each in range(4))
        nodes |= {top: [last], left: [top], right: [top], join: [left, right]}
        last = join
    return _end(nodes, last, size)


def ensembles(size: int) -> Nodes:
    """Ensembles one after another: eight that read what is before them, and one that joins them."""
    nodes: dict[str, list[str]] = {}
    last = "x"
    while len(nodes) + 9 <= size:
        members = [f"n{len(nodes) + each}" for each in range(8)]
        join = f"n{len(nodes) + 8}"
        nodes |= {member: [last] for member in members} | {join: members}
        last = join
    return _end(nodes, last, size)


def _end(nodes: dict[str, list[str]], last: str, size: int) -> Nodes:
    """Fill up to the size with a chain."""
    for index in range(len(nodes), size):
        nodes[f"n{index}"] = [last]
        last = f"n{index}"
    return nodes


SHAPES: Final[Mapping[str, Callable[[int], Nodes]]] = {
    "chain": chain,
    "wide": wide,
    "dag": dag,
    "diamonds": diamonds,
    "ensembles": ensembles,
}


def write_graph(nodes: Nodes) -> str:
    """Return a graph file of components that keep the shape."""
    lines = ["apiVersion: graphc/v1", "kind: InferenceGraph", "metadata: {name: grown}"]
    lines += ["inputs: {x: 'FP32[batch, 8]'}", "nodes:"]
    for name, reads in nodes.items():
        what = "component: mean" if len(reads) > 1 else "component: clip, parameters: {low: 0, high: 1}"
        lines.append(f"  {name}: {{{what}, in: [{', '.join(reads)}]}}")
    return "\n".join([*lines, f"outputs: {{y: n{len(nodes) - 1}}}", ""])


def compile_text(text: str, level: int, folder: Path) -> int:
    """Compile a file with that text; returns the size of what comes of it, 0 where it is refused."""
    path = folder / "graph.yaml"
    path.write_text(text)
    done = compile_files(Request([str(path)], {}, {}, Options(level)))
    codes = {each.rule.code for each in done.sink}
    if done.sink.has_errors:
        print(f"    refused: {', '.join(sorted(codes))}")
    return len(write_yaml([document for each in done.emissions for document in each.documents]))


def measure(shape: str, sizes: list[int], level: int, folder: Path, *, memory: bool) -> None:
    """Print a line for each size; the exponent is that of the growth since the size before."""
    print(f"{shape} at -O{level}\n{'nodes':>8}{'seconds':>10}{'peak MiB':>10}{'x2 costs':>10}{'bytes':>12}")
    before: tuple[int, float] | None = None
    for size in sizes:
        text = write_graph(SHAPES[shape](size))
        started = time.process_time()
        written = compile_text(text, level, folder)
        seconds = time.process_time() - started
        peak = measure_peak(text, level, folder) if memory else float("nan")
        ratio = (seconds / before[1]) ** (1 / log2(size / before[0])) if before else float("nan")
        print(f"{size:>8}{seconds:>10.3f}{peak:>10.1f}{ratio:>10.2f}{written:>12}", flush=True)
        before = (size, seconds)


def measure_peak(text: str, level: int, folder: Path) -> float:
    """Return the most memory in MiB that a compile held at once, in a second run: tracing slows it."""
    tracemalloc.start()
    compile_text(text, level, folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 2**20


def main() -> None:
    """Read the options and measure each shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--shape", choices=sorted(SHAPES), action="append")
    parser.add_argument("-O", dest="level", type=int, default=1)
    parser.add_argument("--no-memory", action="store_true")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        compile_text(write_graph(chain(2)), 1, Path(folder))  # imports
        for shape in options.shape or SHAPES:
            measure(shape, sizes, options.level, Path(folder), memory=not options.no_memory)


if __name__ == "__main__":
    main()
