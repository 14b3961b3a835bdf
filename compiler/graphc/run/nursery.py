"""One process that imports MLServer once and forks the units of a run, each with its environment and log."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol, cast

from graphc.run.environment import base_environment
from graphc.run.plan import UnitProcess

CHILD: Final = Path(__file__).with_name("child.py")

_READ_LATE: Final = ("GRAPHC_", "MLSERVER_", "PREDICTIVE_UNIT_", "PREDICTOR_", "SELDON_", "TEMPO_")
"""Variables that nothing reads while it is imported."""
_APPLIED: Final = frozenset({"PYTHONPATH", "PYTHONUNBUFFERED"})
"""Variables that a forked process is given the effect of."""


class Process(Protocol):
    """A unit's process, whoever started it."""

    @property
    def pid(self) -> int:
        """Its id."""
        ...

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        ...

    async def wait(self) -> int:
        """Wait for its end."""
        ...

    def send_signal(self, number: int, /) -> None:
        """Send it a signal."""
        ...


def can_be_forked(plan: UnitProcess, exported: Mapping[str, str] = os.environ) -> bool:
    """Say whether a unit is one of graphc's, and asks for nothing that has to be there before the imports."""
    if not plan.is_ours or plan.env.get("GRAPHC_WORKERS", "1") != "1" or plan.argv[0] != sys.executable:
        return False
    own = base_environment(exported)
    differing = {name for name in plan.env.keys() | own.keys() if plan.env.get(name) != own.get(name)}
    return all(name in _APPLIED or name.startswith(_READ_LATE) for name in differing)


class Forked:
    """A process that the nursery forked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    async def wait(self) -> int:
        """Wait for its end."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int, /) -> None:
        """Send it a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def end(self, code: int) -> None:
        """Note how it ended."""
        self.returncode = code
        self._ended.set()


class _Line:
    """The way to one nursery process: orders in, answers out."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._starting: list[asyncio.Future[Forked]] = []
        self._forked: dict[int, Forked] = {}
        self._reading = asyncio.create_task(self._read())

    @property
    def is_open(self) -> bool:
        return not self._reading.done()

    async def spawn(self, plan: UnitProcess) -> Forked:
        order = {"folder": plan.argv[-1], "cwd": str(plan.folder), "log": str(plan.log)}
        started: asyncio.Future[Forked] = asyncio.get_running_loop().create_future()
        self._starting.append(started)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order | {"env": dict(plan.env)}).encode() + b"\n")
        await self._process.stdin.drain()
        return await started

    async def close(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            answer = cast("dict[str, int]", json.loads(line))
            if "started" in answer:
                forked = self._forked[answer["started"]] = Forked(answer["started"])
                self._starting.pop(0).set_result(forked)
            elif answer["ended"] in self._forked:
                self._forked.pop(answer["ended"]).end(answer["code"])
        await self._process.wait()
        for started in self._starting:
            started.set_exception(ConnectionError("the nursery has ended"))
        for forked in self._forked.values():
            # The kernel ends it with its parent.
            forked.end(-signal.SIGTERM)


class Nursery:
    """The process that forks; it is started with the first unit, and again where it was lost."""

    def __init__(self) -> None:
        self._line: _Line | None = None
        self._opening = asyncio.Lock()

    async def spawn(self, plan: UnitProcess) -> Forked | None:
        """Fork a unit; None where the nursery could not be started, or has ended."""
        try:
            return await (await self._open()).spawn(plan)
        except ConnectionError:
            return None

    async def close(self) -> None:
        """End the nursery; what it forked ends with it."""
        if self._line is not None:
            await self._line.close()

    async def _open(self) -> _Line:
        async with self._opening:
            if self._line is None or not self._line.is_open:
                self._line = _Line(await _start())
            return self._line


async def _start() -> asyncio.subprocess.Process:
    # -P: a module of the user's that lies where the run was started must not stand for another.
    program = (sys.executable, "-P", "-m", "graphc_runtimes.nursery")
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", str(CHILD), str(os.getpid()), *program),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # Where it fails, each unit is started on its own, and says why in its log.
        stderr=asyncio.subprocess.DEVNULL,
        env=base_environment(os.environ),
        process_group=0,
    )
