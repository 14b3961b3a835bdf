"""Times a unit's cold start: from the start of its process to ready, as a container starts it.

    python tests/bench/cold_start.py [--rounds 6] [--imports 12] [GRAPH]

Each round starts Python alone, Python with all that a unit imports, and the unit, in turns, so that a busy machine
slows all alike. What a unit imports comes with the time of each import, those within it included. On a cluster the
scheduler, the container's own start and the probe come on top: it asks once a second.
"""

import argparse
import http.client
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "support")]

from served_graphs import compile_graph  # noqa: E402

EXAMPLE: Final = HERE.parents[1] / "graphs" / "wine-average" / "graph.yaml"
HOSTING: Final = "import graphc_runtimes.hosting"
PATIENCE_S: Final = 120
_IMPORT: Final = re.compile(r"^import time: *\d+ \| *(\d+) \|( *)(\S+)$", re.MULTILINE)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def is_ready(port: int) -> bool:
    """Say whether a unit calls itself ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def time_python(code: str) -> float:
    """Return how long Python takes for some code."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def time_unit(variables: Mapping[str, str], folder: Path) -> tuple[float, float]:
    """Start a unit; return how long it takes to be ready, and how much of that is processor time of its own."""
    http_port, grpc_port, metrics_port = free_ports(3)
    ports = {"HTTP": http_port, "GRPC": grpc_port, "METRICS": metrics_port}
    own = {f"MLSERVER_{name}_PORT": str(port) for name, port in ports.items()}
    own |= {"MLSERVER_HOST": "127.0.0.1", "MLSERVER_METRICS_DIR": str(folder)}
    command = [sys.executable, "-m", "graphc_runtimes", str(folder / "empty")]
    with (folder / "log").open("wb") as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, env=os.environ | variables | own, stdout=log, stderr=log)
        try:
            while not is_ready(http_port):
                if process.poll() is not None or time.perf_counter() - start > PATIENCE_S:
                    raise SystemExit((folder / "log").read_text("utf-8", "replace"))
                time.sleep(0.01)
            seconds = time.perf_counter() - start
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            return seconds, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        finally:
            process.terminate()
            process.wait()


def list_imports(count: int) -> list[tuple[float, str]]:
    """Return the packages that take longest to be imported, with the seconds of each."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", HOSTING], capture_output=True, text=True, check=True
    )
    found = ((int(microseconds) / 1e6, name) for microseconds, _, name in _IMPORT.findall(done.stderr))
    return sorted((each for each in found if "." not in each[1]), reverse=True)[:count]


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("graph", type=Path, nargs="?", default=EXAMPLE)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--imports", type=int, default=12)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="graphc-cold-") as name:
        folder = Path(name)
        (folder / "empty").mkdir()
        variables = next(iter(compile_graph(options.graph, 1, folder / "mounted").variables.values()))
        found: dict[str, list[float]] = {}
        for _ in range(options.rounds):
            seconds, processor = time_unit(variables, folder)
            for what, value in (
                ("Python alone", time_python("pass")),
                ("Python, and what a unit imports", time_python(HOSTING)),
                ("the unit, to ready", seconds),
                ("  of it processor time", processor),
            ):
                found.setdefault(what, []).append(value)
    for what, values in found.items():
        print(f"{what:34} min {min(values):5.2f}  median {statistics.median(values):5.2f} s")
    print("\nimports that take longest:")
    for seconds, package in list_imports(options.imports):
        print(f"  {package:32} {seconds:5.2f} s")


if __name__ == "__main__":
    main()
