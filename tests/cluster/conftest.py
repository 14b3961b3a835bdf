"""A real Kubernetes API server, built from its sources, for the tests that hand manifests to it.

`pytest -m slow tests/cluster` runs them. The first build takes Go and about ten minutes of processor time; what it
makes stays in the user's cache folder, and the server then starts in seconds.
"""

import hashlib
import itertools
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
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

TOOLS: Final = Path(__file__).parent / "tools"
KUSTOMIZE: Final = Path(__file__).parent / "kustomize"
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

SCALERS: Final = {
    "github.com/kedacore/keda/v2@v2.21.0": (
        "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
        ("config/crd/bases/keda.sh_scaledobjects.yaml",),
    ),
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": (
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        ("example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",),
    ),
}
"""The same for what sets numbers of replicas by load."""

CRD: Final = Path(__file__).parents[3] / "shared" / "seldon" / "seldondeployment-crd.json"
BUILD_SECONDS: Final = 1500
START_SECONDS: Final = 120

Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def binaries() -> Path:
    """Return the folder that holds the programs of `PACKAGES`, built the first time (minutes)."""
    version = _kubernetes_version()
    sources = hashlib.sha256(b"".join((TOOLS / name).read_bytes() for name in ("go.mod", "go.sum")))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "graphc-tests"
    folder = cache / f"k8s-{version}-{sources.hexdigest()[:8]}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        _build(folder, version)
    return folder


def _kubernetes_version() -> str:
    found = re.search(r"k8s\.io/kubernetes (v[\d.]+)", (TOOLS / "go.mod").read_text())
    assert found, "tools/go.mod does not require k8s.io/kubernetes"
    return found[1]


def _build(folder: Path, version: str) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("the Kubernetes API server is built from its sources, and Go is not installed")
    _, major, minor, _ = re.split(r"[v.]", version)
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    flags = "-s -w " + " ".join(f"-X k8s.io/component-base/version.{key}={it}" for key, it in stamps.items())
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        built = Path(temporary) / "built"
        for name, package in PACKAGES.items():
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
                command, cwd=TOOLS, env=environ, capture_output=True, text=True, timeout=BUILD_SECONDS
            )
            if done.returncode:
                pytest.skip(f"{name} could not be built: {done.stderr.strip()[-300:]}")
        # Another run may have been faster; its files are the same.
        if not folder.is_dir():
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
def _running(folder: Path, command: Sequence[str | Path]) -> Generator[Server]:
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


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


@contextmanager
def _serving(binaries: Path, folder: Path, *flags: str) -> Generator[Path]:
    """Run etcd and an API server on this machine's loopback, and give the kubeconfig that leads to it."""
    client, peer, secure = _free_ports(3)
    token = secrets.token_hex(16)
    (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    config = _write_kubeconfig(folder, secure, token)
    with _running(folder, _etcd(binaries, folder, client, peer)) as etcd:
        etcd.await_ready(lambda: _accepts(client))
        with _running(folder, [*_api_server(binaries, folder, client, secure), *flags]) as server:
            server.await_ready(lambda: not _kubectl(binaries, config)("get", "--raw", "/readyz").returncode)
            yield config


@pytest.fixture(scope="session")
def kubeconfig(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start an API server, and return the file that leads to it."""
    with _serving(binaries, tmp_path_factory.mktemp("cluster")) as config:
        yield config


@pytest.fixture(scope="module")
def with_nodes(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start an API server of the module's own for nodes that are made up, and return the file that leads to it."""
    # What the controller of nodes would take away again: no kubelet ever says that a node is ready.
    flag = "--disable-admission-plugins=TaintNodesByCondition"
    with _serving(binaries, tmp_path_factory.mktemp("nodes"), flag) as config:
        yield config


@pytest.fixture(scope="module")
def scheduler(binaries: Path, with_nodes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start Kubernetes' scheduler beside an API server of its own, and return the file that leads to both."""
    folder = tmp_path_factory.mktemp("scheduler")
    (port,) = _free_ports(1)
    settings = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        # As many requests as it likes: one machine's server is no cluster's, and nothing else asks it.
        "clientConnection": {"kubeconfig": str(with_nodes), "qps": 5000, "burst": 10000},
        "leaderElection": {"leaderElect": False},
        "podInitialBackoffSeconds": 1,
        "podMaxBackoffSeconds": 1,
    }
    (folder / "scheduler.json").write_text(json.dumps(settings))
    command = [
        binaries / "kube-scheduler",
        f"--config={folder / 'scheduler.json'}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder}",
    ]
    with _running(folder, command) as server:
        server.await_ready(lambda: _is_healthy(port))
        yield with_nodes


@pytest.fixture(scope="module")
def seldon_scheduler(binaries: Path, scheduler: Path) -> Path:
    """Let the server beside the scheduler know SeldonDeployments, and return the file that leads to it."""
    if not CRD.exists():
        pytest.skip(f"Seldon's CRD is not part of this repository, and {CRD.name} is absent")
    run = _kubectl(binaries, scheduler)
    created = run("create", "-f", CRD)
    assert not created.returncode, created.stderr
    _await_served(run, "seldondeployments")
    return scheduler


CONTROLLERS: Final = (
    *("deployment", "replicaset", "garbage-collector", "endpointslice", "resourcequota"),
    *("horizontal-pod-autoscaler", "disruption", "serviceaccount", "namespace"),
)
"""The controllers that make, scale and delete what a graph without Seldon consists of."""


@pytest.fixture(scope="module")
def controlled(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start Kubernetes' controllers beside an API server of their own, and return the file that leads to both."""
    folder = tmp_path_factory.mktemp("controlled")
    with _serving(binaries, folder) as config:
        (port,) = _free_ports(1)
        command = [
            binaries / "kube-controller-manager",
            f"--kubeconfig={config}",
            f"--controllers={','.join(f'{each}-controller' for each in CONTROLLERS)}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={folder}",
            "--kube-api-qps=1000",
            "--kube-api-burst=2000",
            "--horizontal-pod-autoscaler-sync-period=1s",
            "--resource-quota-sync-period=1s",
        ]
        with _running(folder, command) as server:
            server.await_ready(lambda: _is_healthy(port, "healthz"))
            yield config


@pytest.fixture(scope="module")
def plain_cluster(
    binaries: Path, controlled: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Kubectl]:
    """Return the file that leads to a server with controllers and the routes of gateways, and kubectl for it."""
    run = _kubectl(binaries, controlled)
    _install(run, ROUTES, tmp_path_factory.mktemp("modules"))
    for kind in ("httproutes", "grpcroutes", "virtualservices"):
        _await_served(run, kind)
    return controlled, run


def _is_healthy(port: int, path: str = "readyz") -> bool:
    # The certificate is the program's own, and written as it starts.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/{path}", timeout=5, context=context) as answer:
            return answer.status == 200
    except OSError:
        return False


@dataclass
class FragileServer:
    """An API server of its own that can be killed and started again; what it knows stays in etcd."""

    kubeconfig: Path
    _folder: Path
    _command: Sequence[str | Path]
    _is_ready: Callable[[], bool]
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        log = self._folder / "kube-apiserver.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdout=output, stderr=subprocess.STDOUT, cwd=self._folder
            )
        Server(self._process, log).await_ready(self._is_ready)

    def kill(self) -> None:
        """End the server as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def fragile(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FragileServer]:
    """Start a second etcd and API server with Seldon's CRD and the namespace `models`, to be killed by tests."""
    if not CRD.exists():
        pytest.skip(f"Seldon's CRD is not part of this repository, and {CRD.name} is absent")
    folder = tmp_path_factory.mktemp("fragile")
    client, peer, secure = _free_ports(3)
    token = secrets.token_hex(16)
    (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    config = _write_kubeconfig(folder, secure, token)
    run = _kubectl(binaries, config)
    with _running(folder, _etcd(binaries, folder, client, peer)) as etcd:
        etcd.await_ready(lambda: _accepts(client))
        server = FragileServer(
            config,
            folder,
            _api_server(binaries, folder, client, secure),
            lambda: not run("get", "--raw", "/readyz").returncode,
        )
        server.start()
        try:
            for arguments in (("create", "-f", CRD), ("create", "namespace", "models")):
                done = run(*arguments)
                assert not done.returncode, done.stderr
            yield server
        finally:
            server.kill()


def _accepts(port: int) -> bool:
    with socket.socket() as each:
        return each.connect_ex(("127.0.0.1", port)) == 0


def _etcd(binaries: Path, folder: Path, client: int, peer: int) -> list[str | Path]:
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


def _api_server(binaries: Path, folder: Path, etcd: int, port: int) -> list[str | Path]:
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


def _write_kubeconfig(folder: Path, port: int, token: str) -> Path:
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


def _kubectl(binaries: Path, config: Path) -> Kubectl:
    # kubectl keeps what it discovers in the home folder, which must not be the user's.
    environ = {"PATH": os.environ["PATH"], "HOME": str(config.parent), "KUBECONFIG": str(config)}

    def run(*arguments: str | Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [binaries / "kubectl", *arguments]
        return subprocess.run(command, input=text, env=environ, capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture(scope="session")
def kubectl(binaries: Path, kubeconfig: Path) -> Kubectl:
    """Run kubectl against the server; `text` is its standard input."""
    return _kubectl(binaries, kubeconfig)


@pytest.fixture(scope="session")
def seldon(kubectl: Kubectl) -> Kubectl:
    """Return kubectl for a server that knows SeldonDeployments."""
    if not CRD.exists():
        pytest.skip(f"Seldon's CRD is not part of this repository, and {CRD.name} is absent")
    created = kubectl("create", "-f", CRD)
    assert not created.returncode, created.stderr
    _await_served(kubectl, "seldondeployments")
    return kubectl


@pytest.fixture(scope="session")
def routes(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Return kubectl for a server that knows the routes of the Gateway API and of Istio."""
    _install(kubectl, ROUTES, tmp_path_factory.mktemp("modules"))
    for kind in ("httproutes", "grpcroutes", "virtualservices", "destinationrules"):
        _await_served(kubectl, kind)
    return kubectl


@pytest.fixture(scope="session")
def scalers(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Return kubectl for a server that knows KEDA's ScaledObjects and the monitors of Prometheus' operator."""
    _install(kubectl, SCALERS, tmp_path_factory.mktemp("modules"))
    for kind in ("scaledobjects.keda.sh", "podmonitors.monitoring.coreos.com"):
        _await_served(kubectl, kind)
    return kubectl


def _install(kubectl: Kubectl, modules: Mapping[str, tuple[str, Sequence[str]]], folder: Path) -> None:
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


def _await_served(kubectl: Kubectl, kind: str) -> None:
    for _ in range(START_SECONDS * 5):
        if not kubectl("get", kind).returncode:
            return
        time.sleep(0.2)
    pytest.fail(f"the server took the CRD of {kind}, and does not serve them")


@pytest.fixture(scope="session")
def new_namespace(kubectl: Kubectl) -> Callable[..., str]:
    """Make a namespace, by a name of its own where none is given; `level` is its PodSecurity."""
    numbers = itertools.count(1)
    made: set[str] = set()

    def make(name: str | None = None, level: str | None = None) -> str:
        name = name or f"test-{next(numbers)}"
        if name not in made:
            made.add(name)
            # Its default account comes from a controller, and no controller runs here.
            for arguments in (("namespace", name), ("serviceaccount", "default", "-n", name)):
                created = kubectl("create", *arguments)
                assert not created.returncode, created.stderr
        if level is not None:
            label = f"pod-security.kubernetes.io/enforce={level}"
            assert not kubectl("label", "namespace", name, label).returncode
        return name

    return make


@pytest.fixture(scope="session")
def kustomize() -> Path:
    """Return kustomize, built from its sources the first time (a minute or two)."""
    digest = hashlib.sha256(
        b"".join((KUSTOMIZE / name).read_bytes() for name in ("go.mod", "go.sum"))
    ).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "graphc-tests"
    program = cache / f"kustomize-{digest[:8]}"
    if not program.exists():
        go = shutil.which("go")
        if go is None:
            pytest.skip("kustomize is built from its sources, and Go is not installed")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as temporary:
            built = Path(temporary) / "kustomize"
            command = [go, "build", "-mod=readonly", "-trimpath", "-ldflags", "-s -w", "-o", built]
            done = subprocess.run(
                [*command, "sigs.k8s.io/kustomize/kustomize/v5"],
                cwd=KUSTOMIZE,
                env=os.environ | {"CGO_ENABLED": "0"},
                capture_output=True,
                text=True,
                timeout=BUILD_SECONDS,
            )
            if done.returncode:
                pytest.skip(f"kustomize could not be built: {done.stderr.strip()[-300:]}")
            built.rename(program)
    return program
