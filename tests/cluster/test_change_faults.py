"""A change that is interrupted or killed at any request leaves nothing half done, and is completed when run again.

So it is for every target. Without Seldon a change has more requests, and each test tries a part of them.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest
import yaml
from faulty_proxy import Proxy, When, harming
from forked_commands import Forks, forking
from graphc.cluster.bundle import CONFIG_MAP, DEPLOYMENT, SERVICE, WORKLOAD, Bundle, make_bundle
from graphc.cluster.client import Access, Cluster, Kind, Ref, connect
from graphc.cluster.ledger import Ledger, list_states
from graphc.cluster.planning import plan_graph
from graphc.cluster.records import State
from graphc.cluster.traffic import traffic_of
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.unchecked import objects, text
from stand_in_node import running_gateways, running_node
from stand_in_operator import READY, SILENT, Mood, operating

ROOT: Final = Path(__file__).parents[2]
MODELS: Final = ROOT / "graphs"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

NewNamespace = Callable[..., str]


PROFILE: Final = """\
apiVersion: graphc/v1
kind: ClusterProfile
metadata: {name: plain}
target: kubernetes
ingress: {kind: gateway, gateway: infra/public, path: "/{graph}"}
"""

STRIDE: Final = 8
ROUTE: Final = Kind("gateway.networking.k8s.io/v1", "HTTPRoute")


def write_graph(folder: Path, name: str, version: int) -> Path:
    """Write a version of a graph: the second has another model, another split, and one predictor less."""
    model = "diabetes-route/models/lean.onnx" if version == 1 else "diabetes-route/models/heavy.onnx"
    other = {"nodes": {"lean": {"model": str(MODELS / "diabetes-tier/models/quick.onnx")}}}
    predictors: dict[str, object] = {"main": {"traffic": 80}, "canary": {"traffic": 20, **other}}
    if version == 1:
        predictors["dark"] = {"shadow": True, **other}
    else:
        predictors = {"main": {"traffic": 50}, "canary": {"traffic": 50, **other}}
    graph = {
        "apiVersion": "graphc/v1",
        "kind": "InferenceGraph",
        "metadata": {"name": name},
        "inputs": {"x": "FP32[batch, 10]"},
        "nodes": {"lean": {"model": str(MODELS / model), "in": {"X": "x"}}},
        "outputs": {"y": "lean"},
        "predictors": predictors,
    }
    path = folder / f"{name}-{version}.yaml"
    path.write_text(yaml.safe_dump(graph, sort_keys=False))
    return path


@dataclass
class Place:
    """Where the tests run: a namespace with what stands in for an operator or for nodes, and ways to look."""

    kubeconfig: Path
    namespace: str
    folder: Path
    forks: Forks
    cluster: Cluster
    profile: Path | None = None
    stride: int = 1
    """Every which request is tried."""

    def arguments(self, verb: str, *more: str, config: Path | None = None) -> list[str]:
        options = ["--kubeconfig", str(config or self.kubeconfig), "-n", self.namespace]
        if verb == "apply" and self.profile is not None:
            options += ["--profile", str(self.profile)]
        return [verb, *options, *more]

    def tried(self, requests: int, start: int = 1, step: int = 1) -> range:
        """Return the numbers of the requests that are harmed."""
        return range(start, requests + 1, step * self.stride)

    def apply(self, path: Path, config: Path | None = None) -> tuple[int, str]:
        return self.forks.run(self.arguments("apply", "--yes", "--timeout", "60s", str(path), config=config))

    def delete(self, name: str) -> None:
        code, words = self.forks.run(self.arguments("delete", "--yes", name))
        assert code == 0, words
        assert not self.names(name)

    def bundle(self, path: Path) -> Bundle:
        profile = None if self.profile is None else str(self.profile)
        done = compile_files(Request([str(path)], profile=profile))
        (graph,) = done.graphs
        assert graph.emission is not None, [each.message for each in done.sink]
        return make_bundle(
            graph.spec.fields.metadata.name, None, graph.emission.documents, self.namespace, ""
        )

    def state(self, name: str) -> State:
        return Ledger(self.cluster, self.namespace, name).load()

    def is_exactly(self, path: Path) -> bool:
        """Say whether the cluster holds that version of the graph, and nothing is left to do or to delete."""
        bundle = self.bundle(path)
        plan = plan_graph(self.cluster, bundle, self.state(bundle.name))
        return plan.is_silent and not plan.conflicts

    def shares(self, name: str) -> dict[str, int]:
        """Return the shares of the predictors that answer clients."""
        if self.profile is None:
            live = self.cluster.get(Ref(DEPLOYMENT, self.namespace, name))
            return traffic_of([live or {}])
        live = self.cluster.get(Ref(ROUTE, self.namespace, name))
        (rule,) = objects(live, "spec", "rules")
        return {
            text(each, "name").removeprefix(f"{name}-"): int(str(each["weight"]))
            for each in objects(rule, "backendRefs")
        }

    def names(self, graph: str) -> list[str]:
        """Return everything in the namespace that belongs to the graph, by its name."""
        # An operator's Deployments are the operator's.
        kinds = (CONFIG_MAP, DEPLOYMENT) if self.profile is None else (CONFIG_MAP, WORKLOAD, SERVICE, ROUTE)
        found = [
            text(each, "metadata", "name")
            for kind in kinds
            for each in self.cluster.find(kind, self.namespace, {})
        ]
        return sorted(name for name in found if name == graph or name.startswith((f"{graph}-", f"{graph}.")))


@dataclass(frozen=True)
class World:
    """A cluster with a namespace for graphs of one target, where pods whose image is `silent` never start."""

    kubeconfig: Path
    namespace: str
    profile: Path | None

    def place(self, folder: Path, forks: Forks) -> Place:
        cluster = connect(Access(kubeconfig=str(self.kubeconfig), namespace=self.namespace))
        stride = 1 if self.profile is None else STRIDE
        return Place(self.kubeconfig, self.namespace, folder, forks, cluster, self.profile, stride)


@pytest.fixture(scope="module", params=["seldon", "kubernetes"])
def world(
    request: pytest.FixtureRequest, new_namespace: NewNamespace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    if request.param == "seldon":
        request.getfixturevalue("seldon")
        kubeconfig: Path = request.getfixturevalue("kubeconfig")
        namespace = new_namespace()
        with operating(str(kubeconfig), namespace, never_ready):
            yield World(kubeconfig, namespace, None)
        return
    kubeconfig, kubectl = request.getfixturevalue("plain_cluster")
    assert not kubectl("create", "namespace", "faults").returncode
    profile = tmp_path_factory.mktemp("profile") / "plain.yaml"
    profile.write_text(PROFILE)
    with (
        running_node(str(kubeconfig), lambda images: never_ready("", images)),
        running_gateways(str(kubeconfig), "faults"),
    ):
        yield World(kubeconfig, "faults", profile)


@pytest.fixture(scope="module")
def place(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("faults")
    with forking(folder) as forks:
        yield world.place(folder, forks)


def never_ready(_predictor: str, images: tuple[str, ...]) -> Mood:
    return SILENT if any(image.startswith("silent:") for image in images) else READY


def never(_number: int, _when: When) -> bool:
    return False


def count_requests(place: Place, name: str) -> list[tuple[str, str]]:
    """Return the requests of a change from the first version to the second."""
    assert place.apply(write_graph(place.folder, name, 1))[0] == 0
    with harming(place.kubeconfig, place.folder, never) as proxy:
        code, words = place.apply(write_graph(place.folder, name, 2), proxy.kubeconfig)
    assert code == 0, words
    place.delete(name)
    return proxy.seen


def run_with_signal(
    place: Place, path: Path, number: int, when: When, sent: signal.Signals
) -> tuple[int, str, Proxy]:
    """Apply, and send the command a signal around its request of that number."""
    return interrupt(place, ("apply", "--yes", "--timeout", "60s", str(path)), number, when, sent)


def interrupt(
    place: Place, command: Sequence[str], number: int, when: When, sent: signal.Signals
) -> tuple[int, str, Proxy]:
    """Run a command, and send it a signal around its request of that number."""
    process: list[int] = []

    def harm(count: int, at: When) -> bool:
        if (count, at) == (number, when):
            os.kill(process[0], sent)
        return False

    with harming(place.kubeconfig, place.folder, harm) as proxy:
        process.append(place.forks.start(place.arguments(*command, config=proxy.kubeconfig)))
        code, words = place.forks.wait()
    return code, words, proxy


def alternate(place: Place, requests: int) -> Iterator[tuple[int, signal.Signals]]:
    """Yield every third request, with Ctrl-C and a kill in turns."""
    for turn, number in enumerate(place.tried(requests, step=3)):
        yield number, signal.SIGKILL if turn % 2 else signal.SIGINT


def test_ctrl_c_at_any_request_leaves_one_whole_version(place: Place) -> None:
    requests = count_requests(place, "counted")
    ends: dict[str, int] = {"old": 0, "new": 0}
    for number in place.tried(len(requests)):
        for when in ("before", "after"):
            name = f"int{number}{when[0]}"
            old, new = write_graph(place.folder, name, 1), write_graph(place.folder, name, 2)
            assert place.apply(old)[0] == 0
            code, words, _ = run_with_signal(place, new, number, when, signal.SIGINT)
            state = place.state(name)
            assert state.pending is None, f"{number} {when} {requests[number - 1]}: {words}"
            is_new = place.is_exactly(new)
            assert is_new or place.is_exactly(old), f"{number} {when}: {words}"
            ends["new" if is_new else "old"] += 1
            # The polls of the wait are not as many each time: a late number may never come.
            assert code in ({0, 130} if is_new else {130}), f"{number} {when} ended with {code}: {words}"
            assert "Traceback" not in words
            place.delete(name)
    assert ends["old"] > len(place.tried(len(requests)))
    assert ends["new"] > 0


def test_a_change_killed_at_any_request_is_completed_by_the_next(place: Place) -> None:
    requests = count_requests(place, "counted")
    unfinished = 0
    for number in place.tried(len(requests)):
        for when in ("before", "after"):
            name = f"kill{number}{when[0]}"
            old, new = write_graph(place.folder, name, 1), write_graph(place.folder, name, 2)
            assert place.apply(old)[0] == 0
            code, words, _ = run_with_signal(place, new, number, when, signal.SIGKILL)
            assert code in {-9, 0}, words
            pending = place.state(name).pending
            unfinished += pending is not None
            code, words = place.forks.run(place.arguments("status", name))
            assert ("unfinished" in words) == (pending is not None)
            code, words = place.apply(new)
            assert code == 0, f"{number} {when} {requests[number - 1]}: {words}"
            assert place.state(name).pending is None
            assert place.is_exactly(new)
            place.delete(name)
    assert unfinished > len(place.tried(len(requests))) / 2


def test_a_change_killed_at_any_request_is_taken_back_by_rollback(place: Place) -> None:
    requests = count_requests(place, "counted")
    for number in place.tried(len(requests), step=2):
        name = f"back{number}"
        old, new = write_graph(place.folder, name, 1), write_graph(place.folder, name, 2)
        assert place.apply(old)[0] == 0
        run_with_signal(place, new, number, "after", signal.SIGKILL)
        if place.state(name).pending is None:
            place.delete(name)
            continue
        was_complete = place.state(name).current == 2
        code, words = place.forks.run(place.arguments("rollback", "--yes", name))
        assert code == 0, words
        assert place.state(name).pending is None
        if not was_complete:
            assert place.is_exactly(old), f"{number} {requests[number - 1]}: {words}"
        place.delete(name)


def test_a_first_change_killed_at_any_request_leaves_nothing_after_a_rollback(place: Place) -> None:
    path = write_graph(place.folder, "first", 1)
    with harming(place.kubeconfig, place.folder, never) as proxy:
        assert place.apply(path, proxy.kubeconfig)[0] == 0
    place.delete("first")
    for number in place.tried(len(proxy.seen), step=2):
        name = f"first{number}"
        run_with_signal(place, write_graph(place.folder, name, 1), number, "after", signal.SIGKILL)
        state = place.state(name)
        if state.pending is not None and state.current is None:
            code, words = place.forks.run(place.arguments("rollback", "--yes", name))
            assert code == 0, words
            assert place.names(name) == [f"{name}.graphc"]
        if place.names(name):
            place.delete(name)


PROMOTE: Final = (
    *("promote", "--yes", "--to", "canary", "--steps", "60,100", "--pause", "0s"),
    "--without-gates",
)


def test_a_promotion_stopped_at_any_request_goes_on_when_run_again(place: Place) -> None:
    whole = [{"main": 80, "canary": 20}, {"main": 40, "canary": 60}, {"main": 0, "canary": 100}]
    assert place.apply(write_graph(place.folder, "stopped", 1))[0] == 0
    code, words, proxy = interrupt(place, (*PROMOTE, "stopped"), 0, "after", signal.SIGINT)
    assert code == 0, words
    place.delete("stopped")
    stopped = 0
    for number, sent in alternate(place, len(proxy.seen)):
        name = f"stop{number}"
        path = write_graph(place.folder, name, 1)
        assert place.apply(path)[0] == 0
        code, words, _ = interrupt(place, (*PROMOTE, name), number, "after", sent)
        stopped += code != 0
        assert place.shares(name) in whole, f"{number} {sent}: {words}"
        assert "Traceback" not in words
        if sent == signal.SIGINT:
            assert place.state(name).pending is None, f"{number}: {words}"
        code, words = place.forks.run(place.arguments(*PROMOTE, name))
        assert code == 0, f"{number} {sent}: {words}"
        assert place.shares(name) == whole[-1]
        assert place.state(name).pending is None
        place.delete(name)
    assert stopped > len(place.tried(len(proxy.seen), step=6))


def test_a_rollback_stopped_at_any_request_is_completed_when_run_again(place: Place) -> None:
    def prepare(name: str) -> tuple[Path, Path]:
        old, new = (write_graph(place.folder, name, version) for version in (1, 2))
        assert place.apply(old)[0] == place.apply(new)[0] == 0
        return old, new

    prepare("undone")
    code, words, proxy = interrupt(place, ("rollback", "--yes", "undone", "1"), 0, "after", signal.SIGINT)
    assert code == 0, words
    place.delete("undone")
    stopped = 0
    for number, sent in alternate(place, len(proxy.seen)):
        name = f"undo{number}"
        old, new = prepare(name)
        code, words, _ = interrupt(place, ("rollback", "--yes", name, "1"), number, "after", sent)
        stopped += code != 0
        if sent == signal.SIGINT:
            assert place.state(name).pending is None, f"{number}: {words}"
            assert place.is_exactly(old) or place.is_exactly(new), f"{number}: {words}"
        code, words = place.forks.run(place.arguments("rollback", "--yes", name, "1"))
        assert code == 0, f"{number} {sent}: {words}"
        assert place.is_exactly(old)
        assert place.state(name).pending is None
        place.delete(name)
    assert stopped > len(place.tried(len(proxy.seen), step=6))


def test_answers_that_are_lost_are_asked_for_again(place: Place) -> None:
    """A request that was carried out and not answered is sent twice; that changes nothing."""
    name = "lossy"
    old, new = write_graph(place.folder, name, 1), write_graph(place.folder, name, 2)
    assert place.apply(old)[0] == 0

    def every_third(number: int, when: When) -> bool:
        return when == "after" and number % 3 == 0

    with harming(place.kubeconfig, place.folder, every_third) as proxy:
        code, words = place.apply(new, proxy.kubeconfig)
    assert code == 0, words
    assert place.is_exactly(new)
    assert place.state(name).current == 2
    place.delete(name)


def wait_for(look: Callable[[], bool], seconds: float = 30) -> None:
    for _ in range(int(seconds * 10)):
        if look():
            return
        time.sleep(0.1)
    pytest.fail("what was waited for did not come")


@pytest.fixture
def slow_place(world: World, tmp_path: Path) -> Iterator[tuple[Place, Place]]:
    """Return the namespace for two people."""
    (tmp_path / "other").mkdir()
    with forking(tmp_path) as mine, forking(tmp_path / "other") as others:
        yield world.place(tmp_path, mine), world.place(tmp_path, others)


def begin_a_wait(place: Place, name: str) -> tuple[Path, int]:
    """Apply a version, begin to apply one that never starts, and return when that waits for its pods."""
    path = write_graph(place.folder, name, 1)
    assert place.apply(path)[0] == 0
    path.write_text(path.read_text() + "runtime: {image: silent}\n")
    process = place.forks.start(place.arguments("apply", "--yes", "--timeout", "60s", str(path)))

    def is_waiting() -> bool:
        pending = place.state(name).pending
        return pending is not None and pending.step == "waiting"

    wait_for(is_waiting)
    return path, process


def test_two_changes_of_a_graph_exclude_each_other(slow_place: tuple[Place, Place]) -> None:
    mine, others = slow_place
    _, process = begin_a_wait(mine, "shared")
    for verb in (
        ["apply", "--yes", str(write_graph(mine.folder, "shared", 2))],
        ["delete", "--yes", "shared"],
    ):
        code, words = others.forks.run(others.arguments(*verb))
        assert code == 1
        assert "is changing `shared` (apply); try again later" in words
    os.kill(process, signal.SIGTERM)
    code, words = mine.forks.wait()
    assert code == 130
    assert "revision 1 serves again" in words
    assert mine.is_exactly(write_graph(mine.folder, "shared", 1))


def test_a_second_signal_leaves_the_change_and_a_silent_holder_elsewhere_is_given_up(
    slow_place: tuple[Place, Place],
) -> None:
    mine, others = slow_place
    begin_a_wait(mine, "left")
    process = 0

    def harm(_number: int, when: When) -> bool:
        if when == "before" and mine.state("left").pending is not None:
            step = mine.state("left").pending
            if step is not None and step.step == "restoring":
                os.kill(process, signal.SIGINT)
        return False

    # The one under way is stopped for good; another takes its place behind the proxy.
    code, _ = stop(mine)
    assert code == 130
    path = write_graph(mine.folder, "left", 2)
    path.write_text(path.read_text() + "runtime: {image: silent}\n")
    with harming(mine.kubeconfig, mine.folder, harm) as proxy:
        arguments = mine.arguments("apply", "--yes", "--timeout", "60s", str(path), config=proxy.kubeconfig)
        process = mine.forks.start(arguments)
        wait_for(lambda: (pending := mine.state("left").pending) is not None and pending.step == "waiting")
        os.kill(process, signal.SIGINT)
        code, words = mine.forks.wait()
    assert code == 130
    assert "once more leaves it unfinished" in words
    assert "left: left unfinished" in words
    pending = mine.state("left").pending
    assert pending is not None
    # As if its process had been on another machine: nobody can look for it there.
    ledger = Ledger(mine.cluster, mine.namespace, "left")
    elsewhere = replace(pending, holder=replace(pending.holder, machine="elsewhere"))
    ledger.save(replace(ledger.load(), pending=elsewhere))
    code, words = others.forks.run(others.arguments("rollback", "--yes", "left"))
    assert code == 0
    assert "waiting for that to end" in words
    assert mine.state("left").pending is None
    assert mine.is_exactly(write_graph(mine.folder, "left", 1))


def stop(place: Place) -> tuple[int, str]:
    pending = next(iter(list_states(place.cluster, place.namespace))).pending
    assert pending is not None
    os.kill(pending.holder.process, signal.SIGINT)
    return place.forks.wait()
