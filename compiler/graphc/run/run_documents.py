"""`graphc run`: bring the artefacts, start the units, put the engine in front, and end all of it cleanly."""

import asyncio
import importlib.util
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Final

from graphc.compare.observer import Observer
from graphc.engine.tree import MAX_UNITS, TreeProblem, read_predictor_tree, timeout_of
from graphc.rollout.read_rollout import read_rollout
from graphc.rollout.shares import ALL, Match, Rollout, Share, Way
from graphc.run.console import RunConsole
from graphc.run.environment import Surroundings
from graphc.run.following import Source
from graphc.run.load import Loaded
from graphc.run.manifest import choose_predictors, read_manifest
from graphc.run.plan import RunPlan, Workplace, plan_run
from graphc.run.problem import Findings, say_reason
from graphc.run.pythons import find_pythons
from graphc.run.running import Chosen, Follow, Fresh, Run, RunOptions, Version, Watch
from graphc.run.servers_beside import check_names, plan_servers, with_variables
from graphc.run.volumes import Sources
from graphc.run.watching import Stamps, Watcher, stamp_files
from graphc.seldon.deployment import Deployment, Predictor

INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class Changing:
    """What a run needs to take over changes of its files: how they are read, and who hears of the answers."""

    source: Source
    observe: Callable[[Loaded], Observer | None]


def run_documents(
    loaded: Loaded,
    options: RunOptions,
    console: RunConsole,
    observe: Callable[[], Observer | None] = lambda: None,
    follow: Follow | None = None,
    changing: Changing | None = None,
) -> int:
    """Run a manifest until it is interrupted; return the exit code.

    The answers are told to what `observe` returns, which is asked once nothing stands in the way of the run.
    """
    findings = Findings()
    # Before anything is laid out: what changes meanwhile is taken over later.
    since = stamp_files(changing.source, loaded) if changing is not None else {}
    with tempfile.TemporaryDirectory(prefix="graphc-run-", ignore_cleanup_errors=True) as folder:
        root = Path(folder).resolve()
        chosen = _prepare(loaded, root, options, console, findings, is_first=True)
        if code := report_findings(findings, console):
            return code
        assert chosen is not None, "what is not chosen was refused"
        observer = observe()
        watch = None if changing is None else _make_watch(changing, loaded, since, root, options, console)
        return asyncio.run(_run_until_signal(lambda: Run(chosen, options, console, observer, follow, watch)))


def _prepare(
    loaded: Loaded,
    root: Path,
    options: RunOptions,
    console: RunConsole,
    findings: Findings,
    *,
    is_first: bool = False,
) -> Chosen | None:
    """Lay out what a run starts below a folder; what stands in its way goes to `findings`."""
    manifest = read_manifest(loaded.documents, findings)
    chosen = _choose(manifest.deployments, options, findings)
    if is_first:
        _check_machine(options, findings)
    if chosen is None or findings.problems:
        return None
    names = {version.predictor.name for version in chosen.versions}
    required = {name: each for name, each in loaded.requirements.items() if name in names}
    pythons = find_pythons(required, console, findings)
    if findings.problems:
        return None
    taken = set[int]()
    planned: list[Version] = []
    for index, version in enumerate(chosen.versions):
        files = loaded.overrides.get(version.predictor.name, {})
        sources = Sources(manifest.config_maps, options.claims, files, loaded.folders)
        place = Workplace(root / str(index), sources, os.environ, taken)
        planned.append(replace(version, plan=_plan(version, chosen, place, options.at, findings)))
    check_names([process for each in planned for process in each.plan.processes], options.at, findings)
    return replace(chosen, versions=tuple(_with_python(each, pythons) for each in planned))


def _make_watch(
    changing: Changing, first: Loaded, since: Stamps, root: Path, options: RunOptions, console: RunConsole
) -> Watch:
    """Return what has a run take over changes, each in a folder of its own."""
    numbers = count(1)

    def prepare(loaded: Loaded) -> Fresh | None:
        place, findings = root / f"change-{next(numbers)}", Findings()
        chosen = _prepare(loaded, place, options, console, findings)
        if report_findings(findings, console) or chosen is None:
            remove(place)
            return None
        return Fresh(chosen, changing.observe(loaded), lambda: remove(place))

    def remove(place: Path) -> None:
        shutil.rmtree(place, ignore_errors=True)

    async def watch(run: Run) -> None:
        await Watcher(changing.source, first, prepare, run.replace, run.share, console.say, since).watch()

    return watch


def _with_python(version: Version, pythons: Mapping[str, Path]) -> Version:
    """Have the units of a version run in the Python that has what the graph requires."""
    python = pythons.get(version.predictor.name)
    if python is None:
        return version
    moved = (replace(each, argv=(str(python), *each.argv[1:])) for each in version.plan.processes)
    return replace(version, plan=replace(version.plan, processes=tuple(moved)))


def _plan(
    version: Version, chosen: Chosen, place: Workplace, at: Mapping[str, str], findings: Findings
) -> RunPlan:
    plan = plan_run(chosen.deployment, version.predictor, place, findings)
    around = Surroundings(chosen.deployment.namespace, place.sources.config_maps, place.exported)
    servers, variables = plan_servers(version.predictor, place, around, at, findings)
    processes = [with_variables(each, variables) for each in plan.processes]
    name = version.predictor.name if len(chosen.versions) > 1 else ""
    return replace(
        plan,
        processes=tuple(replace(each, predictor=name) for each in processes),
        servers=tuple(replace(each, predictor=name) for each in servers),
    )


def _choose(deployments: Sequence[Deployment], options: RunOptions, findings: Findings) -> Chosen | None:
    if len(deployments) > 1:
        names = ", ".join(f"`{each.name}`" for each in deployments)
        findings.refuse(f"there are several SeldonDeployments: {names}", "run one at a time")
    if findings.problems:
        return None
    (deployment,) = deployments
    predictors = choose_predictors(deployment, options.predictor, findings)
    places = {id(each): f"spec.predictors[{index}]" for index, each in enumerate(deployment.predictors)}
    read = (_read_version(deployment, each, places[id(each)], findings) for each in predictors)
    versions = [version for version in read if version is not None]
    if sum(len(version.predictor.units) for version in versions) > MAX_UNITS:
        findings.refuse(f"`{deployment.name}` has more than {MAX_UNITS} units")
    rollout = _read_rollout(deployment, options.predictor, findings)
    if rollout is None or findings.problems:
        return None
    return Chosen(deployment, rollout, tuple(versions))


def _read_version(
    deployment: Deployment, predictor: Predictor, place: str, findings: Findings
) -> Version | None:
    tree = read_predictor_tree(predictor.node, place)
    if isinstance(tree, TreeProblem):
        findings.refuse(str(tree))
        return None
    timeout_s, call_timeout_s = (
        timeout_of(deployment, predictor, "rest"),
        timeout_of(deployment, predictor, "grpc"),
    )
    return Version(predictor, tree, timeout_s, call_timeout_s)


def _read_rollout(deployment: Deployment, alone: str | None, findings: Findings) -> Rollout | None:
    if alone is not None:
        return Rollout((Way(Match(), (Share(alone, ALL),)),))
    try:
        return read_rollout(deployment)
    except ValueError as problem:
        findings.refuse(str(problem))
        return None


def _check_machine(options: RunOptions, findings: Findings) -> None:
    if importlib.util.find_spec("mlserver") is None:
        findings.refuse("units run on MLServer, which is not installed here", "pip install mlserver")
    try:
        options.host.encode("idna")
    except UnicodeError:
        findings.refuse(f"cannot listen at {options.host}: it is not the name of a host")
        return
    # The address is tried before units are started, even where ports are given.
    for port in sorted({options.port, options.grpc_port}):
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        try:
            with socket.socket(family) as probe:
                # As the servers do: a port that was left a moment ago is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((options.host, port))
        except OSError as failure:
            where = f"{options.host}:{port}" if port else options.host
            findings.refuse(f"cannot listen at {where}: {say_reason(failure)}")


def report_findings(findings: Findings, console: RunConsole) -> int:
    """Say what was found; return the exit code, 1 where something stops the run."""
    for warning in findings.warnings:
        console.say(f"warning: {warning}")
    for problem in findings.problems:
        console.say(f"error: {problem}")
    return 1 if findings.problems else 0


async def _run_until_signal(make: Callable[[], Run]) -> int:
    run, stopped = make(), asyncio.Event()
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
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Once more, and requests in flight are not waited for.
        loop.add_signal_handler(number, running.cancel)
    await asyncio.wait({running})
    return 0 if run.serving else INTERRUPTED
