"""Plan, apply, status, history, rollback, promote and delete against the real API server, and what can go wrong."""

import http.server
import json
import subprocess
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from cluster_callers import MODELS, QUICK, Caller, Json, mood_of, work_graph
from faulty_proxy import When, harming
from forked_commands import forking
from graphc.cluster.client import Access, Cluster, connect
from stand_in_operator import SILENT, Mood, Operator, not_created, operating

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

NewNamespace = Callable[..., str]
QUOTA: Final = (
    'pods "x" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, '
    "used: requests.nvidia.com/gpu=4, limited: requests.nvidia.com/gpu=4"
)


MOODS: Final = {"quota": not_created(QUOTA), "failed": Mood(is_ready=False, state="Failed"), "silent": SILENT}


@dataclass
class Place(Caller):
    cluster: Cluster
    operator: Operator

    def apply(self, path: Path, *more: str, config: Path | None = None, code: int | None = 0) -> str:
        return self.run("apply", "--yes", "--timeout", "20s", str(path), *more, config=config, code=code)

    def graph(self, name: str, **changes: object) -> Path:
        """Write a graph of two predictors and a shadow; `changes` replace fields of the file."""
        predictors = {"main": {"traffic": 90}, "canary": {"traffic": 10, **QUICK}}
        graph = work_graph(predictors, metadata={"name": name})
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(graph | changes, sort_keys=False))
        return path

    def live(self, name: str) -> Json:
        kubectl = f"/apis/machinelearning.seldon.io/v1/namespaces/{self.namespace}/seldondeployments/{name}"
        found: Json = self.cluster.request("GET", kubectl)
        return found

    def shares(self, name: str) -> dict[str, int]:
        return {each["name"]: each.get("traffic", 0) for each in self.live(name)["spec"]["predictors"]}


@pytest.fixture(scope="module")
def place(
    kubeconfig: Path, seldon: object, new_namespace: NewNamespace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    folder, namespace = tmp_path_factory.mktemp("verbs"), new_namespace()
    cluster = connect(Access(kubeconfig=str(kubeconfig), namespace=namespace))
    with (
        forking(folder) as forks,
        operating(str(kubeconfig), namespace, lambda _, images: mood_of(images, MOODS)) as operator,
    ):
        yield Place(kubeconfig, namespace, folder, forks, cluster, operator)


def test_a_plan_says_what_changes_and_nothing_on_the_second_run(place: Place) -> None:
    path = place.graph("planned")
    assert "1 to create" not in place.run("plan", str(path), code=2).splitlines()[1]
    place.apply(path)
    assert place.run("plan", str(path)) == f"planned ({place.namespace}): no change\n"
    changed = place.graph(
        "planned",
        nodes={"lean": {"model": str(MODELS / "diabetes-route/models/heavy.onnx"), "in": {"X": "x"}}},
        predictors={"main": {"traffic": 100, "replicas": 2}},
    )
    words = place.run("plan", str(changed), code=2)
    for line in (
        "~ `main` traffic: 90 → 100",
        "+ `main` replicas: 2",
        "~ `main` node `lean`: model: lean.onnx (502ffd8909) → heavy.onnx (a54bb446e7)",
        "- predictor `canary`",
        "! predictor `canary`, which gets 10 % of the requests, goes away",
        "! all pods of `main`, the only live predictor, are replaced at once",
    ):
        assert line in words
    data = json.loads(place.run("plan", "--json", str(changed), code=2))
    (deployment,) = [each for each in data[0]["objects"] if each["kind"] == "SeldonDeployment"]
    assert deployment["changes"][0] == {
        "path": ["predictors", "main", "traffic"],
        "action": "change",
        "before": 90,
        "after": 100,
        "text": "`main` traffic: 90 → 100",
    }
    assert {each["kind"] for each in data[0]["dangers"]} == {"live-removed", "restart"}
    # The picture shows what serves there, too.
    page = place.folder / "plan.html"
    place.run("plan", str(changed), "--page", str(page), code=2)
    text = page.read_text("utf-8")
    for words in (
        "`main` node `lean`: model: lean.onnx (502ffd8909) → heavy.onnx (a54bb446e7)",
        'aria-label="changed: model lean, onnx"',
        'aria-label="removed: model lean, onnx"',
        ">~ main</button>",
        ">- canary</button>",
    ):
        assert words in text, words
    place.run("plan", str(place.graph("planned")), "--page", str(page))
    assert "<b class=" in page.read_text("utf-8")
    assert 'aria-label="changed: ' not in page.read_text("utf-8")


def test_no_terminal_and_no_yes_changes_nothing(place: Place) -> None:
    path = place.graph("asked")
    assert "say --yes" in place.run("apply", str(path), code=1)
    assert place.cluster.find(*_deployments(place), {}) is not None
    assert "there is no graph" in place.run("status", "asked", code=1)


def _deployments(place: Place) -> tuple[Any, str]:
    from graphc.cluster.bundle import DEPLOYMENT

    return DEPLOYMENT, place.namespace


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("absent", "cannot be pulled: Back-off pulling image: 401 Unauthorized: Bearer ..."),
        ("crash", "it ended with 1 (4 restarts)"),
        ("hungry", "it needed more memory than it may have (4 restarts)"),
        (
            "quota",
            "the quota `gpus` allows requests.nvidia.com/gpu=4, of which requests.nvidia.com/gpu=4 is used",
        ),
        ("nogpu", "no node has the GPUs that it asks for: 0/3 nodes are available"),
        ("failed", "does not become ready"),
        ("silent", "not yet taken up by the operator"),
    ],
)
def test_a_version_that_does_not_start_is_taken_back_and_says_why(
    place: Place, image: str, words: str
) -> None:
    name = f"bad-{image}"
    path = place.graph(name)
    place.apply(path)
    before = place.live(name)["spec"]
    place.graph(name, runtime={"image": image})
    told = place.apply(path, "--timeout", "6s", code=1)
    assert "c2VjcmV0" not in told
    assert "revision 1 serves again" in told
    if image != "silent":
        assert words in told
    assert place.live(name)["spec"] == before
    place.graph(name)
    assert "no change" in place.run("plan", str(path))
    history = place.run("history", name)
    assert "   1  " in history.splitlines()[-3] or "(serving)" in history
    assert "failed: " in history
    place.run("delete", "--yes", name)


def test_a_first_version_that_does_not_start_leaves_nothing(place: Place) -> None:
    path = place.graph("first-bad", runtime={"image": "silent"})
    told = place.apply(path, "--timeout", "3s", code=1)
    assert "the operator said nothing about `first-bad`" in told
    assert "nothing served before; what was made is deleted" in told
    assert [each["metadata"]["name"] for each in _maps(place, "first-bad")] == ["first-bad.graphc"]


def _maps(place: Place, name: str) -> list[Json]:
    from graphc.cluster.bundle import CONFIG_MAP

    found: list[Json] = [dict(each) for each in place.cluster.find(CONFIG_MAP, place.namespace, {})]
    return [each for each in found if each["metadata"]["name"].startswith(name)]


def test_fields_that_others_decided_are_a_conflict_with_their_names(place: Place) -> None:
    path = place.graph("contested")
    place.apply(path)
    edited = place.live("contested")
    edited["spec"]["predictors"][0]["traffic"], edited["spec"]["predictors"][1]["traffic"] = 70, 30
    url = f"/apis/machinelearning.seldon.io/v1/namespaces/{place.namespace}/seldondeployments/contested"
    place.cluster.request("PUT", url, {"fieldManager": "dashboard"}, edited)
    words = place.run("plan", str(path), code=2)
    assert "! conflict: SeldonDeployment contested: `spec.predictors` belongs to `dashboard`" in words
    assert "~ `main` traffic: 70 → 90" in words
    assert "somebody else changed it since" in place.run("status", "contested", code=None)
    assert "--force-conflicts takes them over" in place.apply(path, code=1)
    assert place.shares("contested") == {"main": 70, "canary": 30}
    place.apply(path, "--force-conflicts")
    assert place.shares("contested") == {"main": 90, "canary": 10}
    # What was found is remembered, and can be gone back to.
    assert "found in the cluster, as somebody else left it" in place.run("history", "contested")
    place.run("rollback", "--yes", "contested", "2")
    assert place.shares("contested") == {"main": 70, "canary": 30}


def test_a_failure_after_foreign_edits_goes_back_to_what_was_found(place: Place) -> None:
    path = place.graph("edited")
    place.apply(path)
    edited = place.live("edited")
    edited["spec"]["predictors"][0]["traffic"], edited["spec"]["predictors"][1]["traffic"] = 60, 40
    url = f"/apis/machinelearning.seldon.io/v1/namespaces/{place.namespace}/seldondeployments/edited"
    place.cluster.request("PUT", url, {"fieldManager": "dashboard"}, edited)
    place.graph("edited", runtime={"image": "crash"})
    place.apply(path, "--force-conflicts", "--timeout", "3s", code=1)
    assert place.shares("edited") == {"main": 60, "canary": 40}


def test_what_kubectl_applied_is_taken_over_and_pruned(place: Place, kubectl: Callable[..., Any]) -> None:
    path = place.graph("adopted")
    compiled = place.forks.run(["compile", "--format", "json", str(path)])[1]
    done = kubectl("apply", "--server-side", "-n", place.namespace, "-f", "-", text=compiled)
    assert not done.returncode, done.stderr
    changed = place.graph("adopted", predictors={"main": {"traffic": 100}})
    place.apply(changed, "--force-conflicts")
    history = place.run("history", "adopted")
    assert "found in the cluster" in history
    place.run("rollback", "--yes", "adopted")
    assert place.shares("adopted") == {"main": 90, "canary": 10}


def test_only_old_content_that_no_revision_needs_is_deleted(place: Place) -> None:
    from graphc.cluster.records import KEPT

    path = place.graph("pruned")
    place.apply(path)
    model = (MODELS / "diabetes-route/models/lean.onnx").read_bytes()
    for number in range(KEPT + 1):
        # A field that no reader knows makes other bytes of the same model.
        (place.folder / f"m{number}.onnx").write_bytes(model + bytes([0xA2, 0x06, 0x01, number]))
        place.graph(
            "pruned", nodes={"lean": {"model": str(place.folder / f"m{number}.onnx"), "in": {"X": "x"}}}
        )
        place.apply(path)
    names = {each["metadata"]["name"] for each in _maps(place, "pruned")}
    contents = {name for name in names if name.startswith("pruned-lean-")}
    revisions = {name for name in names if name.startswith("pruned.graphc.")}
    assert len(revisions) == KEPT
    assert len(contents) == KEPT + 1, "of each kept revision, and the canary's"
    assert "revision 1 of `pruned` is not kept" in place.run("rollback", "--yes", "pruned", "1", code=1)
    place.run("rollback", "--yes", "pruned", "5")
    place.run("delete", "--yes", "pruned")
    assert not _maps(place, "pruned")


def test_delete_leaves_what_others_made(place: Place) -> None:
    path = place.graph("gone")
    place.apply(path)
    mine: Json = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "gone-mine", "namespace": place.namespace},
    }
    place.cluster.create(mine)
    (content,) = [
        each for each in _maps(place, "gone-lean") if each["metadata"]["name"].endswith("502ffd8909")
    ]
    content["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "somebody"
    del content["metadata"]["managedFields"]
    place.cluster.replace(content)
    words = place.run("delete", "--yes", "gone")
    assert "belongs to somebody else now; it stays" in words
    assert [each["metadata"]["name"] for each in _maps(place, "gone")] == [
        "gone-lean-502ffd8909",
        "gone-mine",
    ]


class Gates:
    """A stand-in for Prometheus: the numbers that it answers with, by what the query asks."""

    def __init__(self) -> None:
        self.total, self.failed, self.p99 = 1000.0, 0.0, {"main": 0.010, "canary": 0.011}
        self.queries: list[str] = []


@contextmanager
def prometheus(gates: Gates) -> Generator[str]:
    from urllib.parse import parse_qs, urlsplit

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)["query"][0]
            gates.queries.append(query)
            predictor = "canary" if 'predictor_name="canary"' in query else "main"
            number = (
                gates.p99[predictor]
                if "quantile" in query
                else gates.failed
                if "code!~" in query
                else gates.total
            )
            result: list[Json] = [{"metric": {}, "value": [1700000000, str(number)]}]
            body = json.dumps(
                {"status": "success", "data": {"resultType": "vector", "result": result}}
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the server's name)
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_a_promotion_moves_the_traffic_step_by_step_and_shows_what_the_file_has_to_say(place: Place) -> None:
    path = place.graph("promoted", executor=True)
    place.apply(path)
    place.operator.seen.clear()
    with prometheus(Gates()) as url:
        words = place.run(
            "promote", "--yes", "--pause", "1s", "--steps", "25,50,100", "--prometheus", url, str(path)
        )
    shares = [seen.get("canary") for seen in place.operator.seen if seen.keys() == {"main", "canary"}]
    order = [share for share in (25, 50, 100) if share in shares]
    assert order == [25, 50, 100]
    assert place.shares("promoted") == {"main": 0, "canary": 100}
    assert "-    traffic: 90\n+    traffic: 0\n" in words
    assert "live: `canary` has p99 of 11 ms, 1.10x that of `main`" in words
    assert "was promoted since" in place.apply(path, code=1)
    assert "no change" in place.apply(path, "--keep-traffic")
    third = place.graph("promoted", predictors={"main": {"traffic": 60}, "green": {"traffic": 40}})
    assert "get 40 % together" in place.apply(third, "--keep-traffic", code=1)
    path = place.graph("promoted", executor=True)
    difference = words[words.index("--- ") :]
    patched = _patch(path.read_text(), difference)
    path.write_text(patched)
    assert "no change" in place.apply(path)
    assert "promoted" not in place.run("status", "promoted").replace("promoted (", "")


def _patch(text: str, difference: str) -> str:
    for line in difference.splitlines():
        if line.startswith("-") and not line.startswith("---"):
            old = line[1:]
        elif line.startswith("+") and not line.startswith("+++"):
            text = text.replace(old, line[1:], 1)  # pyright: ignore[reportPossiblyUnboundVariable]
    return text


def test_a_bad_candidate_is_refused_before_the_first_step_and_taken_back_after_a_later_one(
    place: Place,
) -> None:
    path = place.graph("judged", executor=True)
    place.apply(path)
    gates = Gates()
    gates.failed = 50.0
    with prometheus(gates) as url:
        arguments = ("promote", "--yes", "--pause", "1s", "--steps", "50,100", "--prometheus", url, "judged")
        words = place.run(*arguments, code=1)
        assert "`canary` has errors of 5.00%; no more than 1.00% is allowed" in words
        assert place.shares("judged") == {"main": 90, "canary": 10}

        gates.failed = 0.0

        def turn_bad() -> None:
            while place.shares("judged")["canary"] != 50:
                pass
            gates.p99["canary"] = 0.1

        turning = threading.Thread(target=turn_bad, daemon=True)
        turning.start()
        words = place.run(*arguments[:3], "3s", *arguments[4:], code=1)
        turning.join(30)
    assert "its traffic is as the file says again" in words
    assert place.shares("judged") == {"main": 90, "canary": 10}
    assert "no change" in place.run("plan", str(path))
    assert "was promoted" not in place.apply(path)


def test_an_undecided_gate_leaves_the_step_and_running_again_goes_on(place: Place) -> None:
    path = place.graph("waiting", executor=True)
    place.apply(path)
    gates = Gates()
    with prometheus(gates) as url:
        common = ("promote", "--yes", "--pause", "0s", "--patience", "1s", "--prometheus", url, str(path))
        gates.total = 5.0
        words = place.run(*common, code=1)
        assert "live: 5 requests of `canary`, wanted 100" in words
        assert place.shares("waiting") == {"main": 90, "canary": 10}
        gates.total = 500.0
        place.run(*common, "--steps", "50")
        assert place.shares("waiting") == {"main": 50, "canary": 50}
        place.run(*common)
    assert place.shares("waiting") == {"main": 0, "canary": 100}
    place.run("rollback", "--yes", "waiting", "1")
    assert place.shares("waiting") == {"main": 90, "canary": 10}
    assert "no change" in place.apply(path)


def test_a_shadow_that_is_promoted_keeps_its_name_and_answers_clients(place: Place) -> None:
    quick = {"nodes": {"lean": {"model": str(MODELS / "diabetes-tier/models/quick.onnx")}}}
    path = place.graph("shadowed", predictors={"main": {"traffic": 100}, "dark": {"shadow": True, **quick}})
    place.apply(path)
    words = place.run("promote", "--yes", "--pause", "0s", "--without-gates", str(path))
    assert place.shares("shadowed") == {"main": 0, "dark": 100}
    assert all("shadow" not in each for each in place.live("shadowed")["spec"]["predictors"])
    assert "-    shadow: true\n" in words
    assert "say which" not in words


def test_a_shadow_that_a_route_mirrors_to_becomes_a_backend_of_it(place: Place, routes: object) -> None:
    del routes
    quick = {"nodes": {"lean": {"model": str(MODELS / "diabetes-tier/models/quick.onnx")}}}
    predictors = {
        "main": {"traffic": 100},
        "dark": {"shadow": True, "mirror": 50, **quick},
        "ghost": {"shadow": True, **quick},
        "beta": {"when": {"header": {"x-version": "beta"}}, **quick},
    }
    metadata = {"name": "mirrored", "namespace": place.namespace}
    path = place.graph("mirrored", metadata=metadata, predictors=predictors)
    place.apply(path, "--profile", "gateway")
    promote = ("promote", "--yes", "--pause", "0s", "--without-gates", str(path))

    words = place.run(*promote, "--to", "beta", code=1)
    assert "HTTPRoute mirrored sends nothing to `beta`" in words
    assert "give it traffic in the file, and apply that" in words
    assert "no change" in place.run("plan", "--profile", "gateway", str(path))

    words = place.run(*promote, "--to", "dark")
    found = place.cluster.request(
        "GET", f"/apis/gateway.networking.k8s.io/v1/namespaces/{place.namespace}/httproutes/mirrored"
    )
    spec: Json = dict(found)["spec"]  # pyright: ignore[reportAssignmentType]
    header, shared = spec["rules"]
    assert [each["name"] for each in header["backendRefs"]] == ["mirrored-beta"]
    weights = {each["name"]: each["weight"] for each in shared["backendRefs"]}
    assert weights == {"mirrored-main": 0, "mirrored-dark": 100}
    copies = [each["requestMirror"] for each in shared["filters"] if each["type"] == "RequestMirror"]
    assert [each["backendRef"]["name"] for each in copies] == ["mirrored-ghost"]

    difference = words[words.index("--- ") :]
    subprocess.run(["patch", str(path)], input=difference, text=True, check=True, capture_output=True)
    # The file's predictors come in another order now; nothing that serves changes.
    words = place.run("plan", "--profile", "gateway", str(path), code=2)
    assert "HTTPRoute" not in words
    assert "  !" not in words
    place.run("rollback", "--yes", "mirrored", "1")
    assert place.shares("mirrored") == {"main": 100, "dark": 0, "ghost": 0, "beta": 0}


def test_a_killed_step_of_a_promotion_is_taken_up_again(place: Place) -> None:
    import os
    import signal

    path = place.graph("resumed")
    place.apply(path)
    process: list[int] = []

    def harm(_number: int, when: When) -> bool:
        if when == "after" and place.shares("resumed")["canary"] == 50:
            os.kill(process[0], signal.SIGKILL)
        return False

    with harming(place.kubeconfig, place.folder, harm) as proxy:
        arguments = [
            "promote",
            "--kubeconfig",
            str(proxy.kubeconfig),
            "-n",
            place.namespace,
            "--yes",
            "--pause",
            "0s",
        ]
        process.append(place.forks.start([*arguments, "--without-gates", "resumed"]))
        assert place.forks.wait()[0] == -9
    words = place.run("promote", "--yes", "--pause", "0s", "--without-gates", "resumed")
    assert "an interrupted step is taken back first" in words
    assert place.shares("resumed") == {"main": 0, "canary": 100}


HOSTILE: Final[Mapping[str, bytes]] = {
    "nothing": b"",
    "text": b"<html>login</html>",
    "list": b"[1, 2]",
    "null": b"null",
    "deep": b"[" * 100_000,
    "huge": b'{"data": "' + b"x" * (65 * 1024 * 1024) + b'"}',
    "wrong types": b'{"metadata": [], "spec": 7, "data": {"state.json": 3}, "items": {"a": 1}}',
    "strange state": b'{"metadata": {"labels": {"graphc.dev/graph": "x"}}, "data": {"state.json": "{}"}}',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_server_that_answers_nonsense_gets_a_plain_error(place: Place, kind: str) -> None:
    with nonsense(HOSTILE[kind]) as config:
        path = place.folder / "hostile.kubeconfig"
        path.write_text(json.dumps(config))
        graph = place.graph("hostile")
        for verb in (
            ["plan", str(graph)],
            ["status", "hostile"],
            ["history", "hostile"],
            ["delete", "--yes", "hostile"],
        ):
            words = place.run(*verb, config=path, code=None)
            assert words.count("\n") <= 12, words


@contextmanager
def nonsense(body: bytes) -> Generator[Json]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 (the server's names)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the server's name)
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "x", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}
            ],
            "users": [{"name": "x", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            "current-context": "x",
        }
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_mistakes_on_the_command_line_are_one_line(place: Place) -> None:
    graph = str(place.graph("mistaken"))
    absent = str(place.folder / "absent")
    for arguments, words in (
        (["plan", "--kubeconfig", absent, graph], "the kubeconfig leads to no cluster"),
        (["plan", "--kubeconfig", str(place.kubeconfig), "--context", "elsewhere", graph], "elsewhere"),
        (["plan", "--kubeconfig", str(place.kubeconfig), "-n", "no-such-namespace", graph], "does not exist"),
        (
            ["status", "--kubeconfig", str(place.kubeconfig), "-n", place.namespace, "nobody"],
            "there is no graph",
        ),
        (
            ["history", "--kubeconfig", str(place.kubeconfig), "-n", place.namespace, "nobody"],
            "remembers no graph",
        ),
        (
            ["rollback", "--kubeconfig", str(place.kubeconfig), "-n", place.namespace, "nobody"],
            "remembers no graph",
        ),
        (
            ["delete", "--kubeconfig", str(place.kubeconfig), "-n", place.namespace, "nobody"],
            "graphc made no `nobody`",
        ),
        (["plan", "--no-such-option", graph], "No such option"),
        (
            ["plan", "--kubeconfig", str(place.kubeconfig), "--as", "nobody", "-n", place.namespace, graph],
            "nobody",
        ),
    ):
        code, told = place.forks.run(arguments)
        assert code == 1, told
        assert words in told
        assert "Traceback" not in told
