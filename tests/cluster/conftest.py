"""A real Kubernetes API server, built from its sources, for the tests that hand manifests to it.

`pytest -m slow tests/cluster` runs them. The first build takes Go and about ten minutes of processor time; what it
makes stays in the user's cache folder, and the server then starts in seconds.
"""

import hashlib
import itertools
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from control_plane import (
    BUILD_SECONDS,
    CRD,
    PACKAGES,
    ROUTES,
    TOOLS,
    Kubectl,
    Server,
    accepts,
    api_server_command,
    await_served,
    build_programs,
    etcd_command,
    free_ports,
    install_crds,
    is_healthy,
    kubectl_for,
    running,
    serving,
    write_kubeconfig,
)

KUSTOMIZE: Final = Path(__file__).parent / "kustomize"
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


@pytest.fixture(scope="session")
def binaries() -> Path:
    """Return the folder that holds the programs of `PACKAGES`, built the first time (minutes)."""
    return build_programs(TOOLS, PACKAGES)


@pytest.fixture(scope="session")
def kubeconfig(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start an API server, and return the file that leads to it."""
    with serving(binaries, tmp_path_factory.mktemp("cluster")) as config:
        yield config


@pytest.fixture(scope="module")
def with_nodes(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start an API server of the module's own for nodes that are made up, and return the file that leads to it."""
    # What the controller of nodes would take away again: no kubelet ever says that a node is ready.
    flag = "--disable-admission-plugins=TaintNodesByCondition"
    with serving(binaries, tmp_path_factory.mktemp("nodes"), flag) as config:
        yield config


@pytest.fixture(scope="module")
def scheduler(binaries: Path, with_nodes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start Kubernetes' scheduler beside an API server of its own, and return the file that leads to both."""
    folder = tmp_path_factory.mktemp("scheduler")
    (port,) = free_ports(1)
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
    with running(folder, command) as server:
        server.await_ready(lambda: is_healthy(port))
        yield with_nodes


@pytest.fixture(scope="module")
def seldon_scheduler(binaries: Path, scheduler: Path) -> Path:
    """Let the server beside the scheduler know SeldonDeployments, and return the file that leads to it."""
    if not CRD.exists():
        pytest.skip(f"Seldon's CRD is not part of this repository, and {CRD.name} is absent")
    run = kubectl_for(binaries, scheduler)
    created = run("create", "-f", CRD)
    assert not created.returncode, created.stderr
    await_served(run, "seldondeployments")
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
    with serving(binaries, folder) as config:
        (port,) = free_ports(1)
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
        with running(folder, command) as server:
            server.await_ready(lambda: is_healthy(port, "healthz"))
            yield config


@pytest.fixture(scope="module")
def plain_cluster(
    binaries: Path, controlled: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Kubectl]:
    """Return the file that leads to a server with controllers and the routes of gateways, and kubectl for it."""
    run = kubectl_for(binaries, controlled)
    install_crds(run, ROUTES, tmp_path_factory.mktemp("modules"))
    for kind in ("httproutes", "grpcroutes", "virtualservices"):
        await_served(run, kind)
    return controlled, run


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
    client, peer, secure = free_ports(3)
    token = secrets.token_hex(16)
    (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    config = write_kubeconfig(folder, secure, token)
    run = kubectl_for(binaries, config)
    with running(folder, etcd_command(binaries, folder, client, peer)) as etcd:
        etcd.await_ready(lambda: accepts(client))
        server = FragileServer(
            config,
            folder,
            api_server_command(binaries, folder, client, secure),
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


@pytest.fixture(scope="session")
def kubectl(binaries: Path, kubeconfig: Path) -> Kubectl:
    """Run kubectl against the server; `text` is its standard input."""
    return kubectl_for(binaries, kubeconfig)


@pytest.fixture(scope="session")
def seldon(kubectl: Kubectl) -> Kubectl:
    """Return kubectl for a server that knows SeldonDeployments."""
    if not CRD.exists():
        pytest.skip(f"Seldon's CRD is not part of this repository, and {CRD.name} is absent")
    created = kubectl("create", "-f", CRD)
    assert not created.returncode, created.stderr
    await_served(kubectl, "seldondeployments")
    return kubectl


@pytest.fixture(scope="session")
def routes(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Return kubectl for a server that knows the routes of the Gateway API and of Istio."""
    install_crds(kubectl, ROUTES, tmp_path_factory.mktemp("modules"))
    for kind in ("httproutes", "grpcroutes", "virtualservices", "destinationrules"):
        await_served(kubectl, kind)
    return kubectl


@pytest.fixture(scope="session")
def scalers(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Return kubectl for a server that knows KEDA's ScaledObjects and the monitors of Prometheus' operator."""
    install_crds(kubectl, SCALERS, tmp_path_factory.mktemp("modules"))
    for kind in ("scaledobjects.keda.sh", "podmonitors.monitoring.coreos.com"):
        await_served(kubectl, kind)
    return kubectl


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
