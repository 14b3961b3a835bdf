"""A real Kubernetes API server, built from its sources, and the programs beside it."""

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

TOOLS: Final = Path(__file__).parents[1] / "cluster" / "tools"
PACKAGES: Final = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
}
ROUTES: Final = {
    "sigs.k8s.io/gateway-api@v1.6.3": (
        "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=",
        (
            "config/crd/standard/gateway.networking.k8s.io_gateways.yaml",
            "config/crd/standard/gateway.networking.k8s.io_grpcroutes.yaml",
            "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
        ),
    ),
    "istio.io/api@v1.31.1": (
        "h1:5Yb5ihcz4YQsCkciusK7DnFpBMwRB6EFWeUKH1Atuyk=",
        ("kubernetes/customresourcedefinitions.gen.yaml",),
    ),
}
"""The Go modules, with their checksums, that hold the CRDs of routes, and the CRDs' files."""

CRD: Final = Path(__file__).parents[3] / "shared" / "seldon" / "seldondeployment-crd.json"
BUILD_SECONDS: Final = 1500
START_SECONDS: Final = 120
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


def build_programs(tools: Path, packages: Mapping[str, str]) -> Path:
    """Return the folder that holds programs of a Go module, by name, built the first time (minutes).

    `tools` holds the `go.mod` and `go.sum` that pin them. A version of Kubernetes that it requires is stamped in.
    """
    sources = hashlib.sha256(b"".join((tools / name).read_bytes() for name in ("go.mod", "go.sum")))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "graphc-tests"
    required = re.search(r"k8s\.io/kubernetes (v[\d.]+)", (tools / "go.mod").read_text())
    version = required[1] if required else ""
    folder = cache / f"{f'k8s-{version}' if version else tools.name}-{sources.hexdigest()[:8]}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / f"{folder.name}.lock").open("w") as lock:
            # Another run, or another worker of this one, may be building the same.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                _build(folder, tools, packages, version)
    return folder


def _build(folder: Path, tools: Path, packages: Mapping[str, str], version: str) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"{', '.join(packages)}: built from sources, and Go is not installed")
    _, major, minor, *_ = [*re.split(r"[v.]", version), "", ""]
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor} if version else {}
    flags = "-s -w " + " ".join(f"-X k8s.io/component-base/version.{key}={it}" for key, it in stamps.items())
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        built = Path(temporary) / "built"
        for name, package in packages.items():
            command = [
                go,
                "build",
                "-mod=readonly",
                "-trimpath",
                "-ldflags",
                flags,
                "-o",
                built / name,
                package,
            ]
            environ = os.environ | {"CGO_ENABLED": "0"}
            done = subprocess.run(
                command, cwd=tools, env=environ, capture_output=True, text=True, timeout=BUILD_SECONDS
            )
            if done.returncode:
                pytest.skip(f"{name} could not be built: {done.stderr.strip()[-300:]}")
        built.rename(folder)


@dataclass(frozen=True, slots=True)
class Server:
    """A program under way and where it writes what it has to say."""

    process: subprocess.Popen[bytes]
    log: Path

    def await_ready(self, is_ready: Callable[[], bool]) -> None:
        """Return once the server answers; fail, with its last words, if it ends or stays silent."""
        for _ in range(START_SECONDS * 5):
            if self.process.poll() is not None:
                break
            if is_ready():
                return
            time.sleep(0.2)
        pytest.fail(f"{self.log.stem} did not start:\n{self.log.read_text()[-3000:]}")


@contextmanager
def running(folder: Path, command: Sequence[str | Path]) -> Generator[Server]:
    """Run a program while the block runs; what it says goes to a log in the folder."""
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=folder)
    try:
        yield Server(process, log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_ports(count: int) -> list[int]:
    """Return ports of this machine's loopback that nobody has."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


@contextmanager
def serving(binaries: Path, folder: Path, *flags: str) -> Generator[Path]:
    """Run etcd and an API server on this machine's loopback, and give the kubeconfig that leads to it."""
    client, peer, secure = free_ports(3)
    token = secrets.token_hex(16)
    (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    config = write_kubeconfig(folder, secure, token)
    with running(folder, etcd_command(binaries, folder, client, peer)) as etcd:
        etcd.await_ready(lambda: accepts(client))
        with running(folder, [*api_server_command(binaries, folder, client, secure), *flags]) as server:
            server.await_ready(
                lambda: not kubectl_for(binaries, config)("get", "--raw", "/readyz").returncode
            )
            yield config


def is_healthy(port: int, path: str = "readyz") -> bool:
    """Say whether a program of Kubernetes that serves by a certificate of its own is well."""
    # The certificate is the program's own, and written as it starts.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/{path}", timeout=5, context=context) as answer:
            return answer.status == 200
    except OSError:
        return False


def accepts(port: int) -> bool:
    """Say whether something listens on the loopback."""
    with socket.socket() as each:
        return each.connect_ex(("127.0.0.1", port)) == 0


def etcd_command(binaries: Path, folder: Path, client: int, peer: int) -> list[str | Path]:
    """Return the command line of etcd."""
    own, others = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    return [
        binaries / "etcd",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={own}",
        f"--advertise-client-urls={own}",
        f"--listen-peer-urls={others}",
        f"--initial-advertise-peer-urls={others}",
        f"--initial-cluster=default={others}",
        "--unsafe-no-fsync",
    ]


def api_server_command(binaries: Path, folder: Path, etcd: int, port: int) -> list[str | Path]:
    """Return the command line of the API server."""
    # The server writes a key and a certificate of its own before it looks for the other keys.
    certificates = folder / "certificates"
    return [
        binaries / "kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        # A loopback address cannot be an endpoint of the service `kubernetes`, which nothing here calls.
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        f"--cert-dir={certificates}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        # As clusters have it: PodSecurity decides, not the server's validation.
        "--allow-privileged=true",
        "--service-cluster-ip-range=10.0.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={certificates / 'apiserver.key'}",
        f"--service-account-signing-key-file={certificates / 'apiserver.key'}",
        "--feature-gates=MutatingAdmissionPolicy=true",
        "--runtime-config=admissionregistration.k8s.io/v1beta1=true",
    ]


def write_kubeconfig(folder: Path, port: int, token: str) -> Path:
    """Write the file that leads to the server."""
    certificate = str(folder / "certificates" / "apiserver.crt")
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": certificate}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return path


def kubectl_for(binaries: Path, config: Path) -> Kubectl:
    """Return what runs kubectl; `text` is its standard input."""
    # kubectl keeps what it discovers in the home folder, which must not be the user's.
    environ = {"PATH": os.environ["PATH"], "HOME": str(config.parent), "KUBECONFIG": str(config)}

    def run(*arguments: str | Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [binaries / "kubectl", *arguments]
        return subprocess.run(command, input=text, env=environ, capture_output=True, text=True, timeout=120)

    return run


def await_served(kubectl: Kubectl, kind: str) -> None:
    """Return once the server serves a kind."""
    for _ in range(START_SECONDS * 5):
        if not kubectl("get", kind).returncode:
            return
        time.sleep(0.2)
    pytest.fail(f"the server took the CRD of {kind}, and does not serve them")


def install_crds(kubectl: Kubectl, modules: Mapping[str, tuple[str, Sequence[str]]], folder: Path) -> None:
    """Apply the CRDs that come inside Go modules."""
    for module, (checksum, files) in modules.items():
        source = _download(module, checksum, folder)
        for file in files:
            # A CRD is larger than what client-side apply remembers of it.
            done = kubectl("apply", "--server-side", "-f", source / file)
            assert not done.returncode, done.stderr


def _download(module: str, checksum: str, folder: Path) -> Path:
    go = shutil.which("go")
    if go is None:
        pytest.skip("these CRDs come inside Go modules, and Go is not installed")
    command = [go, "mod", "download", "-json", module]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=BUILD_SECONDS)
    if done.returncode:
        pytest.skip(f"{module} could not be downloaded: {done.stdout[-300:]}{done.stderr[-300:]}")
    told = json.loads(done.stdout)
    assert told["Sum"] == checksum
    return Path(told["Dir"])
