"""Derive a local run from a predictor: one process per unit, as the operator would start its container."""

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from graphc.run.brought import Fetch, plan_init_containers, plan_model
from graphc.run.environment import (
    Ports,
    Surroundings,
    base_environment,
    check_words,
    container_environment,
    operator_environment,
)
from graphc.run.mounts import Mounts, lay_mounts
from graphc.run.problem import Findings, say_failure, say_reason
from graphc.run.servers import MODELS, SERVERS, WITHOUT_CONTAINER, is_server
from graphc.run.start import check_runtime, find_model_folder
from graphc.run.volumes import LABEL, PodVolumes, Sources
from graphc.seldon.deployment import Container, Deployment, Pod, Predictor
from graphc.seldon.unit import SHARED, SeldonUnit
from graphc.server_start import ARTEFACTS

HOST: Final = "127.0.0.1"
START_MLSERVER: Final = "from mlserver.cli import main; main()"
"""What the `mlserver` command does, in this very interpreter."""
OWN_REPOSITORY: Final = "graphc_runtimes.RegionRepository"


@dataclass(frozen=True, slots=True)
class UnitProcess:
    """One MLServer to start: `env` is the whole environment, `ports` are those that it says."""

    unit: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path
    log: Path
    ports: Ports
    is_ours: bool = False
    """Whether it runs graphc's runtime, and nothing else, on the folder that ends `argv`."""
    ready: str = ""
    """The path that answers 200 once it serves; as units have it where there is none."""
    predictor: str = ""
    """Its predictor, where several run; every predictor has its own units, of the same names."""

    @property
    def title(self) -> str:
        """What messages call the unit."""
        return f"{self.predictor}/{self.unit}" if self.predictor else self.unit


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a local run starts: first the fetches, then all processes at once."""

    processes: tuple[UnitProcess, ...]
    fetches: tuple[Fetch, ...]
    servers: tuple[UnitProcess, ...] = ()
    """Servers of other frameworks, beside the units."""

    @property
    def started(self) -> tuple[UnitProcess, ...]:
        """Everything that is kept alive: units, and the servers that they ask."""
        return (*self.processes, *self.servers)


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where a run keeps its files, and what it takes from the user's machine."""

    root: Path
    sources: Sources
    exported: Mapping[str, str]
    taken: set[int] = field(default_factory=set[int])
    """Ports that others of the same run will listen on."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """A unit with the container, the pod's volumes and the ports that are its own."""

    unit: SeldonUnit
    container: Container
    volumes: PodVolumes
    ports: Ports
    home: Path


def free_ports(count: int, taken: set[int] | None = None) -> list[Ports]:
    """Return that many triples of free ports, all distinct; they are added to those taken."""
    taken = set() if taken is None else taken
    sockets, numbers = list[socket.socket](), list[int]()
    try:
        while len(numbers) < count * 3:
            sockets.append(socket.socket())
            sockets[-1].bind((HOST, 0))
            number = int(sockets[-1].getsockname()[1])
            if number not in taken:
                numbers.append(number)
    finally:
        for each in sockets:
            each.close()
    taken.update(numbers)
    return [Ports(*numbers[index : index + 3]) for index in range(0, len(numbers), 3)]


def find_container(predictor: Predictor, unit: SeldonUnit) -> tuple[Pod, Container] | None:
    """Return the pod and container that run a unit; a prepackaged server may have none written down."""
    if found := predictor.place_of(unit.name):
        return found[0], _with_image(found[1], unit)
    if unit.implementation in SERVERS:
        return Pod(), _with_image(Container(unit.name), unit)
    return None


def _with_image(container: Container, unit: SeldonUnit) -> Container:
    server = SERVERS.get(unit.implementation)
    return replace(container, image=server.image) if server and not container.image else container


def plan_run(deployment: Deployment, predictor: Predictor, place: Workplace, findings: Findings) -> RunPlan:
    """Lay out the volumes below the run's root and return what to start; obstacles go to `findings`."""
    try:
        placed = _place_units(predictor, place, findings)
    except OSError as failure:
        findings.refuse(f"the units cannot have ports: {say_reason(failure)}")
        return RunPlan((), ())
    around = Surroundings(deployment.namespace, place.sources.config_maps, place.exported)
    processes, fetches = list[UnitProcess](), list[Fetch]()
    for each in placed:
        operator = operator_environment(deployment, predictor, each.unit, each.container.image, each.ports)
        try:
            brought, process = _plan_unit(each, operator, around, findings)
        except (OSError, ValueError) as failure:
            # The paths, addresses and sizes are the manifest's, and the file system judges them.
            findings.refuse(f"unit `{each.unit.name}` cannot be prepared: {say_failure(failure)}")
            continue
        fetches += brought
        processes += [process] if process is not None else []
    _warn_of_others(predictor, placed, findings)
    return RunPlan(tuple(processes), tuple({fetch.argv: fetch for fetch in fetches}.values()))


def _plan_unit(
    each: _Placed, operator: Mapping[str, str], around: Surroundings, findings: Findings
) -> tuple[list[Fetch], UnitProcess | None]:
    """Lay out one unit's volumes; raises OSError and ValueError for what the manifest says and cannot be had."""
    env = container_environment(each.container, operator, around, findings)
    mounts = lay_mounts(each.container, each.home / "root", each.volumes)
    brought = plan_init_containers(each.container, each.home, each.volumes, around)
    brought += plan_model(each.unit, mounts, each.volumes, around)
    folder = find_model_folder(each.unit, each.container, mounts, env, findings)
    if folder is None:
        return brought, None
    env = _localise(env, each, mounts, around.exported)
    check_runtime(each.unit, each.container.image, folder, env, findings, brought=bool(brought))
    return brought, _make_process(each, folder, env)


def _place_units(predictor: Predictor, place: Workplace, findings: Findings) -> list[_Placed]:
    walked = (each for each in predictor.units if each.implementation not in WITHOUT_CONTAINER)
    units = {unit.name: unit for unit in walked}
    pods, placed = dict[int, PodVolumes](), list[_Placed]()
    for unit, ports in zip(units.values(), free_ports(len(units), place.taken), strict=True):
        found = find_container(predictor, unit)
        if found is None:
            findings.refuse(_say_no_container(unit))
        elif not LABEL.match(unit.name):
            findings.refuse(f"`{unit.name}` is not a unit name that a container can have")
        else:
            pod, container = found
            folder = place.root / "volumes" / str(len(pods))
            volumes = pods.setdefault(id(pod), PodVolumes(pod, folder, place.sources, findings))
            placed.append(_Placed(unit, container, volumes, ports, place.root / "units" / unit.name))
    return placed


def _say_no_container(unit: SeldonUnit) -> str:
    if unit.implementation not in {"", SHARED}:
        return f"unit `{unit.name}` is a `{unit.implementation}`, which graphc cannot run here"
    return f"unit `{unit.name}` has no container of its name"


def _warn_of_others(predictor: Predictor, placed: list[_Placed], findings: Findings) -> None:
    started = {each.container.name for each in placed}
    for _, container in predictor.containers():
        if container.name not in started and not is_server(container):
            findings.warn(f"container `{container.name}` is no unit of the graph and does not run here")


def _localise(
    env: Mapping[str, str], each: _Placed, mounts: Mounts, exported: Mapping[str, str]
) -> dict[str, str]:
    everywhere = replace(mounts, paths=(*mounts.paths, MODELS, ARTEFACTS))
    local = {name: everywhere.translate(value) for name, value in env.items()}
    below = [everywhere.translate(part) for part in env.get("PYTHONPATH", "").split(":") if part]
    # The unit starts in a folder of its own, where the user's relative paths would lead elsewhere.
    own = [str(Path(part).absolute()) for part in exported.get("PYTHONPATH", "").split(os.pathsep) if part]
    added = {
        "GRAPHC_ARTIFACTS": everywhere.translate(env.get("GRAPHC_ARTIFACTS", ARTEFACTS)),
        "MLSERVER_HOST": HOST,
        "MLSERVER_METRICS_DIR": str(each.home / "metrics"),
        "PYTHONPATH": os.pathsep.join([*below, *own]),
        "PYTHONUNBUFFERED": "1",
    }
    return base_environment(exported) | local | added


def _make_process(each: _Placed, folder: Path, env: Mapping[str, str]) -> UnitProcess:
    for name in ("work", "metrics"):
        (each.home / name).mkdir(parents=True, exist_ok=True)
    is_ours = env.get("MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION") == OWN_REPOSITORY
    start = ("-m", "graphc_runtimes") if is_ours else ("-c", START_MLSERVER, "start")
    argv = (sys.executable, *start, str(folder))
    check_words(argv, env)
    return UnitProcess(each.unit.name, argv, env, each.home / "work", each.home / "log", each.ports, is_ours)
