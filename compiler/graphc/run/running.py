"""One run: the units of all its predictors, and the front that shares the requests among them."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from graphc.compare.observer import Observer
from graphc.engine.faults import note_fault
from graphc.engine.limits import LimitError, read_limits
from graphc.engine.listen import Listener
from graphc.engine.service import ServedGraph
from graphc.engine_graph import ENGINE
from graphc.rollout.choose import Chooser
from graphc.rollout.describe import describe_rollout
from graphc.rollout.shares import Rollout
from graphc.run.console import RunConsole
from graphc.run.example import make_example, write_curl
from graphc.run.front import bind_units, describe_graph, infer_path, stands_alone
from graphc.run.logs import follow_logs
from graphc.run.plan import RunPlan, UnitProcess
from graphc.run.request import send_inputs, send_request
from graphc.run.signature import REGION, Signature
from graphc.run.supervisor import Failure, Patience, Supervisor
from graphc.run.unit_metrics import UnitMetrics
from graphc.run.versions import Mode, Tree, Versions
from graphc.seldon.deployment import Deployment, Predictor
from graphc.seldon.unit import SeldonUnit

Follow = Callable[[Callable[[Rollout], Awaitable[None]]], Coroutine[None, None, None]]
"""Calls what it is given whenever the requests are to be shared otherwise, until it is cancelled."""

SHADOW_SECONDS: Final = 60
"""How long the front waits for shadows once the live predictors are ready."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line says about a run, the files apart."""

    predictor: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    grpc_port: int = 8081
    claims: Mapping[str, Path] = field(default_factory=dict[str, Path])
    request: bytes | None = None
    once: bool = False
    seed: int | None = None
    inputs: Sequence[str] = ()
    lenient: bool = False
    """Whether more is answered than a cluster answers."""
    logs: bool = False
    """Whether what the units log is shown."""
    at: Mapping[str, str] = field(default_factory=dict[str, str])
    """Where servers are that run already, by the names that the graph has for them."""


@dataclass(frozen=True, slots=True)
class Version:
    """A predictor that runs: its units, the time a call may take, and what is started for it."""

    predictor: Predictor
    tree: SeldonUnit
    timeout_s: float | None
    call_timeout_s: float | None = None
    plan: RunPlan = field(default_factory=lambda: RunPlan((), ()))

    @property
    def mode(self) -> Mode:
        """Who stands before the units on a cluster."""
        if stands_alone(self.predictor):
            return "unit"
        return "lenient" if ENGINE in self.predictor.annotations else "executor"

    @property
    def version(self) -> str | None:
        """The other name of the version, which graphc tells the units."""
        told = (each.env.get("GRAPHC_VERSIONS", "") for each in self.plan.processes)
        names = (name for each in told for name in each.split(",") if name != self.predictor.name)
        return next(names, None) or None


@dataclass(frozen=True, slots=True)
class Chosen:
    """What runs of a deployment, and how the requests are shared."""

    deployment: Deployment
    rollout: Rollout
    versions: tuple[Version, ...]

    @property
    def main(self) -> Version:
        """The version that answers most of what nothing else is asked of."""
        shares = self.rollout.ways[-1].shares
        first = max(shares, key=lambda share: share.weight).predictor
        return next(each for each in self.versions if each.predictor.name == first)

    @property
    def shadows(self) -> set[str]:
        """The names of the predictors that only get copies."""
        return {each.predictor for each in self.rollout.mirrors}


class Run:
    """Brings the artefacts, starts the units, serves, and ends all of it."""

    def __init__(
        self,
        chosen: Chosen,
        options: RunOptions,
        console: RunConsole,
        observer: Observer | None,
        follow: Follow | None = None,
    ) -> None:
        self.console = console
        self.serving = False
        self._chosen, self._options, self._observer, self._follow = chosen, options, observer, follow
        self._versions: Versions | None = None
        self._lost: asyncio.Future[Failure] = asyncio.get_running_loop().create_future()

    async def run(self) -> int:
        """Serve until a live unit gives up, or for one request."""
        async with AsyncExitStack() as stack:
            # Closed last: the ends of the units and the last answers are still told.
            if self._observer is not None:
                stack.callback(self._observer.close)
            if problem := await self._fetch():
                return self._fail(problem)
            if self._options.logs:
                # Ended after the units: their last lines are shown too.
                logs = {each.title: each.log for each in self._processes}
                stack.push_async_callback(_cancel, asyncio.create_task(follow_logs(logs, self.console.say)))
            shadows = {
                each.predictor.name: await stack.enter_async_context(self._supervise([each]))
                for each in self._chosen.versions
                if each.predictor.name in self._chosen.shadows
            }
            live = [each for each in self._chosen.versions if each.predictor.name not in self._chosen.shadows]
            supervisor = await stack.enter_async_context(self._supervise(live))
            failure = await self._wait_ready(supervisor, [*shadows.values()])
            if failure:
                return self._fail(str(failure))
            for name, each in shadows.items():
                watching = asyncio.create_task(self._watch_shadow(name, each))
                stack.push_async_callback(_cancel, watching)
            return await self._serve(supervisor)

    async def _fetch(self) -> str | None:
        for fetch in (fetch for each in self._chosen.versions for fetch in each.plan.fetches):
            with self.console.waiting(f"fetching the artefact of `{fetch.unit}`"):
                problem = await _fetch(fetch.argv, fetch.env)
            if problem:
                return f"unit `{fetch.unit}` lacks its artefact: {problem}"
        return None

    @property
    def _processes(self) -> list[UnitProcess]:
        return [process for each in self._chosen.versions for process in each.plan.started]

    def _supervise(self, versions: Sequence[Version]) -> Supervisor:
        processes = [process for each in versions for process in each.plan.started]
        return Supervisor(processes, self.console.say, Patience())

    async def _wait_ready(self, live: Supervisor, shadows: Sequence[Supervisor]) -> Failure | None:
        count = sum(len(each.plan.processes) for each in self._chosen.versions)
        servers = sum(len(each.plan.servers) for each in self._chosen.versions)
        beside = f" and {servers} server{'s' if servers != 1 else ''}" if servers else ""
        with self.console.waiting(f"starting {count} unit{'s' if count != 1 else ''}{beside}"):
            waiting = [asyncio.create_task(each.wait_ready()) for each in shadows]
            try:
                failure = await live.wait_ready()
                if failure is None and waiting:
                    await asyncio.wait(waiting, timeout=SHADOW_SECONDS)
                return failure
            finally:
                for task in waiting:
                    await _cancel(task)

    async def _watch_shadow(self, name: str, shadow: Supervisor) -> None:
        """Say that a shadow has given up; no client waits for its answers, unless it was promoted meanwhile."""
        failure = await shadow.watch()
        if self._versions is not None and name in self._versions.live:
            if not self._lost.done():
                self._lost.set_result(failure)
            return
        self.console.say(f"warning: {failure}\nthe run goes on without this shadow")

    async def _serve(self, supervisor: Supervisor) -> int:
        options, chosen = self._options, self._chosen
        signatures = {each.predictor.name: await self._describe(each) for each in chosen.versions}
        trees = {
            each.predictor.name: Tree(
                bind_units(each.tree, each.plan.processes),
                _graph(signatures[each.predictor.name]),
                each.timeout_s,
                each.call_timeout_s,
                "lenient" if options.lenient else each.mode,
                each.version,
            )
            for each in chosen.versions
        }
        # A seed makes a run repeatable; nothing here is a secret.
        chooser = Chooser(chosen.deployment.name, chosen.rollout, random.Random(options.seed))
        try:
            limits = read_limits()
        except LimitError as problem:
            return self._fail(str(problem))
        units = UnitMetrics(
            {
                each.predictor.name: [process.ports.metrics for process in each.plan.processes]
                for each in chosen.versions
            }
        )
        versions = Versions(trees, chooser, self._observer, limits=limits, say=self.console.say, units=units)
        listener = Listener(options.host, options.port, options.grpc_port, limits)
        versions.start()
        self._versions = versions
        following: asyncio.Task[None] | None = None
        try:
            await listener.start(versions.rest, versions.calls, versions.below)
            self.serving = True
            if self._follow is not None:
                following = asyncio.create_task(self._follow(versions.share))
                following.add_done_callback(self._followed)
            return await self._answer(supervisor, listener, signatures)
        except OSError as failure:
            return self._fail(f"cannot listen: {failure.strerror or failure}")
        finally:
            if following is not None:
                await _cancel(following)
            await listener.stop(versions.grace_s)
            await versions.stop()

    def _followed(self, following: asyncio.Task[None]) -> None:
        fault = None if following.cancelled() else following.exception()
        if fault is not None:
            self.console.say(
                f"warning: the file is followed no more: {note_fault('following the file', fault)}"
            )

    async def _describe(self, version: Version) -> Signature:
        tree = bind_units(version.tree, version.plan.processes)
        return await describe_graph(self._chosen.deployment.name, tree, version.plan.processes)

    async def _answer(
        self, supervisor: Supervisor, listener: Listener, signatures: Mapping[str, Signature]
    ) -> int:
        url = self._summarise(listener, signatures)
        options = self._options
        if options.request is not None or options.inputs:
            problem = await (
                send_inputs(url, options.inputs)
                if options.request is None
                else send_request(url, options.request)
            )
            if problem:
                self.console.say(f"error: {problem}")
            if self._options.once:
                return 1 if problem else 0
        elif self._options.once:
            return 0
        return self._fail(str(await self._watch(supervisor)))

    async def _watch(self, supervisor: Supervisor) -> Failure:
        """Return when a unit that clients need has died too often."""
        watching = asyncio.create_task(supervisor.watch())
        try:
            done, _ = await asyncio.wait({watching, self._lost}, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            await _cancel(watching)

    def _fail(self, message: str) -> int:
        self.console.say(f"error: {message}")
        return 1

    def _summarise(self, listener: Listener, signatures: Mapping[str, Signature]) -> str:
        """Say what runs and where; return the URL that answers what nothing else is asked of."""
        rows = [
            (each.title, str(each.ports.http), str(each.ports.grpc), str(each.ports.metrics))
            for each in self._processes
        ]
        self.console.table(("unit", "http", "grpc", "metrics"), rows)
        if len(self._chosen.versions) > 1:
            self.console.say(describe_rollout(self._chosen.rollout))
        main = self._chosen.main
        signature = signatures[main.predictor.name]
        path = infer_path(main.tree, signature, foreign=_are_foreign(main.plan.processes))
        first = self._chosen.rollout.ways[-1].match.path
        base = f"http://{self._options.host}:{listener.http_port}"
        url = f"{base}{f'/{first}' if first else ''}{path}"
        self.console.say(f"{signature.name}: {url}")
        self.console.say(f"gRPC: grpc://{self._options.host}:{listener.grpc_port}/{signature.name}")
        self.console.say(f"metrics: {base}/metrics")
        if logs := common_place([each.log for each in self._processes]):
            self.console.say(f"logs: {logs}")
        if body := make_example(signature.inputs):
            self.console.say(write_curl(url, body))
        return url


def _graph(signature: Signature) -> ServedGraph:
    return ServedGraph(signature.name, signature.to_metadata())


def common_place(logs: Sequence[Path]) -> str:
    """Return where logs are: one path, or a pattern that a shell makes them of."""
    parts = [each.parts for each in logs]
    if len({len(each) for each in parts}) != 1:
        return ""
    common = (next(iter(each)) if len(each) == 1 else "*" for each in map(set, zip(*parts, strict=True)))
    return str(Path(*common))


def _are_foreign(processes: Sequence[UnitProcess]) -> bool:
    return not any(REGION in each.env for each in processes)


async def _cancel(task: "asyncio.Task[object]") -> None:
    task.cancel()
    # What it ended of has been told where it ended.
    await asyncio.wait({task})


async def _fetch(argv: Sequence[str], env: Mapping[str, str]) -> str | None:
    process = await asyncio.create_subprocess_exec(
        *argv, env=dict(env), stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    if process.returncode == 0:
        return None
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else f"exit status {process.returncode}"
