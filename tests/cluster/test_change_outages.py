"""The API server dies, a webhook refuses, a quota is full: in the middle of a change, for real."""

import base64
import gc
import json
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from faulty_proxy import When, harming
from forked_commands import Forks, forking
from graphc.cluster.client import Access, Cluster, connect
from graphc.cluster.ledger import Ledger
from graphc.unchecked import number, objects, text
from stand_in_operator import operating
from tls_server import Answering, serving_tls

if TYPE_CHECKING:
    from conftest import FragileServer

MODELS: Final = Path(__file__).parents[2] / "graphs"
DEPLOYMENTS: Final = "/apis/machinelearning.seldon.io/v1/namespaces/{namespace}/seldondeployments/{name}"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    # CPython leaves a socket open that was reset between its connection and its handshake.
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),
]

Json = dict[str, Any]


def write_graph(
    folder: Path, name: str, traffic: int, model: str = "diabetes-route/models/lean.onnx"
) -> Path:
    quick = {"nodes": {"lean": {"model": str(MODELS / "diabetes-tier/models/quick.onnx")}}}
    graph = {
        "apiVersion": "graphc/v1",
        "kind": "InferenceGraph",
        "metadata": {"name": name},
        "inputs": {"x": "FP32[batch, 10]"},
        "nodes": {"lean": {"model": str(MODELS / model), "in": {"X": "x"}}},
        "outputs": {"y": "lean"},
        "predictors": {"main": {"traffic": 100 - traffic}, "canary": {"traffic": traffic, **quick}},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(graph, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with forking(tmp_path_factory.mktemp("outages")) as found:
        yield found


def run(forks: Forks, config: Path, namespace: str, verb: str, *more: str) -> tuple[int, str]:
    code, words = forks.run([verb, "--kubeconfig", str(config), "-n", namespace, *more])
    assert "Traceback" not in words
    assert "internal error" not in words
    return code, words


def share(cluster: Cluster, namespace: str, name: str) -> object:
    live = cluster.request("GET", DEPLOYMENTS.format(namespace=namespace, name=name))
    shares = {text(each, "name"): number(each, "traffic") for each in objects(live, "spec", "predictors")}
    return shares["canary"]


@pytest.fixture
def alive(fragile: "FragileServer") -> "Iterator[FragileServer]":
    fragile.kill()
    fragile.start()
    yield fragile
    # What was reset is collected while this module's filter holds.
    gc.collect()


def is_write(method: str, path: str) -> bool:
    return method == "PATCH" and "seldondeployments" in path and "dryRun" not in path


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_change_goes_on_when_the_server_is_back_soon(
    when: When, alive: "FragileServer", forks: Forks, tmp_path: Path
) -> None:
    name = f"back-{when}"
    cluster = connect(Access(kubeconfig=str(alive.kubeconfig), namespace="models"))
    with operating(str(alive.kubeconfig), "models"):
        assert (
            run(forks, alive.kubeconfig, "models", "apply", "--yes", str(write_graph(tmp_path, name, 10)))[0]
            == 0
        )
        killed: list[threading.Timer] = []

        def harm(number: int, at: When) -> bool:
            if not killed and at == when and is_write(*proxy.seen[number - 1]):
                alive.kill()
                killed.append(threading.Timer(2, alive.start))
                killed[0].start()
                return True
            return False

        with harming(alive.kubeconfig, tmp_path, harm) as proxy:
            path = write_graph(tmp_path, name, 40)
            code, words = run(forks, proxy.kubeconfig, "models", "apply", "--yes", str(path))
        # The server answers graphc before it calls itself ready.
        killed[0].join()
        assert code == 0, words
        assert share(cluster, "models", name) == 40
        assert Ledger(cluster, "models", name).load().pending is None
        assert run(forks, alive.kubeconfig, "models", "plan", str(path))[0] == 0


@pytest.mark.parametrize(("verb", "left"), [("apply", 40), ("rollback", 10)])
def test_a_change_that_the_server_did_not_outlive_is_completed_or_taken_back(
    verb: str, left: int, alive: "FragileServer", forks: Forks, tmp_path: Path
) -> None:
    name = f"dead-{verb}"
    with operating(str(alive.kubeconfig), "models"):
        path = write_graph(tmp_path, name, 10)
        assert run(forks, alive.kubeconfig, "models", "apply", "--yes", str(path))[0] == 0
        killed: list[int] = []

        def harm(number: int, at: When) -> bool:
            if not killed and at == "after" and is_write(*proxy.seen[number - 1]):
                killed.append(number)
                alive.kill()
            return bool(killed)

        with harming(alive.kubeconfig, tmp_path, harm) as proxy:
            write_graph(tmp_path, name, 40)
            code, words = run(forks, proxy.kubeconfig, "models", "apply", "--yes", str(path))
        assert code == 1
        assert "what was begun is unfinished" in words
        alive.start()
        assert "unfinished: apply" in run(forks, alive.kubeconfig, "models", "status", name)[1]
        argument = str(path) if verb == "apply" else name
        code, words = run(forks, alive.kubeconfig, "models", verb, "--yes", argument)
        assert code == 0, words
        cluster = connect(Access(kubeconfig=str(alive.kubeconfig), namespace="models"))
        assert share(cluster, "models", name) == left
        assert Ledger(cluster, "models", name).load().pending is None


@contextmanager
def webhook(kubeconfig: Path, judge: Callable[[Json], str | None]) -> Generator[str]:
    """Serve an admission webhook with the API server's own certificate; `judge` gives a reason to refuse."""

    class Handler(Answering):
        def do_POST(self) -> None:  # noqa: N802 (the server's name)
            review = json.loads(self.rfile.read(int(self.headers["content-length"])))
            reason = judge(review["request"])
            answer: Json = {"uid": review["request"]["uid"], "allowed": reason is None}
            if reason is not None:
                answer["status"] = {"message": reason}
            told = {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": answer}
            self.answer("application/json", json.dumps(told).encode())

    with serving_tls(kubeconfig, Handler) as port:
        yield f"https://127.0.0.1:{port}/judge"


@contextmanager
def admitting(cluster: Cluster, kubeconfig: Path, namespace: str, url: str) -> Generator[None]:
    bundle = base64.b64encode((kubeconfig.parent / "certificates" / "apiserver.crt").read_bytes()).decode()
    rule = {
        "apiGroups": ["machinelearning.seldon.io"],
        "apiVersions": ["v1"],
        "resources": ["seldondeployments"],
        "operations": ["CREATE", "UPDATE"],
    }
    body: Json = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": f"guard-{namespace}"},
        "webhooks": [
            {
                "name": "guard.example.com",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "NoneOnDryRun",
                "clientConfig": {"url": url, "caBundle": bundle},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "rules": [rule],
            }
        ],
    }
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    cluster.request("POST", path, {}, body)
    # The server reads its webhooks now and then.
    time.sleep(3)
    try:
        yield
    finally:
        cluster.request("DELETE", f"{path}/guard-{namespace}")


@pytest.mark.parametrize("on_dry_run", [True, False], ids=["planned", "applied"])
def test_a_webhook_that_refuses_changes_nothing(
    on_dry_run: bool,
    kubeconfig: Path,
    seldon: object,
    new_namespace: Callable[..., str],
    forks: Forks,
    tmp_path: Path,
) -> None:
    namespace = new_namespace()
    cluster = connect(Access(kubeconfig=str(kubeconfig), namespace=namespace))
    path = write_graph(tmp_path, "guarded", 10)

    def judge(request: Json) -> str | None:
        shares = [each.get("traffic") for each in request["object"]["spec"]["predictors"]]
        refused = 40 in shares and (on_dry_run or not request.get("dryRun"))
        return "no canary may have 40" if refused else None

    with (
        operating(str(kubeconfig), namespace),
        webhook(kubeconfig, judge) as url,
        admitting(cluster, kubeconfig, namespace, url),
    ):
        assert run(forks, kubeconfig, namespace, "apply", "--yes", str(path))[0] == 0
        heavy = "diabetes-route/models/heavy.onnx"
        write_graph(tmp_path, "guarded", 40, heavy)
        code, words = run(forks, kubeconfig, namespace, "apply", "--yes", str(path))
        assert code == 1
        assert 'admission webhook "guard.example.com" denied the request: no canary may have 40' in words
        assert ("revision 1 serves again" in words) != on_dry_run
        write_graph(tmp_path, "guarded", 10)
        assert share(cluster, namespace, "guarded") == 10
        assert run(forks, kubeconfig, namespace, "plan", str(path))[0] == 0
        assert Ledger(cluster, namespace, "guarded").load().pending is None


def test_a_quota_that_is_full_in_the_middle_takes_the_change_back(
    kubeconfig: Path, seldon: object, new_namespace: Callable[..., str], forks: Forks, tmp_path: Path
) -> None:
    namespace = new_namespace()
    cluster = connect(Access(kubeconfig=str(kubeconfig), namespace=namespace))
    path = write_graph(tmp_path, "full", 10)
    with operating(str(kubeconfig), namespace):
        assert run(forks, kubeconfig, namespace, "apply", "--yes", str(path))[0] == 0
        hard: Json = {"count/configmaps": "6"}
        quota: Json = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "maps", "namespace": namespace},
        }
        quota["spec"] = {"hard": hard}
        cluster.create(quota)
        # No controller counts here: four are there, and the revision's record and one content have room.
        status: Json = {"status": {"hard": hard, "used": {"count/configmaps": "5"}}}
        place = f"/api/v1/namespaces/{namespace}/resourcequotas/maps/status"
        cluster.request("PATCH", place, {}, status, "application/merge-patch+json")
        time.sleep(2)
        write_graph(tmp_path, "full", 40, "diabetes-route/models/heavy.onnx")
        code, words = run(forks, kubeconfig, namespace, "apply", "--yes", str(path))
        assert code == 1
        assert "exceeded quota: maps" in words
        assert "revision 1 serves again" in words
        assert share(cluster, namespace, "full") == 10
        write_graph(tmp_path, "full", 10)
        assert run(forks, kubeconfig, namespace, "plan", str(path))[0] == 0
