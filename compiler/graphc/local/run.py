"""`graphc run`: bring the artefacts, start the units, put the engine in front, and end all of it cleanly."""

import asyncio
import importlib.util
import os
import signal
import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from graphc.engine.serve import Engine
from graphc.engine.tree import TreeProblem, Unit, read_timeout, read_tree
from graphc.local.console import RunConsole
from graphc.local.example import make_example, write_curl
from graphc.local.front import bind_units, describe_graph, engine_options, infer_path
from graphc.local.manifest import Deployment, Predictor, choose_predictor, read_manifest
from graphc.local.plain import Document
from graphc.local.plan import RunPlan, Workplace, plan_run
from graphc.local.problem import Findings
from graphc.local.request import send_request
from graphc.local.signature import REGION, Signature
from graphc.local.supervisor import Patience, Supervisor
from graphc.local.volumes import Sources

INTERRUPTED: Final = 130


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


@dataclass(frozen=True, slots=True)
class _Chosen:
    deployment: Deployment
    predictor: Predictor
    tree: Unit
    timeout_s: float | None


def run_documents(
    documents: Sequence[Document],
    overrides: Mapping[str, Mapping[str, Mapping[str, Path]]],
    options: RunOptions,
    console: RunConsole,
) -> int:
    """Run a manifest until it is interrupted; return the exit code."""
    findings = Findings()
    manifest = read_manifest(documents, findings)
    chosen = _choose(documents, manifest.deployments, options, findings)
    _check_machine(options, findings)
    if chosen is None or findings.problems:
        return report_findings(findings, console)
    with tempfile.TemporaryDirectory(prefix="graphc-run-", ignore_cleanup_errors=True) as folder:
        sources = Sources(manifest.config_maps, options.claims, overrides.get(chosen.predictor.name, {}))
        place = Workplace(Path(folder).resolve(), sources, os.environ)
        plan = plan_run(chosen.deployment, chosen.predictor, place, findings)
        if code := report_findings(findings, console):
            return code
        return asyncio.run(_run_until_signal(_Run(chosen, plan, options, console)))


def _choose(
    documents: Sequence[Document],
    deployments: Sequence[Deployment],
    options: RunOptions,
    findings: Findings,
) -> _Chosen | None:
    if len(deployments) > 1:
        names = ", ".join(f"`{each.name}`" for each in deployments)
        findings.refuse(f"there are several SeldonDeployments: {names}", "run one at a time")
    if findings.problems:
        return None
    if deployments[0].transport == "grpc":
        findings.warn(f"`{deployments[0].name}` calls its units over gRPC; a local run calls them over HTTP")
    predictor = choose_predictor(deployments[0], options.predictor, findings)
    if predictor is None:
        return None
    document = next(each for each in documents if each.get("kind") == "SeldonDeployment")
    tree = read_tree(document, predictor.name)
    if isinstance(tree, TreeProblem):
        findings.refuse(str(tree))
        return None
    return _Chosen(deployments[0], predictor, tree, read_timeout(document, predictor.name))


def _check_machine(options: RunOptions, findings: Findings) -> None:
    if importlib.util.find_spec("mlserver") is None:
        findings.refuse("units run on MLServer, which is not installed here", "pip install mlserver")
    for port in {options.port, options.grpc_port} - {0}:
        with socket.socket() as probe:
            # As the servers do: a port that was left a moment ago is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((options.host, port))
            except OSError as failure:
                reason = (failure.strerror or str(failure)).lower()
                findings.refuse(f"cannot listen at {options.host}:{port}: {reason}")


def report_findings(findings: Findings, console: RunConsole) -> int:
    """Say what was found; return the exit code, 1 where something stops the run."""
    for warning in findings.warnings:
        console.say(f"warning: {warning}")
    for problem in findings.problems:
        console.say(f"error: {problem}")
    return 1 if findings.problems else 0


async def _run_until_signal(run: "_Run") -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)
    running, interrupted = asyncio.create_task(run.run()), asyncio.create_task(stopped.wait())
    await asyncio.wait({running, interrupted}, return_when=asyncio.FIRST_COMPLETED)
    interrupted.cancel()
    if running.done():
        return running.result()
    run.console.say("ending the units")
    running.cancel()
    await asyncio.wait({running})
    return 0 if run.serving else INTERRUPTED


class _Run:
    """One run of one predictor."""

    def __init__(self, chosen: _Chosen, plan: RunPlan, options: RunOptions, console: RunConsole) -> None:
        self.console = console
        self.serving = False
        self._chosen, self._plan, self._options = chosen, plan, options

    async def run(self) -> int:
        """Serve until a unit gives up, or for one request."""
        for fetch in self._plan.fetches:
            with self.console.waiting(f"fetching the artefact of `{fetch.unit}`"):
                problem = await _fetch(fetch.argv, fetch.env)
            if problem:
                return self._fail(f"unit `{fetch.unit}` lacks its artefact: {problem}")
        async with Supervisor(self._plan.processes, self.console.say, Patience()) as supervisor:
            count = len(self._plan.processes)
            with self.console.waiting(f"starting {count} unit{'s' if count != 1 else ''}"):
                failure = await supervisor.wait_ready()
            return self._fail(str(failure)) if failure else await self._serve(supervisor)

    async def _serve(self, supervisor: Supervisor) -> int:
        tree = bind_units(self._chosen.tree, self._plan.processes)
        signature = await describe_graph(self._chosen.deployment.name, tree, self._plan.processes)
        options = self._options
        told = engine_options(options.host, options.port, options.grpc_port, signature)
        engine = Engine(tree, replace(told, unit_timeout_s=self._chosen.timeout_s))
        try:
            await engine.start()
        except OSError as failure:
            return self._fail(f"cannot listen: {failure.strerror or failure}")
        try:
            self.serving = True
            foreign = not any(REGION in each.env for each in self._plan.processes)
            path = infer_path(tree, signature, foreign=foreign)
            self._summarise(engine, signature, path)
            return await self._answer(supervisor, f"http://{options.host}:{engine.http_port}{path}")
        finally:
            await engine.stop()

    async def _answer(self, supervisor: Supervisor, url: str) -> int:
        if self._options.request is not None:
            problem = await send_request(url, self._options.request)
            if problem:
                self.console.say(f"error: {problem}")
            if self._options.once:
                return 1 if problem else 0
        elif self._options.once:
            return 0
        return self._fail(str(await supervisor.watch()))

    def _fail(self, message: str) -> int:
        self.console.say(f"error: {message}")
        return 1

    def _summarise(self, engine: Engine, signature: Signature, path: str) -> None:
        rows = [
            (each.unit, str(each.ports.http), str(each.ports.grpc), str(each.ports.metrics))
            for each in self._plan.processes
        ]
        self.console.table(("unit", "http", "grpc", "metrics"), rows)
        base = f"http://{self._options.host}:{engine.http_port}"
        self.console.say(f"{signature.name}: {base}{path}")
        self.console.say(f"gRPC: grpc://{self._options.host}:{engine.grpc_port}/{signature.name}")
        self.console.say(f"metrics: {base}/metrics")
        if body := make_example(signature.inputs):
            self.console.say(write_curl(f"{base}{path}", body))


async def _fetch(argv: Sequence[str], env: Mapping[str, str]) -> str | None:
    process = await asyncio.create_subprocess_exec(
        *argv, env=dict(env), stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    if process.returncode == 0:
        return None
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else f"exit status {process.returncode}"
