"""Keep the units' processes alive: start, wait until they are ready, restart what dies, end all of them."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp

from graphc.engine.faults import note_fault
from graphc.run.logs import read_cause, read_tail
from graphc.run.nursery import CHILD, Nursery, Process, can_be_forked
from graphc.run.plan import UnitProcess
from graphc.run.ready import is_ready

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the supervisor waits, in seconds, and how many quick deaths it takes."""

    ready: float = 600
    poll: float = 0.2
    grace: float = 8
    quick: float = 20
    deaths: int = 3
    backoff: float = 1
    longest_backoff: float = 30


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run cannot go on, with the last lines of the unit's log."""

    unit: str
    message: str
    tail: str = ""

    def __str__(self) -> str:
        """Write the message with the log below it."""
        return f"{self.message}\n{self.tail}" if self.tail else self.message


@dataclass(slots=True)
class _Member:
    """One unit with the process that runs it now."""

    plan: UnitProcess
    process: Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    started: float = 0
    readied: float = 0
    log_start: int = 0
    deaths: int = 0


class Supervisor:
    """Runs the units' processes while the context is open; `say` gets one line for each event."""

    def __init__(self, plans: Sequence[UnitProcess], say: Say, patience: Patience | None = None) -> None:
        self._members = [_Member(plan) for plan in plans]
        self._say = say
        self._patience = patience or Patience()
        self._http: aiohttp.ClientSession | None = None
        self._failure: asyncio.Future[Failure] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[None]] = []
        # For a single unit there is nothing to share.
        self._shares = sum(can_be_forked(plan) for plan in plans) > 1
        self._nursery = Nursery()

    async def __aenter__(self) -> Self:
        """Start every unit."""
        self._http = aiohttp.ClientSession()
        await asyncio.gather(*(self._spawn(member) for member in self._members))
        self._tasks = [asyncio.create_task(self._watch_over(member)) for member in self._members]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every unit and all that it started."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self._end(member) for member in self._members))
        await self._nursery.close()
        if self._http is not None:
            await self._http.close()

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each unit that runs now."""
        return {each.plan.title: each.process.pid for each in self._members if each.process is not None}

    async def wait_ready(self) -> Failure | None:
        """Wait until every unit is ready; return what stopped one of them."""
        everyone = asyncio.gather(*(member.ready.wait() for member in self._members))
        try:
            await asyncio.wait(
                [everyone, self._failure], timeout=self._patience.ready, return_when=asyncio.FIRST_COMPLETED
            )
            if self._failure.done():
                return self._failure.result()
            return None if everyone.done() else self._describe_late()
        finally:
            everyone.cancel()
            with suppress(asyncio.CancelledError):
                await everyone

    async def watch(self) -> Failure:
        """Return when a unit has died too often."""
        return await asyncio.shield(self._failure)

    def _describe_late(self) -> Failure:
        late = next(member for member in self._members if not member.ready.is_set())
        waited = f"{self._patience.ready:g} s"
        message = f"unit `{late.plan.title}` is not ready after {waited}; from its log:"
        return Failure(late.plan.title, message, read_tail(late.plan.log, late.log_start))

    async def _spawn(self, member: _Member) -> None:
        plan = member.plan
        member.started = asyncio.get_running_loop().time()
        member.log_start = plan.log.stat().st_size if plan.log.exists() else 0
        forked = await self._nursery.spawn(plan) if self._shares and can_be_forked(plan) else None
        member.process = forked or await self._start(plan)

    async def _start(self, plan: UnitProcess) -> Process:
        argv = (sys.executable, "-I", str(CHILD), str(os.getpid()), *plan.argv)
        with plan.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(plan.env),
                cwd=plan.folder,
                # A group of its own: Ctrl-C reaches the supervisor alone, which ends all in order.
                process_group=0,
            )

    async def _watch_over(self, member: _Member) -> None:
        """Keep a unit alive; where that itself fails, the run ends instead of going on without anybody who watches."""
        try:
            await self._keep(member)
        except Exception as fault:
            said = note_fault(f"the watch over unit `{member.plan.title}`", fault)
            if not self._failure.done():
                message = f"unit `{member.plan.title}` is watched over no more: {said}"
                self._failure.set_result(Failure(member.plan.title, message))

    async def _keep(self, member: _Member) -> None:
        while not self._failure.done():
            assert member.process is not None
            was_ready = await self._wait_death(member, member.process)
            code = member.process.returncode
            _kill_group(member.process.pid)
            lived = asyncio.get_running_loop().time() - member.readied
            member.deaths = 1 if was_ready and lived > self._patience.quick else member.deaths + 1
            how = _describe_end(code)
            if (not was_ready and member.deaths == 1) or member.deaths >= self._patience.deaths:
                self._give_up(member, how, was_ready=was_ready)
                return
            delay = min(self._patience.backoff * 2 ** (member.deaths - 1), self._patience.longest_backoff)
            self._say(f"unit `{member.plan.title}` {how}; restarting it in {delay:g} s")
            await asyncio.sleep(delay)
            await self._spawn(member)

    def _give_up(self, member: _Member, how: str, *, was_ready: bool) -> None:
        unit = member.plan.title
        times = f" ({member.deaths} times in a row)" if member.deaths > 1 else ""
        before = "" if was_ready else " before it was ready"
        message = f"unit `{unit}` {how}{before}{times}; from its log:"
        read = read_tail if was_ready else read_cause
        if not self._failure.done():
            self._failure.set_result(Failure(unit, message, read(member.plan.log, member.log_start)))

    async def _wait_death(self, member: _Member, process: Process) -> bool:
        """Wait for the process to end, and say whether it had been ready."""
        polling = asyncio.create_task(self._poll(member))
        ending = asyncio.create_task(process.wait())
        try:
            done, _ = await asyncio.wait({polling, ending}, return_when=asyncio.FIRST_COMPLETED)
            if polling in done:
                polling.result()
            await ending
        finally:
            polling.cancel()
            ending.cancel()
            await asyncio.wait({polling, ending})
        was_ready = member.ready.is_set()
        member.ready.clear()
        return was_ready

    async def _poll(self, member: _Member) -> None:
        assert self._http is not None
        while not await is_ready(self._http, member.plan):
            await asyncio.sleep(self._patience.poll)
        member.ready.set()
        member.readied = asyncio.get_running_loop().time()
        self._say(f"unit `{member.plan.title}` is ready after {member.readied - member.started:.1f} s")

    async def _end(self, member: _Member) -> None:
        process = member.process
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), self._patience.grace)
        if process.returncode is None:
            self._say(f"unit `{member.plan.title}` does not end; it is killed")
        _kill_group(process.pid)
        await process.wait()


def _kill_group(leader: int) -> None:
    # What a unit leaves behind, such as MLServer's workers, is still in its group.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _describe_end(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit status {code}"
