"""Real MLServer processes under the supervisor: started, restarted, and ended without a trace."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from graphc.run.environment import Ports
from graphc.run.logs import read_cause, read_tail
from graphc.run.plan import RunPlan, UnitProcess
from graphc.run.problem import Findings
from graphc.run.supervisor import Failure, Patience, Supervisor

Plan = Callable[..., tuple[RunPlan, Findings]]

REQUEST = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def wait_gone(pid: int) -> bool:
    end = time.monotonic() + 15
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not is_alive(pid)


async def infer(port: int, model: str) -> list[float]:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"http://127.0.0.1:{port}/v2/models/{model}/infer", json=REQUEST) as response,
    ):
        return (await response.json())["outputs"][0]["data"]


def test_units_start_answer_come_back_and_end(plan: Plan, manifest_text: Callable[..., str]) -> None:
    made, findings = plan(manifest_text(a=2, b=3))
    assert findings == Findings()
    said = list[str]()
    pids = set[int]()

    async def run() -> None:
        async with Supervisor(made.processes, said.append, Patience(backoff=0.1)) as supervisor:
            assert await supervisor.wait_ready() is None
            ports = {each.unit: each.ports.http for each in made.processes}
            assert await infer(ports["a"], "a") == [2, 4]
            assert await infer(ports["b"], "b") == [3, 6]
            before = supervisor.pids
            pids.update(before.values())
            os.kill(before["a"], signal.SIGKILL)
            while supervisor.pids["a"] == before["a"]:
                await asyncio.sleep(0.05)
            assert await supervisor.wait_ready() is None
            assert await infer(ports["a"], "a") == [2, 4]
            assert supervisor.pids["b"] == before["b"]
            pids.update(supervisor.pids.values())

    asyncio.run(run())
    assert len(pids) == 3
    assert not any(is_alive(pid) for pid in pids)
    assert "unit `a` was ended by SIGKILL; restarting it in 0.1 s" in said


def test_a_unit_that_cannot_load_stops_the_run_with_its_log(
    plan: Plan, manifest_text: Callable[..., str]
) -> None:
    made, _ = plan(manifest_text(m=0))

    async def run() -> tuple[Failure | None, int]:
        async with Supervisor(made.processes, print) as supervisor:
            return await supervisor.wait_ready(), supervisor.pids["m"]

    failure, pid = asyncio.run(run())
    assert failure is not None
    assert failure.message.startswith("unit `m` ended with exit status")
    assert failure.message.endswith("before it was ready; from its log:")
    assert "ValueError: a factor of zero" in failure.tail
    assert not is_alive(pid)


def script(tmp_path: Path, code: str, name: str = "m") -> UnitProcess:
    """A process that is no MLServer, for what a real one does not do on demand."""
    argv = (sys.executable, "-c", textwrap.dedent(code))
    return UnitProcess(name, argv, dict(os.environ), tmp_path, tmp_path / f"{name}.log", Ports(1, 2, 3))


ANSWER_AND_DIE = """
import http.server, os, threading, time

class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        if "models" in self.path:
            threading.Timer(0.2, os._exit, (7,)).start()

print("here we go", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Ready).serve_forever()
"""


def test_quick_deaths_in_a_row_end_the_run(tmp_path: Path, unused_port: int) -> None:
    process = script(tmp_path, ANSWER_AND_DIE.replace("PORT", str(unused_port)))
    process = UnitProcess(
        process.unit, process.argv, process.env, process.folder, process.log, Ports(unused_port, 2, 3)
    )
    said = list[str]()

    async def run() -> Failure:
        async with Supervisor([process], said.append, Patience(backoff=0.05, poll=0.02)) as supervisor:
            assert await supervisor.wait_ready() is None
            return await asyncio.wait_for(supervisor.watch(), 60)

    failure = asyncio.run(run())
    assert failure.message == ("unit `m` ended with exit status 7 (3 times in a row); from its log:")
    assert "here we go" in failure.tail
    restarts = [line for line in said if "restarting" in line]
    assert restarts == [
        "unit `m` ended with exit status 7; restarting it in 0.05 s",
        "unit `m` ended with exit status 7; restarting it in 0.1 s",
    ]


def test_a_unit_that_ignores_the_end_is_killed_with_its_children(tmp_path: Path) -> None:
    process = script(
        tmp_path,
        """
        import pathlib, signal, subprocess, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sleep", "1000"])
        pathlib.Path("started").write_text(str(child.pid))
        time.sleep(1000)
        """,
    )
    said = list[str]()

    async def run() -> int:
        async with Supervisor([process], said.append, Patience(grace=0.2)) as supervisor:
            while not (tmp_path / "started").exists() or not (tmp_path / "started").read_text():
                await asyncio.sleep(0.02)
            return supervisor.pids["m"]

    pid = asyncio.run(run())
    assert wait_gone(pid)
    assert wait_gone(int((tmp_path / "started").read_text()))
    assert said == ["unit `m` does not end; it is killed"]


def test_a_unit_that_is_never_ready_is_said(tmp_path: Path) -> None:
    process = script(tmp_path, "import time; print('dozing', flush=True); time.sleep(1000)")

    async def run() -> Failure | None:
        async with Supervisor([process], print, Patience(ready=1, grace=2)) as supervisor:
            return await supervisor.wait_ready()

    failure = asyncio.run(run())
    assert failure == Failure("m", "unit `m` is not ready after 1 s; from its log:", "    dozing")


ORPHAN = """
import asyncio, os, pathlib, sys
from graphc.run.logs import read_cause, read_tail
from graphc.run.plan import Ports, UnitProcess
from graphc.run.supervisor import Supervisor

folder = pathlib.Path(sys.argv[1])
argv = (sys.executable, "-c", "import time; time.sleep(1000)")
plan = UnitProcess("m", argv, dict(os.environ), folder, folder / "log", Ports(1, 2, 3))

async def run():
    async with Supervisor([plan], print) as supervisor:
        print(supervisor.pids["m"], flush=True)
        await asyncio.sleep(1000)

asyncio.run(run())
"""


def test_units_end_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        while b"time.sleep" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            time.sleep(0.02)
        owner.kill()
    assert wait_gone(pid)


def test_tail_is_short(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert read_tail(log) == ""
    log.write_bytes(b"\n".join(b"%d \xff" % number for number in range(100_000)))
    assert read_tail(log).splitlines()[-2:] == ["    99998 \ufffd", "    99999 \ufffd"]
    assert len(read_tail(log).splitlines()) == 20


def test_the_cause_is_what_a_unit_says_itself(tmp_path: Path) -> None:
    log = tmp_path / "unit.log"
    log.write_text("up\nTraceback (most recent call last):\n  File x\nNewError: why\ngraphc: node `a`: why\n")
    assert read_cause(log) == "    graphc: node `a`: why"


def test_the_cause_is_the_first_traceback_of_the_last_start(tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = "Traceback (most recent call last):\n  old\nOldError\n"
    log.write_text(f"{first}up\nTraceback (most recent call last):\n  File x\nNewError: why\ndown\n{first}")
    assert read_cause(log, len(first)) == (
        "    Traceback (most recent call last):\n      File x\n    NewError: why"
    )


def test_a_watch_that_fails_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> bool:
        raise LookupError("a secret")

    monkeypatch.setattr("graphc.run.supervisor.is_ready", fail)
    argv = (sys.executable, "-c", "import time; time.sleep(600)")
    process = UnitProcess("m", argv, dict(os.environ), tmp_path, tmp_path / "log", Ports(1, 2, 3))

    async def run() -> Failure:
        async with Supervisor([process], lambda _: None, Patience()) as supervisor:
            return await asyncio.wait_for(supervisor.watch(), 60)

    failure = asyncio.run(run())
    assert failure.message.startswith("unit `m` is watched over no more: an unexpected failure")
    assert failure.message.rpartition(" ")[2] in caplog.text
    assert "secret" not in caplog.text + failure.message
