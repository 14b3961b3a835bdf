"""Measures graphc beside other servers, all with the same graph: `python tests/bench/peers/run.py`.

    [--peers mlserver,triton] [--cases "batch 1,image"] [--duration 16] [--rounds 8] [--clients 8] [--json FILE]
    [--executor PATH] [--beside CHECKOUT]

Each folder beside this file is a peer: its `server.py` as its documentation recommends, its `requirements.txt`, and in
`peer.json` where it is called. Each gets an environment of its own below ~/.cache/graphc-tests/peers, made on first
use. A peer is measured in turns with graphc's fused unit, so that a busy machine slows both alike; the ratio is that of
each pair of rounds. Every answer is compared with the right one, and whatever is no 200 is counted as a failure. A peer
that cannot be installed or does not answer is listed with the reason, and so is Seldon's executor where `--executor`
does not say where its binary is. `--beside` measures another checkout of graphc too, with its own environment
(`git worktree add --detach ../before REVISION`, and `uv sync --locked` there): a change is seen beside what it changed.
"""

import argparse
import contextlib
import hashlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from graphc.bench.ask import Question, Subject, ask_target
from graphc.bench.compare import Comparison
from graphc.bench.estimate import Estimate
from graphc.bench.failure import BenchError
from graphc.bench.job import Closed
from graphc.bench.run import Bench, BenchOptions
from graphc.bench.serve import Served, serve
from mean_models import Case, make_cases, read_right

HERE: Final = Path(__file__).parent
CACHE: Final = Path.home() / ".cache" / "graphc-tests" / "peers"
PATIENCE: Final = 150
"""How many seconds a peer may take to answer for the first time."""

REFERENCE: Final = "graphc -O1, fused"


@dataclass(frozen=True, slots=True)
class Peer:
    """A server of another kind; `venv` is the peer whose environment it shares, `needs` the option that it takes."""

    name: str
    title: str
    path: str
    request: str
    venv: str
    needs: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: the reference's ratio to the peer, or why there is none."""

    case: str
    title: str
    found: Comparison | None
    reason: str = ""


def find_peers() -> list[Peer]:
    """Return the peers, one for each folder."""
    found: list[Peer] = []
    for path in sorted(HERE.glob("*/peer.json")):
        fields = cast("dict[str, str]", json.loads(path.read_text()))
        name = path.parent.name
        venv, needs = fields.get("venv", name), fields.get("needs", "")
        found.append(Peer(name, fields["title"], fields["path"], fields["request"], venv, needs))
    return found


def make_environment(name: str) -> Path:
    """Return the interpreter of a peer's environment, made where its requirements are new; raises BenchError."""
    requirements = HERE / name / "requirements.txt"
    folder = CACHE / name
    python, stamp = folder / "bin" / "python", folder / "requirements.sha256"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _call(["uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        _call(["uv", "pip", "install", "--quiet", "--python", str(python), "-r", str(requirements)])
        stamp.write_text(wanted)
    return python


def _call(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise BenchError(f"cannot be installed: {lines[-1].strip()}")


@contextlib.contextmanager
def start_peer(peer: Peer, case: Case, given: Mapping[str, str]) -> Generator[Subject]:
    """Run a peer and yield what it is asked and answers; raises BenchError."""
    if peer.needs and not given.get(peer.needs):
        raise BenchError(f"no `--{peer.needs}` is given")
    python = make_environment(peer.venv)
    ports = [str(port) for port in free_ports(3)]
    server = HERE / peer.name / "server.py"
    command = [str(python), str(server), ports[0], str(case.folder), *ports[1:]]
    # What embeds Python looks for its packages beside the `python3` that the path has first.
    environment = {
        name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}
    }
    environment["PATH"] = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    environment |= {f"PEER_{name.upper()}": value for name, value in given.items() if value}
    # What embeds Python, as Triton does, would take the system's instead of the environment's.
    environment["LD_LIBRARY_PATH"] = str(sysconfig.get_config_var("LIBDIR"))
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        try:
            yield _wait(f"http://127.0.0.1:{ports[0]}{peer.path}", peer, case, process)
        except BenchError as error:
            log.seek(0)
            lines = [line.strip() for line in log.read().splitlines() if line.strip()]
            raise BenchError(f"{error}; its log ends: {lines[-1][:200] if lines else 'empty'}") from error
        finally:
            end_session(process)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _wait(url: str, peer: Peer, case: Case, process: "subprocess.Popen[bytes]") -> Subject:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask(url, peer.title, case, peer.request)
        except BenchError as error:
            if process.poll() is not None:
                raise BenchError(f"ended with status {process.returncode}") from error
            if time.monotonic() > deadline:
                raise BenchError(f"does not answer: {error}") from error
        time.sleep(0.5)


def end_session(process: "subprocess.Popen[bytes]") -> None:
    """End a peer with all its processes: it has a session of its own."""
    for number, patience in ((signal.SIGINT, 10.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    for pid in _session(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _session(leader: int) -> list[int]:
    """Return the processes of a session: some servers put theirs in groups of their own."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            if int((path / "stat").read_text().rpartition(")")[2].split()[3]) == leader:
                found.append(int(path.name))
    return found


def ask(url: str, title: str, case: Case, request: str) -> Subject:
    """Ask a server once, and see that it answers rightly; raises BenchError."""
    subject = ask_target(url, Question(request=case.request(request), timeout=20))
    given, right = _numbers(json.loads(subject.answer)), read_right(case)
    if len(given) != len(right) or not all(
        math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-5) for a, b in zip(given, right, strict=True)
    ):
        raise BenchError(f"answers {given[:4]}, and {right[:4]} is right")
    return replace(subject, name=title, rows=case.rows)


def _numbers(value: object) -> list[float]:
    """Return the numbers of an answer's tensor, whatever form it has."""
    if isinstance(value, list):
        return [number for each in cast("list[object]", value) for number in _numbers(each)]
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        outputs = fields.get("outputs")
        return _numbers(cast("list[object]", outputs)[0] if outputs else fields.get("data"))
    return [float(value)] if isinstance(value, int | float) else []


@contextlib.contextmanager
def start_graphc(case: Case, level: int, checkout: Path | None = None) -> Generator[Served]:
    """Run the graph with graphc, this one or another checkout's; raises BenchError."""
    python = str(checkout.resolve() / ".venv" / "bin" / "python") if checkout else sys.executable
    if not Path(python).exists():
        raise BenchError(f"{python} is absent: run `uv sync --locked` in that checkout")
    with serve(str(case.graph), (f"-O{level}",), python=python) as served:
        yield served


def measure_case(
    case: Case,
    peers: Sequence[Peer],
    options: BenchOptions,
    own: bool,
    given: Mapping[str, str],
    beside: Path | None,
) -> Generator[Row]:
    """Yield a row for each peer, for the other checkout, and for graphc's other forms."""
    with start_graphc(case, 1) as served:
        reference = ask(served.address(is_direct=True), REFERENCE, case, "v2")
        if beside:
            title = f"{REFERENCE}, of {beside.name}"
            try:
                with start_graphc(case, 1, beside) as other:
                    yield _compare(
                        case, ask(other.address(is_direct=True), title, case, "v2"), reference, options
                    )
            except BenchError as error:
                yield Row(case.name, title, None, str(error).splitlines()[-1])
        if own:
            engine = ask(served.url, "graphc -O1, behind the engine of `graphc run`", case, "v2")
            yield _compare(case, engine, reference, options)
            try:
                with start_graphc(case, 2) as merged:
                    yield _compare(
                        case,
                        ask(merged.address(is_direct=True), "graphc -O2, fused", case, "v2"),
                        reference,
                        options,
                    )
            except BenchError as error:
                yield Row(case.name, "graphc -O2, fused", None, str(error).splitlines()[-1])
        for peer in peers:
            print(f"{case.name}: {peer.title}", file=sys.stderr, flush=True)
            try:
                with start_peer(peer, case, given) as subject:
                    yield _compare(case, subject, reference, options)
            except BenchError as error:
                yield Row(case.name, peer.title, None, str(error))


def _compare(case: Case, subject: Subject, reference: Subject, options: BenchOptions) -> Row:
    bench = Bench(options, Question(timeout=20), lambda _: None)
    return Row(case.name, subject.name, bench.compare_subjects(subject, reference).comparison)


def show(row: Row) -> str:
    """Write a row as a line of a Markdown table."""
    if row.found is None:
        return f"| {row.case} | {row.title} | absent: {row.reason} | | | | |"
    peer, reference = row.found.first, row.found.second
    failed = sum(peer.failures.values()), sum(reference.failures.values())
    cells = [
        f"{peer.throughput.value:,.0f}",
        f"{peer.latency_ms[50.0].value:.2f}",
        f"{peer.latency_ms[99.0].value:.2f}",
        _interval(row.found.ratios["throughput"]),
        _interval(row.found.ratios["p50"]),
    ]
    failures = f" ({failed[0]} failed, reference {failed[1]})" if any(failed) else ""
    return f"| {row.case} | {row.title}{failures} | {' | '.join(cells)} |"


def _interval(ratio: Estimate) -> str:
    return f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"


def main() -> None:
    """Read the options, measure, and print the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--peers", help="by folder, with commas; none leaves graphc's own forms")
    parser.add_argument("--cases", help="with commas")
    parser.add_argument("--duration", type=float, default=16, help="seconds of load on each of a pair")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--skip-own", action="store_true", help="leave out graphc's other forms")
    parser.add_argument(
        "--executor", default="", help="the binary of Seldon's executor, for the peer `seldon`"
    )
    parser.add_argument("--beside", type=Path, help="another checkout of graphc")
    parser.add_argument("--json", type=Path)
    told = parser.parse_args()
    names = None if told.peers is None else {name for name in told.peers.split(",") if name}
    peers = [peer for peer in find_peers() if names is None or peer.name in names]
    options = BenchOptions(Closed(told.clients), told.duration, 0.5, rounds=told.rounds)
    rows: list[Row] = []
    print("| case | server | answers/s | p50 ms | p99 ms | graphc / it: answers/s | graphc / it: p50 |")
    print("|---|---|--:|--:|--:|--:|--:|", flush=True)
    with tempfile.TemporaryDirectory(prefix="graphc-peers-") as folder:
        cases = make_cases(Path(folder))
        wanted = list(cases) if told.cases is None else told.cases.split(",")
        for case in (cases[name] for name in wanted):
            given = {"executor": told.executor}
            for row in measure_case(case, peers, options, not told.skip_own, given, told.beside):
                rows.append(row)
                print(show(row), flush=True)
    if told.json:
        told.json.write_text(json.dumps([_to_json(row) for row in rows], indent=2))


def _to_json(row: Row) -> dict[str, object]:
    found = row.found.to_json() if row.found else None
    return {"case": row.case, "title": row.title, "reason": row.reason, "found": found}


if __name__ == "__main__":
    main()
