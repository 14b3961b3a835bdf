"""Start, on this machine, the servers of other frameworks that run beside units in a pod.

Only what graphc wrote is started, and only by the commands that it knows of each kind: a manifest cannot have this
machine run what it likes.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from graphc_components.servers import SERVERS, place_variable

from graphc.regular_files import read_regular
from graphc.run.environment import Surroundings, base_environment, check_words, container_environment
from graphc.run.mounts import lay_mounts
from graphc.run.plan import HOST, UnitProcess, Workplace, free_ports
from graphc.run.problem import Findings, say_failure
from graphc.run.servers import is_server
from graphc.run.signature import has_region, load_region
from graphc.run.volumes import PodVolumes
from graphc.seldon.deployment import Container, Pod, Predictor
from graphc.server_start import CONTAINER, KIND, MODELS_CONFIG, ServerPorts, Started, start_server
from graphc.unchecked import objects, text

_INSTALL: Final = {
    "mlserver": "pip install mlserver, and the runtime of the model, into an environment whose `bin` is on PATH",
    "tritonserver": "have Triton's `tritonserver` on PATH; docs/servers.md says how nvidia-pytriton brings one along",
    "tensorflow_model_server": "install TensorFlow Serving's `tensorflow_model_server`",
    "torchserve": "pip install torchserve torch numpy, and Java 17, into an environment whose `bin` is on PATH",
    "bentoml": "pip install bentoml, and what the service imports, into an environment whose `bin` is on PATH",
}


def plan_servers(
    predictor: Predictor, place: Workplace, around: Surroundings, at: Mapping[str, str], findings: Findings
) -> tuple[tuple[UnitProcess, ...], dict[str, str]]:
    """Return what to start beside the units of a predictor, and the variables that tell units where that is.

    `at` are the URLs of servers that run already, by the names that the graph has for them.
    """
    variables = {place_variable(name): url for name, url in at.items()}
    processes = list[UnitProcess]()
    for index, (pod, container, kind) in enumerate(_find_servers(predictor, findings)):
        name = container.name.removeprefix(CONTAINER)
        if name in at:
            continue
        try:
            process = _plan(pod, container, kind, index, place, around, findings)
        except (OSError, ValueError) as failure:
            findings.refuse(f"server `{name}` cannot be prepared: {say_failure(failure)}")
            continue
        if process is not None:
            processes.append(process)
            variables[place_variable(name)] = f"http://127.0.0.1:{process.ports.http}"
    return tuple(processes), variables


def _find_servers(predictor: Predictor, findings: Findings) -> Iterator[tuple[Pod, Container, str]]:
    seen: set[str] = set()
    for pod, container in predictor.containers():
        kinds = [each.text("value") for each in container.env if each.text("name") == KIND]
        if not is_server(container) or container.name in seen:
            continue
        # Pods of one predictor that have the same server share one process here.
        seen.add(container.name)
        if kinds[0] in SERVERS:
            yield pod, container, kinds[0]
        else:
            findings.refuse(f"container `{container.name}` is a server of a kind that graphc does not know")


def _plan(
    pod: Pod,
    container: Container,
    kind: str,
    index: int,
    place: Workplace,
    around: Surroundings,
    findings: Findings,
) -> UnitProcess | None:
    name = container.name.removeprefix(CONTAINER)
    ports, more = free_ports(2, place.taken)
    home = place.root / "servers" / str(index)
    volumes = PodVolumes(pod, place.root / "volumes" / f"server-{index}", place.sources, findings)
    mounts = lay_mounts(container, home / "root", volumes)
    folder = str(mounts.place(mounts.paths[0])) if mounts.paths else str(home)
    spare = (more.http, more.grpc, more.metrics)
    started = start_server(kind, ServerPorts(ports.http, ports.grpc, ports.metrics, HOST, spare), folder)
    if not _is_known(container, started):
        hint = f"start it yourself, and say where it is: `--at {name}=URL`"
        findings.refuse(f"server `{name}` is started by its image alone, which does not run here", hint)
        return None
    program = shutil.which(started.command[0])
    if program is None:
        message = f"server `{name}` is started by `{started.command[0]}`, which is not installed here"
        install = _INSTALL.get(started.command[0], "install it")
        findings.refuse(message, f"{install}; or say where one runs: `--at {name}=URL`")
        return None
    for part in ("work", "tmp"):
        (home / part).mkdir(parents=True, exist_ok=True)
    if kind == "tensorflow":
        _move_configuration(Path(folder), mounts.paths, home / "work")
    for file, written in started.files.items():
        (home / "work" / file).write_text(written)
    env = container_environment(container, {}, around, findings)
    own = base_environment(around.exported) | {each: mounts.translate(value) for each, value in env.items()}
    # TorchServe has one file of its process id in the folder for temporary files, and takes no second server.
    own |= {**started.env, "MLSERVER_METRICS_DIR": str(home / "tmp"), "TMPDIR": str(home / "tmp")}
    argv = (program, *started.command[1:])
    check_words(argv, own)
    ready = container.node.child("readinessProbe").child("httpGet").text("path")
    return UnitProcess(container.name, argv, own, home / "work", home / "log", ports, ready=ready)


def _move_configuration(folder: Path, paths: Sequence[str], work: Path) -> None:
    """Write TensorFlow Serving's configuration, whose absolute paths are the container's, for this machine."""
    text = read_regular(folder / MODELS_CONFIG).decode()
    for path in paths:
        text = text.replace(f'"{path}/', f'"{folder}/')
    (work / MODELS_CONFIG).write_text(text)


def _is_known(container: Container, started: Started) -> bool:
    """Say whether a container runs the command that graphc gives its kind."""
    return bool(started.command) and not container.args and container.command[:1] == started.command[:1]


def with_variables(process: UnitProcess, variables: Mapping[str, str]) -> UnitProcess:
    """Return a unit's process that is told where servers are."""
    return replace(process, env={**process.env, **variables}) if variables else process


def check_names(processes: Sequence[UnitProcess], at: Mapping[str, str], findings: Findings) -> None:
    """Refuse a URL for a server that no unit asks."""
    asked = {name for each in processes for name in _names_asked(each.env)}
    for name in at:
        if name not in asked:
            listed = ", ".join(f"`{each}`" for each in sorted(asked)) or "none"
            findings.refuse(f"`--at` names `{name}`, which no unit asks", f"they ask {listed}")


def _names_asked(env: Mapping[str, str]) -> Iterator[str]:
    for node in objects(load_region(env), "nodes") if has_region(env) else ():
        if text(node, "kind") == "server":
            yield text(node, "at")
