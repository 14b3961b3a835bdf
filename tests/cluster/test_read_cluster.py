"""`graphc profile` against a real API server: what it reads of made-up nodes compiles as what they were made of."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner, Result
from graphc.cli import main
from graphc.cluster.client import Access, Cluster, connect
from graphc.diagnostics import Sink
from graphc.profiles.profile import Profile
from graphc.profiles.read_profile import find_profile, read_profile, shipped_profiles
from made_up_nodes import nodes_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT: Final = Path(__file__).parents[2]
GRAPH: Final = ROOT / "tests" / "gpus" / "cases" / "anywhere.yaml"
ROLE: Final = ROOT / "k8s" / "rbac" / "surveyor.yaml"

Json = dict[str, Any]
Kubectl = Callable[..., Any]


def shipped(name: str) -> Profile:
    source = find_profile(name, Sink())
    assert source is not None
    found = read_profile(source, Sink())
    assert found is not None
    return found


WITH_NODES: Final = [name for name in shipped_profiles() if shipped(name).pools]


@pytest.fixture(scope="module")
def cluster(kubeconfig: Path, routes: Kubectl, kubectl: Kubectl) -> Cluster:
    """A server that knows all routes, and a RuntimeClass."""
    found = connect(Access(kubeconfig=str(kubeconfig)))
    body: Json = {"metadata": {"name": "nvidia"}, "handler": "nvidia"}
    found.request("POST", "/apis/node.k8s.io/v1/runtimeclasses", body=body)
    return found


@pytest.fixture
def nodes(cluster: Cluster) -> Iterator[Callable[[str], None]]:
    """Make the nodes of a shipped profile; they are gone after the test."""

    def make(name: str) -> None:
        for each in nodes_of(shipped(name).pools or ()):
            cluster.request("POST", "/api/v1/nodes", body=each)

    yield make
    cluster.request("DELETE", "/api/v1/nodes")


@pytest.fixture
def graphc(kubeconfig: Path) -> Callable[..., Result]:
    """Run `graphc profile` against the server."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["profile", "--kubeconfig", str(kubeconfig), *arguments])

    return run


def compiled(profile: str) -> str:
    done = CliRunner().invoke(main, ["compile", "--profile", profile, str(GRAPH)])
    assert done.exit_code == 0, (done.stderr, done.exception)
    return done.stdout


@pytest.mark.parametrize("name", WITH_NODES)
def test_manifests_are_as_for_the_shipped_profile(
    name: str, nodes: Callable[[str], None], graphc: Callable[..., Result], tmp_path: Path
) -> None:
    nodes(name)
    done = graphc("--name", name)
    assert done.exit_code == 0, (done.stderr, done.exception)
    path = tmp_path / "found.yaml"
    path.write_text(done.stdout)
    assert compiled(str(path)) == compiled(name)
    assert yaml.safe_load(done.stdout)["metadata"] == {"name": name}
    checked = CliRunner().invoke(main, ["check", str(path)])
    assert (checked.exit_code, checked.stdout) == (0, "1 profile, no problems found\n")


def test_ingress(
    cluster: Cluster,
    nodes: Callable[[str], None],
    graphc: Callable[..., Result],
    kubectl: Kubectl,
    new_namespace: Callable[..., str],
) -> None:
    nodes("no-gpu")
    done = graphc()
    assert yaml.safe_load(done.stdout)["ingress"] == {"kind": "none"}
    assert "knows Gateways of gateway.networking.k8s.io/v1, and has none" in done.stderr
    own, seldon = new_namespace(), new_namespace("istio-system")
    for name in ("public", "other"):
        listener = {"name": "http", "port": 80, "protocol": "HTTP"}
        create(
            kubectl,
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "Gateway",
                "metadata": {"name": name, "namespace": own},
                "spec": {"gatewayClassName": "any", "listeners": [listener]},
            },
        )
    done = graphc()
    assert yaml.safe_load(done.stdout)["ingress"] == {"kind": "gateway", "gateway": f"{own}/other"}
    note = f"Of the Gateways of gateway.networking.k8s.io/v1, `{own}/other` was taken; there are `{own}/public` too."
    assert note in done.stderr
    assert f"# {note}\n" in done.stdout
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    create(
        kubectl,
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "seldon-gateway", "namespace": seldon},
            "spec": {"selector": {"istio": "ingressgateway"}, "servers": [server]},
        },
    )
    done = graphc()
    assert yaml.safe_load(done.stdout)["ingress"] == {
        "kind": "istio",
        "gateway": "istio-system/seldon-gateway",
    }
    assert f"an ingress of the kind `gateway` as well, with the Gateway `{own}/other`" in done.stderr
    for kind in ("gateways.networking.istio.io", "gateways.gateway.networking.k8s.io"):
        assert not kubectl("delete", kind, "--all", "--all-namespaces").returncode


@pytest.mark.parametrize("level", [None, "baseline", "restricted"])
def test_pod_security_is_the_namespace_s(
    level: str | None,
    nodes: Callable[[str], None],
    graphc: Callable[..., Result],
    new_namespace: Callable[..., str],
    tmp_path: Path,
) -> None:
    nodes("no-gpu")
    done = graphc("-n", new_namespace(level=level))
    assert done.exit_code == 0, (done.stderr, done.exception)
    assert yaml.safe_load(done.stdout).get("pod_security") == level
    assert ("say `executor_policy: true`" in done.stderr) == (level == "restricted")
    path = tmp_path / "found.yaml"
    path.write_text(done.stdout)
    source = find_profile(str(path), Sink())
    assert source is not None
    found = read_profile(source, Sink())
    assert found is not None
    assert found.refuses_executor == (level == "restricted")
    done = graphc("-n", "absent")
    assert (done.exit_code, "There is no namespace `absent`" in done.stderr) == (0, True)


def create(kubectl: Kubectl, document: Json) -> None:
    done = kubectl("create", "-f", "-", text=json.dumps(document))
    assert not done.returncode, done.stderr


def rules() -> list[Json]:
    """The role's rules, each for one group and one resource."""
    return [
        {"apiGroups": [group], "resources": rule["resources"], "verbs": rule["verbs"]}
        for rule in next(iter(yaml.safe_load_all(ROLE.read_text())))["rules"]
        for group in rule["apiGroups"]
    ]


def test_the_role_is_enough_and_nothing_of_it_can_be_left_out(
    nodes: Callable[[str], None], graphc: Callable[..., Result], kubectl: Kubectl, cluster: Cluster
) -> None:
    nodes("no-gpu")
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "surveyor"}
    allow(kubectl, rules(), subject)
    done = graphc("--as", "surveyor")
    assert done.exit_code == 0, (done.stderr, done.exception)
    for missing in rules():
        allow(kubectl, [each for each in rules() if each != missing], subject)
        done = graphc("--as", "surveyor")
        assert done.exit_code == 1
        (resource,), (verb,) = missing["resources"], missing["verbs"]
        assert f'cannot {verb} resource "{resource}"' in done.stderr
        assert "k8s/rbac has the roles that graphc needs" in done.stderr


def allow(kubectl: Kubectl, granted: list[Json], subject: Json) -> None:
    role: Json = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "surveyor"},
    }
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "surveyor"}
    binding = role | {"kind": "ClusterRoleBinding", "roleRef": reference, "subjects": [subject]}
    items = {"apiVersion": "v1", "kind": "List", "items": [role | {"rules": granted}, binding]}
    done = kubectl("apply", "-f", "-", text=json.dumps(items))
    assert not done.returncode, done.stderr


def test_no_nodes_and_no_such_context(cluster: Cluster, graphc: Callable[..., Result]) -> None:
    done = graphc()
    assert (done.exit_code, done.stdout) == (1, "")
    assert "has no nodes that pods could go to" in done.stderr
    done = graphc("--context", "absent")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "leads to no cluster" in done.stderr
