"""A node on which containers run: kubelet, containerd, runc, CNI, kube-proxy and CoreDNS, with a control plane.

All of it lives in namespaces of its own for processes, mounts and the network. So the test's process sees the pods'
network while the node runs, and the machine's own network, mounts and rules stay as they are. When the namespaces'
first process ends, whatever else is in them ends too; only folders of control groups have to be removed.
"""

import ctypes
import fcntl
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from built_images import Images, open_images
from built_images import find_missing as find_missing_of_images
from control_plane import (
    PACKAGES,
    TOOLS,
    Kubectl,
    Server,
    build_programs,
    kubectl_for,
    running,
    serving,
)
from graphc.version import VERSION

ROOT: Final = Path(__file__).parents[2]
NODE_TOOLS: Final = ROOT / "tests" / "node" / "tools"
NODE_PACKAGES: Final = {
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    "pause": "./pause",
}
DNS_TOOLS: Final = ROOT / "tests" / "node" / "dns"
DNS_PACKAGES: Final = {"coredns": "."}
NEEDED: Final = ("containerd", "ctr", "runc", "iptables", "conntrack", "ip", "unshare", "nsenter", "openssl")
PLUGINS: Final = Path("/usr/lib/cni")
CGROUPS: Final = Path("/sys/fs/cgroup")
NAME: Final = "node"
BRIDGE: Final = "graphc0"
ADDRESS: Final = "10.88.0.1"
PODS: Final = "10.88.0.0/16"
SERVICES: Final = "10.96.0.0/16"
PAUSE: Final = "docker.io/library/graphc-pause:1"
IMAGES: Final = {
    f"graphc-runtime:{VERSION}": "Dockerfile",
    f"graphc-engine:{VERSION}": "Dockerfile.engine",
}
"""The images that manifests name where a profile names none, and their image files."""

INIT: Final = """
set -e
for folder in /run /var/log /var/lib; do mount -t tmpfs tmpfs "$folder"; done
mkdir /run/netns
ip link set lo up
echo ready
sleep infinity & wait
"""
CLONE_NEWNET: Final = 0x40000000


def find_missing() -> str | None:
    """Return why no node can run here; None where it can."""
    if missing := [tool for tool in NEEDED if shutil.which(tool) is None]:
        return f"a node needs {', '.join(NEEDED)}; missing: {', '.join(missing)}"
    if not (PLUGINS / "bridge").exists():
        return f"a node needs the plugins of container networks in {PLUGINS}"
    if not (CGROUPS / "memory").is_dir() and not (CGROUPS / "cgroup.controllers").exists():
        return f"a node needs control groups in {CGROUPS}"
    return find_missing_of_images()


@dataclass(frozen=True, slots=True)
class Node:
    """A cluster of one node."""

    kubeconfig: Path
    kubectl: Kubectl
    folder: Path

    def get(self, *words: str) -> dict[str, Any]:
        """Return what kubectl gets, as JSON."""
        found: dict[str, Any] = json.loads(self.ask("get", *words, "-o", "json"))
        return found

    def ask(self, *words: str | Path, text: str | None = None) -> str:
        """Return what kubectl says to a command that has to succeed."""
        done = self.kubectl(*words, text=text)
        assert not done.returncode, (words, done.stdout[-2000:], done.stderr[-3000:])
        return done.stdout

    def make_namespace(self, name: str) -> None:
        """Make a namespace that enforces the pod security standard `restricted`."""
        self.ask("create", "namespace", name)
        self.ask("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")


@dataclass(frozen=True, slots=True)
class _Space:
    """The node's namespaces: those of the process that came first."""

    init: int
    folder: Path

    def command(self, *words: str | Path) -> list[str]:
        return ["nsenter", f"--target={self.init}", "--mount", "--pid", "--net", *map(str, words)]

    def ask(self, *words: str | Path, timeout: float = 120) -> str:
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, (words, done.stdout[-3000:], done.stderr[-3000:])
        return done.stdout

    @contextmanager
    def running(self, name: str, *words: str | Path) -> Generator[Server]:
        # It ends with the namespaces, and nsenter with it.
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(*words), stdout=output, stderr=subprocess.STDOUT, cwd=self.folder
            )
        try:
            yield Server(process, log)
        finally:
            process.kill()
            process.wait()


@contextmanager
def running_node() -> Generator[Node]:
    """Run a node while the block runs; the test's process is in its network meanwhile."""
    programs, own = build_programs(TOOLS, PACKAGES), build_programs(NODE_TOOLS, NODE_PACKAGES)
    dns = build_programs(DNS_TOOLS, DNS_PACKAGES)
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="graphc-node-"))
        stack.callback(shutil.rmtree, folder)
        # Two kubelets on one machine would each end the pods of the other.
        lock = stack.enter_context((programs.parent / "node.lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        archive = _save_images(folder, own / "pause")
        before = set(_find_groups())
        stack.callback(lambda: _remove_groups(before))
        space = stack.enter_context(_open_space(folder))
        stack.enter_context(_in_network(space.init))
        _lay_network(space)
        stack.enter_context(_containerd(space))
        space.ask("ctr", *_at(folder), "images", "import", archive, timeout=600)
        archive.unlink()
        certificate = _make_certificate(folder)
        config = stack.enter_context(serving(programs, folder, *_flags(folder)))
        for command in _controllers(programs, folder, config):
            stack.enter_context(running(folder, command)).await_ready(lambda: True)
        node = Node(config, kubectl_for(programs, config), folder)
        kubelet = ("--config", _write_kubelet(folder, certificate), f"--kubeconfig={config}")
        places = (f"--root-dir={folder / 'kubelet'}", f"--hostname-override={NAME}", f"--node-ip={ADDRESS}")
        server = stack.enter_context(space.running("kubelet", own / "kubelet", *kubelet, *places))
        stack.enter_context(space.running("kube-proxy", own / "kube-proxy", *_proxy(config)))
        names = ("-conf", _write_zone(folder, config), "-dns.port=53")
        stack.enter_context(space.running("coredns", dns / "coredns", *names))
        server.await_ready(lambda: _is_node_ready(node))
        yield node


def await_reached(address: str) -> None:
    """Return once the rules of Services lead to a pod, which was ready before."""
    host, port = address.split(":")
    for _ in range(100):
        with socket.socket() as each:
            if each.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"nothing listens at {address}")


def _save_images(folder: Path, pause: Path) -> Path:
    """Build the images of units, of the engine and of pods' sandboxes, and write them to one file."""
    with open_images(folder / "images") as images:
        for name, file in IMAGES.items():
            images.build(f"docker.io/library/{name}", ROOT, ROOT / "runtimes" / "images" / file)
        _build_pause(images, folder / "pause", pause)
        archive = folder / "images.tar"
        names = [PAUSE, *(f"docker.io/library/{name}" for name in IMAGES)]
        images.ask("save", "--multi-image-archive", f"--output={archive}", *names, timeout=600)
    return archive


def _build_pause(images: Images, folder: Path, pause: Path) -> None:
    folder.mkdir()
    shutil.copy(pause, folder / "pause")
    (folder / "Dockerfile").write_text('FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n')
    images.build(PAUSE, folder, folder / "Dockerfile")


@contextmanager
def _open_space(folder: Path) -> Generator[_Space]:
    words = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"]
    with subprocess.Popen(
        [*words, "--propagation=private", "bash", "-c", INIT], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n", "no namespaces can be made"
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            yield _Space(int(children[0]), folder)
        finally:
            process.kill()
            process.wait()


@contextmanager
def _in_network(init: int) -> Generator[None]:
    """Put this thread, and what it starts from now on, into the network of a process."""
    library = ctypes.CDLL(None, use_errno=True)

    def enter(place: int) -> None:
        if library.setns(place, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "a network cannot be entered")

    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        other = os.open(f"/proc/{init}/ns/net", os.O_RDONLY)
        try:
            enter(other)
        finally:
            os.close(other)
        yield
        enter(own)
    finally:
        os.close(own)


def _lay_network(space: _Space) -> None:
    space.ask("ip", "link", "add", BRIDGE, "type", "bridge")
    space.ask("ip", "addr", "add", f"{ADDRESS}/16", "dev", BRIDGE)
    space.ask("ip", "link", "set", BRIDGE, "up")
    # Without a way there, no rule would ever turn the address of a Service into a pod's.
    space.ask("ip", "route", "add", SERVICES, "dev", BRIDGE)
    # A pod that calls another by its Service gets the answer through the rules that turned the address.
    space.ask("sysctl", "-w", "net.ipv4.ip_forward=1", "net.bridge.bridge-nf-call-iptables=1")
    plugin = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    (space.folder / "cni").mkdir()
    network = {"cniVersion": "1.0.0", "name": BRIDGE, "plugins": [plugin]}
    (space.folder / "cni" / "network.conflist").write_text(json.dumps(network))


CONTAINERD: Final = """\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Where a machine forbids lower scores than its own.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/cni"
"""


@contextmanager
def _containerd(space: _Space) -> Generator[None]:
    config = space.folder / "containerd.toml"
    config.write_text(CONTAINERD.format(folder=space.folder, pause=PAUSE, plugins=PLUGINS))
    with space.running("containerd", "containerd", f"--config={config}") as server:
        listing = space.command("ctr", *_at(space.folder), "version")
        server.await_ready(
            lambda: subprocess.run(listing, capture_output=True, timeout=60, check=False).returncode == 0
        )
        yield


def _at(folder: Path) -> tuple[str, ...]:
    return (f"--address={folder / 'containerd.sock'}", "--namespace=k8s.io")


def _make_certificate(folder: Path) -> Path:
    """Make what the API server shows to the kubelet, which lets nobody else read logs."""
    certificate = folder / "kubelet-client.crt"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=api"]
    files = ["-keyout", folder / "kubelet-client.key", "-out", certificate]
    subprocess.run([*words, *files], check=True, capture_output=True, timeout=60)
    return certificate


def _flags(folder: Path) -> Sequence[str]:
    return (
        f"--service-cluster-ip-range={SERVICES}",
        f"--kubelet-client-certificate={folder / 'kubelet-client.crt'}",
        f"--kubelet-client-key={folder / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
    )


def _controllers(programs: Path, folder: Path, config: Path) -> Sequence[Sequence[str | Path]]:
    common = (f"--kubeconfig={config}", "--leader-elect=false", "--bind-address=127.0.0.1")
    return (
        [
            programs / "kube-controller-manager",
            *common,
            f"--cert-dir={folder}",
            "--allocate-node-cidrs=false",
            f"--service-account-private-key-file={folder / 'certificates' / 'apiserver.key'}",
        ],
        [programs / "kube-scheduler", *common, f"--cert-dir={folder}"],
    )


def _write_kubelet(folder: Path, certificate: Path) -> Path:
    (folder / "resolv.conf").write_text("")
    settings = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "readOnlyPort": 0,
        "cgroupDriver": "cgroupfs",
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "failCgroupV1": False,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(certificate)},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{folder / 'containerd.sock'}",
        "clusterDNS": [ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(folder / "resolv.conf"),
        "volumePluginDir": str(folder / "plugins"),
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    }
    path = folder / "kubelet.json"
    path.write_text(json.dumps(settings))
    return path


def _proxy(config: Path) -> Sequence[str]:
    return (
        f"--kubeconfig={config}",
        f"--hostname-override={NAME}",
        f"--cluster-cidr={PODS}",
        "--proxy-mode=iptables",
        # What belongs to the machine, and no namespace has of its own.
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0s",
        "--conntrack-tcp-timeout-close-wait=0s",
    )


def _write_zone(folder: Path, config: Path) -> Path:
    path = folder / "Corefile"
    path.write_text(
        f".:53 {{\n  bind {ADDRESS}\n  errors\n  kubernetes cluster.local {{\n    kubeconfig {config} test\n  }}\n}}\n"
    )
    return path


def _is_node_ready(node: Node) -> bool:
    ready = '{.status.conditions[?(@.type=="Ready")].status}'
    return node.kubectl("get", "node", NAME, "-o", f"jsonpath={ready}").stdout == "True"


def _find_groups() -> list[Path]:
    return [each for each in CGROUPS.rglob("*") if each.is_dir() and not each.is_symlink()]


def _remove_groups(before: set[Path]) -> None:
    """Remove the groups that came while the node ran: those below first; they are empty."""
    end = time.monotonic() + 10
    while new := [each for each in _find_groups() if each not in before]:
        for each in sorted(new, key=lambda it: -len(it.parts)):
            try:
                each.rmdir()
            except OSError:
                # Processes that were killed are still on their way.
                time.sleep(0.05)
        if time.monotonic() > end:
            break
