"""Images that podman builds over a base that debootstrap makes, and pods of a manifest that run from them.

Images come from no registry: what stands for the base of the Dockerfiles is a Debian with the Python that they name. It
stays in the user's cache folder with the layers that were built over it, so that only a first build takes minutes.
"""

import base64
import fcntl
import os
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from graphc.runtime_image import read_image
from graphc.unchecked import Data, fields, items, objects, text

TOOLS: Final = ("podman", "runc", "debootstrap")
SUITE: Final = "bookworm"
BASE: Final = f"docker.io/library/python:{read_image().python}-slim"
PATH: Final = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
STATE: Final = Path("/run/graphc-tests")
PROCESSES: Final = 4096
BUILD_S: Final = 1500
START_S: Final = 120
END_S: Final = 90

RESTRICTED: Final[Data] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What every container of ours asks for; podman's own seccomp profile is the runtime's default."""

CONFINED: Final = (
    "--security-opt=no-new-privileges",
    "--cap-drop=ALL",
    "--read-only",
    "--read-only-tmpfs=false",
)
CONTAINER: Final = frozenset(
    {"name", "image", "command", "ports", "env", "resources", "securityContext", "volumeMounts", "lifecycle"}
    | {"startupProbe", "readinessProbe", "livenessProbe"}
)
"""The fields of a container that are kept to here, or bear on a cluster alone."""

POD: Final = frozenset(
    {
        "automountServiceAccountToken",
        "initContainers",
        "containers",
        "volumes",
        "terminationGracePeriodSeconds",
    }
)


def find_missing() -> str | None:
    """Return why no image can be built and run here; None where it can."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"images are built and run by {', '.join(TOOLS)}; missing: {', '.join(missing)}"
    return None if os.geteuid() == 0 else "a base image is made by root alone"


@dataclass(frozen=True, slots=True)
class Images:
    """A store of images, apart from the machine's own."""

    root: Path

    def podman(self, *words: str | Path) -> list[str]:
        """Return the command line."""
        own = (
            "--root",
            self.root,
            "--runroot",
            STATE / "run",
            "--tmpdir",
            STATE / "tmp",
            "--runtime",
            "runc",
        )
        return [
            "podman",
            *map(str, own),
            "--cgroup-manager=cgroupfs",
            "--events-backend=none",
            *map(str, words),
        ]

    def ask(self, *words: str | Path, timeout: float = 120) -> str:
        """Return what podman says to a command that has to succeed."""
        done = subprocess.run(self.podman(*words), capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, (words, done.stdout[-3000:], done.stderr[-3000:])
        return done.stdout

    def build(self, tag: str, folder: Path, dockerfile: Path) -> None:
        """Build an image in a folder, where packages come from the index that this machine's pip asks."""
        lent = [
            f"--volume={each}:{each}:ro"
            for each in ("/etc/ssl/certs", "/etc/pip.conf")
            if Path(each).exists()
        ]
        options = ("--isolation=chroot", "--network=host", "--pull-never", "--layers", *lent)
        self.ask("build", *options, "-f", dockerfile, "-t", tag, folder, timeout=BUILD_S)
        # Layers that no image has any longer.
        self.ask("image", "prune", "--force")


@contextmanager
def open_images(scratch: Path) -> Generator[Images]:
    """Lend the store that tests keep, with the base of the Dockerfiles, which is made the first time."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "graphc-tests"
    cache.mkdir(parents=True, exist_ok=True)
    images = Images(cache / "images")
    with (cache / "images.lock").open("w") as lock:
        # Other runs build other images under the same names.
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = subprocess.run(images.podman("image", "exists", BASE), capture_output=True, timeout=120)
        if known.returncode:
            _make_base(images, scratch / "base")
        yield images


def _make_base(images: Images, folder: Path) -> None:
    includes = "--include=python3,python3-venv,ca-certificates"
    _run("debootstrap", "--variant=minbase", includes, SUITE, folder)
    # As in the image that it stands for: `python` and `pip` in /usr/local, which nothing but pip writes to.
    _run("chroot", folder, "/usr/bin/python3", "-m", "venv", "/usr/local")
    _run("chroot", folder, "apt-get", "clean")
    version = _run("chroot", folder, "/usr/local/bin/python", "--version").split()[1]
    assert version.startswith(f"{read_image().python}."), f"{SUITE} has Python {version}"
    dockerfile = folder.parent / "base.Dockerfile"
    dockerfile.write_text(f"FROM scratch\nCOPY . /\nENV PATH={PATH}\n")
    images.build(BASE, folder, dockerfile)
    shutil.rmtree(folder)


def _run(*words: str | Path) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=BUILD_S)
    assert done.returncode == 0, (words, done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout


# --- Pods ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of one unit under way."""

    http: int
    grpc: int


@contextmanager
def run_pod(
    images: Images, manifest: Sequence[Data], folder: Path, user: str | None = None
) -> Generator[Pod]:
    """Run the one pod of a manifest as kubelet would, on this machine's loopback, and end it.

    `user` is whom a namespace, or an installation of Seldon's, has containers run as in place of the image's own.
    """
    (deployment,) = (each for each in manifest if each["kind"] == "SeldonDeployment")
    (predictor,) = objects(deployment, "spec", "predictors")
    (component,) = objects(predictor, "componentSpecs")
    spec = fields(component, "spec")
    assert set(spec) <= POD, set(spec) - POD
    (container,) = objects(spec, "containers")
    volumes = dict(_lay_volumes(manifest, spec, folder))
    ports: dict[str, int] = dict(zip(("http", "grpc", "metrics"), _free_ports(), strict=True))
    for each in objects(spec, "initContainers"):
        done = subprocess.run(_command(images, each, volumes, user), capture_output=True, timeout=START_S)
        assert done.returncode == 0, (text(each, "name"), done.stdout[-3000:], done.stderr[-3000:])
    variables = dict(_operators_variables(predictor, container, ports))
    command = _command(images, container, volumes, user, variables)
    with ExitStack() as stack:
        log = folder / "log"
        output = stack.enter_context(log.open("wb"))
        process = subprocess.Popen(command, stdout=output, stderr=output)
        stack.callback(_end, images, process, container, log)
        _await_ready(process, log, f"http://127.0.0.1:{ports['http']}{_probe(container)}")
        yield Pod(ports["http"], ports["grpc"])


def _lay_volumes(manifest: Sequence[Data], spec: Data, folder: Path) -> Iterator[tuple[str, Path]]:
    maps = {text(each, "metadata", "name"): each for each in manifest if each["kind"] == "ConfigMap"}
    for volume in objects(spec, "volumes"):
        name = text(volume, "name")
        place = folder / "volumes" / name
        place.mkdir(parents=True)
        if "emptyDir" in volume:
            place.chmod(0o777)
        else:
            source = fields(volume, "configMap")
            held = maps[text(source, "name")]
            # kubelet keeps the files in a folder of their own, that another one can replace at once.
            (place / "..1").mkdir()
            (place / "..data").symlink_to("..1")
            for item in objects(source, "items"):
                path = Path(text(item, "path"))
                assert len(path.parts) == 1
                coded = text(held, "binaryData", text(item, "key"))
                plain = text(held, "data", text(item, "key"))
                (place / "..1" / path).write_bytes(base64.b64decode(coded) or plain.encode())
                (place / path).symlink_to(Path("..data") / path)
        yield name, place


def _free_ports() -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _operators_variables(
    predictor: Data, container: Data, ports: dict[str, int]
) -> Iterable[tuple[str, str]]:
    yield "PREDICTOR_ID", text(predictor, "name")
    yield "PREDICTIVE_UNIT_ID", text(container, "name")
    yield "MLSERVER_MODEL_NAME", text(container, "name")
    for name, port in ports.items():
        yield f"MLSERVER_{name.upper()}_PORT", str(port)
    # Not the operator's: here a pod has the machine's own network.
    yield "MLSERVER_HOST", "127.0.0.1"


def _command(
    images: Images,
    container: Data,
    volumes: dict[str, Path],
    user: str | None,
    more: dict[str, str] | None = None,
) -> list[str]:
    assert set(container) <= CONTAINER, set(container) - CONTAINER
    assert container["securityContext"] == RESTRICTED
    variables = {text(each, "name"): text(each, "value") for each in objects(container, "env")} | (more or {})
    words = ["run", "--rm", "--pull=never", "--network=host", "--log-driver=none", *CONFINED]
    # As a cluster has it: nothing of this machine's proxies, and no user but by a number.
    words += ["--http-proxy=false", "--passwd=false", f"--name={_name(container)}"]
    # Else podman asks for more than a machine may give.
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    words += [f"--ulimit=nofile={files}:{files}", f"--ulimit=nproc={PROCESSES}:{PROCESSES}"]
    words += [f"--user={user}"] if user else []
    words += [f"--env={name}={value}" for name, value in variables.items()]
    for mount in objects(container, "volumeMounts"):
        mode = "ro" if mount.get("readOnly") is True else "rw"
        words.append(f"--volume={volumes[text(mount, 'name')]}:{text(mount, 'mountPath')}:{mode}")
    program, *arguments = map(str, items(container, "command") or [""])
    words += [f"--entrypoint={program}"] if program else []
    return images.podman(*words, text(container, "image"), *arguments)


def _name(container: Data) -> str:
    return f"graphc-tests-{os.getpid()}-{text(container, 'name')}"


def _probe(container: Data) -> str:
    return text(container, "startupProbe", "httpGet", "path")


def _await_ready(process: subprocess.Popen[bytes], log: Path, url: str) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(log.read_text(errors="replace")[-3000:])


def _end(images: Images, process: subprocess.Popen[bytes], container: Data, log: Path) -> None:
    """End a container as kubelet does, which has to be its own doing."""
    try:
        if process.poll() is None:
            first = items(container, "lifecycle", "preStop", "exec", "command")
            images.ask("exec", _name(container), *map(str, first))
            process.terminate()
        assert process.wait(END_S) == 0, log.read_text(errors="replace")[-3000:]
    finally:
        subprocess.run(
            images.podman("rm", "--force", "--ignore", "--time=0", _name(container)), capture_output=True
        )
        process.wait(END_S)
