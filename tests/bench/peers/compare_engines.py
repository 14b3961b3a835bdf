"""Measures graphc's engine beside Seldon's executor over the same units: `python tests/bench/peers/compare_engines.py`.

    --executor PATH [--units mlserver,graphc] [--cases "batch 1,image"] [--clients 1,8] [--duration 8] [--rounds 6]

The units run once, and both walk the same SeldonDeployment over them, in turns: `mlserver` is a plain MLServer for each
node, `graphc` what graphc makes of the graph at `-O0`. A ratio above 1 in answers a second, and below 1 in latency,
says that graphc is ahead.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from graphc.bench.ask import Question, Subject
from graphc.bench.compare import Comparison
from graphc.bench.failure import BenchError
from graphc.bench.job import Closed
from graphc.bench.run import Bench, BenchOptions
from graphc.bench.serve import serve
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.lower.options import Options
from mean_models import Case, make_cases
from run import ask, end_session, free_ports, make_environment
from seldon_units import executor_command, with_endpoints, write_tree

HERE: Final = Path(__file__).parent
PATIENCE: Final = 120
_ENGINE: Final = "from graphc.cli import start; start()"
_UNITS: Final = """
import sys
from pathlib import Path
from seldon_units import start_units, write_deployment
folder = Path(sys.argv[2])
(folder / "written").write_text(str(write_deployment(folder, start_units(sys.executable, Path(sys.argv[1]), folder))))
sys.stdin.read()
"""


@contextlib.contextmanager
def started(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> Generator[subprocess.Popen[bytes]]:
    """Run a process in a session of its own, and end all of it."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=file, stderr=file, env=environment, start_new_session=True
        )
    try:
        yield process
    finally:
        end_session(process)


@contextlib.contextmanager
def plain_units(case: Case, folder: Path) -> Generator[Path]:
    """Run a plain MLServer for each node and yield the deployment over them."""
    python = str(make_environment("mlserver"))
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    with started(
        [python, "-c", _UNITS, str(case.folder), str(folder)], environment, folder / "units"
    ) as units:
        written = folder / "written"
        while not written.exists() or not written.read_text():
            if units.poll() is not None:
                raise BenchError((folder / "units").read_text())
            time.sleep(0.2)
        yield Path(written.read_text())


@contextlib.contextmanager
def graphc_units(case: Case, folder: Path) -> Generator[Path]:
    """Run the units that graphc makes at -O0 and yield their deployment, with their addresses."""
    with serve(str(case.graph), ("-O0",)) as served:
        yield write_over(case.graph, 0, served.http_ports, folder)


def write_over(graph: Path, level: int, ports: Mapping[str, int], folder: Path) -> Path:
    """Write the deployment that graphc makes of a graph, over units that listen already."""
    done = compile_files(Request([str(graph)], {}, {}, Options(level)))
    documents = [cast("Any", each) for emission in done.emissions for each in emission.documents]
    (deployment,) = [each for each in documents if each["kind"] == "SeldonDeployment"]
    (predictor,) = deployment["spec"]["predictors"]
    return write_tree(folder, with_endpoints(predictor["graph"], ports))


def _with_endpoints(unit: Mapping[str, Any], ports: Mapping[str, int]) -> dict[str, Any]:
    endpoint = {"type": "REST", "service_host": "127.0.0.1", "httpPort": ports[unit["name"]]}
    children = [_with_endpoints(each, ports) for each in unit.get("children", ())]
    return {**unit, "endpoint": endpoint, "children": children}


UNITS: Final = {"mlserver": plain_units, "graphc": graphc_units}


def _wait(url: str, name: str, case: Case, process: "subprocess.Popen[bytes]", log: Path) -> Subject:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask(url, name, case, "v2")
        except BenchError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"{name} does not answer: {error}\n{log.read_text()[-2000:]}") from error
        time.sleep(0.2)


@contextlib.contextmanager
def fronts(executor: str, deployment: Path, case: Case) -> Generator[tuple[Subject, Subject]]:
    """Run both over the same units, and yield the executor and the engine."""
    folder = deployment.parent
    ports = free_ports(3)
    engine = [sys.executable, "-c", _ENGINE, "engine", str(deployment), "--http-port", str(ports[2])]
    with (
        started(executor_command(executor, deployment, *ports[:2]), os.environ, folder / "executor") as first,
        started(engine, os.environ, folder / "engine") as second,
    ):
        path = "/v2/models/mean/infer"
        yield (
            _wait(f"http://127.0.0.1:{ports[0]}{path}", "executor", case, first, folder / "executor"),
            _wait(f"http://127.0.0.1:{ports[2]}{path}", "engine", case, second, folder / "engine"),
        )


def show(name: str, case: Case, clients: int, found: Comparison) -> str:
    """Write a line of a Markdown table."""
    cells = [name, case.name, str(clients)]
    for each in (found.first, found.second):
        failed = f" ({sum(each.failures.values())} failed)" if each.failures else ""
        cells.append(f"{each.throughput.value:,.0f}{failed}")
    for measure in ("throughput", "p50", "p99"):
        ratio = found.ratios[measure]
        cells.append(f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Read the options, measure, and print the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--executor", required=True, help="the binary of Seldon's executor")
    parser.add_argument("--units", default="mlserver,graphc")
    parser.add_argument("--cases", default="batch 1,batch 64,image")
    parser.add_argument("--clients", default="1,8")
    parser.add_argument("--duration", type=float, default=8, help="seconds of load on each of a pair")
    parser.add_argument("--rounds", type=int, default=6)
    told = parser.parse_args()
    print("| units | case | clients | executor/s | engine/s | engine / executor: answers/s | p50 | p99 |")
    print("|---|---|--:|--:|--:|--:|--:|--:|", flush=True)
    with tempfile.TemporaryDirectory(prefix="graphc-engines-") as top:
        cases = make_cases(Path(top))
        for case in (cases[name] for name in told.cases.split(",")):
            for name in told.units.split(","):
                folder = Path(tempfile.mkdtemp(dir=top))
                with UNITS[name](case, folder) as deployment, fronts(told.executor, deployment, case) as pair:
                    for clients in map(int, told.clients.split(",")):
                        options = BenchOptions(Closed(clients), told.duration, 0.5, rounds=told.rounds)
                        bench = Bench(options, Question(timeout=20), lambda _: None)
                        found = bench.compare_subjects(*pair).comparison
                        assert found is not None
                        print(show(name, case, clients, found), flush=True)


if __name__ == "__main__":
    main()
