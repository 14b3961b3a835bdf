"""Times `graphc compile` of a small graph beside the imports of three libraries, process start included.

    python tests/bench/startup.py [--pairs 20] [GRAPH]

Pairs in alternation, so that a busy machine slows both; each pair's ratio is one sample. Both find their modules
compiled, in a folder of their own, and the signatures of the graph's models are kept before the first pair.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

GRAPHS: Final = Path(__file__).parents[2] / "graphs"
IMPORTS: Final = ("-c", "import pydantic, yaml, networkx")
GRAPHC: Final = ("-c", "from graphc.cli import start; start()")
MANY: Final = 1_000
FEW: Final = 20


def seconds(arguments: Sequence[str], environ: Mapping[str, str]) -> float:
    """Run Python once, and return how long it took."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environ, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def print_times(what: str, times: Sequence[float], unit: str = " ms", scale: float = 1000) -> None:
    """Print the least, the median and the most."""
    low, high = min(times) * scale, max(times) * scale
    print(f"{what:32} min {low:7.2f}  median {statistics.median(times) * scale:7.2f}  max {high:7.2f}{unit}")


def compare_start(graph: Path, pairs: int, environ: Mapping[str, str]) -> None:
    """Compile a graph and import the libraries, in turns."""
    ours, theirs = (*GRAPHC, "compile", str(graph)), IMPORTS
    for each in (ours, theirs):
        seconds(each, environ)
    found = [(seconds(ours, environ), seconds(theirs, environ)) for _ in range(pairs)]
    print_times(f"graphc compile {graph.parent.name}", [pair[0] for pair in found])
    print_times("import pydantic, yaml, networkx", [pair[1] for pair in found])
    print_times("ratio", [left / right for left, right in found], "", 1)


def compare_many(graph: Path, environ: Mapping[str, str], folder: Path) -> None:
    """Check many graphs in one call, and a few of them in a call each; the few are scaled to the many."""
    text = graph.read_text("utf-8").replace("model: models/", f"model: {graph.parent}/models/")
    files = [folder / f"{index}.yaml" for index in range(MANY)]
    for index, file in enumerate(files):
        file.write_text(text.replace(f"name: {graph.parent.name}", f"name: graph-{index}"))
    check = (*GRAPHC, "check")
    together = seconds((*check, *map(str, files)), environ)
    apart = [seconds((*check, str(file)), environ) for file in files[:: MANY // FEW]]
    print_times("graphc check, one graph", apart)
    print(f"graphc check, {MANY} graphs in one call: {together:.2f} s")
    ratio = MANY * statistics.median(apart) / together
    print(f"{MANY} calls, scaled from {len(apart)}: {ratio:.0f} times as long")


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("graph", nargs="?", type=Path, default=GRAPHS / "wine-average" / "graph.yaml")
    parser.add_argument("--pairs", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environ |= {"PYTHONPYCACHEPREFIX": f"{folder}/pyc", "GRAPHC_CACHE_DIR": f"{folder}/cache"}
        compare_start(options.graph.resolve(), options.pairs, environ)
        (Path(folder) / "graphs").mkdir()
        compare_many(options.graph.resolve(), environ, Path(folder) / "graphs")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
