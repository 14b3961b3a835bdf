"""Kubernetes' own scheduler agrees with what graphc says of a cluster's room, on nodes that are made up."""

import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

import pytest
from generated_clusters import Judged, draw_worlds, judge
from graphc.cluster.client import Access, Cluster, Kind, connect
from graphc.cluster.node_gpus import count_gpus
from graphc.cluster.rollout_room import find_places, find_stages, fit_stage
from graphc.unchecked import Data, fields, objects, text
from made_up_nodes import nodes_of
from operator_pods import EXECUTOR, pods_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

CASES: Final = 320
OCCUPIED: Final = 60
"""Cases in which other things run on the nodes."""
SEED: Final = 7
NODES: Final = Kind("v1", "Node")
PODS: Final = Kind("v1", "Pod")
PENDING_SECONDS: Final = 30.0
RECORDED: Final = Path(__file__).parents[3] / "shared" / "seldon" / "operator.json"

SURROUNDINGS: Final[Sequence[tuple[str, str, Data]]] = (
    ("/api/v1/namespaces", "models", {}),
    ("/api/v1/namespaces/models/serviceaccounts", "default", {}),
    ("/apis/node.k8s.io/v1/runtimeclasses", "nvidia", {"handler": "nvidia"}),
)
"""What pods need to be admitted, that controllers and installations make elsewhere."""

REASONS: Final = (
    "Insufficient cpu",
    "Insufficient memory",
    "Too many pods",
    "Insufficient nvidia.com/gpu",
    "Insufficient nvidia.com/gpu.shared",
    "Insufficient nvidia.com/mig-",
    "had untolerated taint",
    "didn't match Pod's node affinity/selector",
)
"""What the scheduler says of nodes that will not do; each has to be seen."""


@dataclass
class Floor:
    """A cluster of nodes without kubelets, in which the scheduler puts pods on nodes and nothing runs."""

    cluster: Cluster
    namespace: str
    _count: int = 0
    messages: Counter[str] = field(default_factory=Counter[str])

    def set_up(self, judged: Judged) -> dict[str, str]:
        """Create the nodes, and return the pool of each."""
        self._count += 1
        made = list(nodes_of(judged.pools, f"w{self._count}-"))
        for each in made:
            self.cluster.request("POST", "/api/v1/nodes", body=each)
        names = [pool.name for pool in judged.pools for _ in range(pool.nodes)]
        return dict(zip((text(each, "metadata", "name") for each in made), names, strict=True))

    def tear_down(self) -> None:
        """Delete all pods and nodes."""
        options: Data = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        self.cluster.request("DELETE", f"/api/v1/namespaces/{self.namespace}/pods", body=options)
        self.cluster.request("DELETE", "/api/v1/nodes", body=options)

    def schedule(self, pods: Sequence[Data], nodes: int) -> list[Data]:
        """Create pods and return all that there are, once the scheduler has found a node for each or said why not."""
        for each in pods:
            self.cluster.create(each)
        end = time.monotonic() + PENDING_SECONDS
        while time.monotonic() < end:
            found = self.cluster.find(PODS, self.namespace, {})
            if all(is_bound(each) or self._is_refused(each, nodes) for each in found):
                return found
            time.sleep(0.02)
        pytest.fail("the scheduler has not looked at all pods")

    def _is_refused(self, pod: Data, nodes: int) -> bool:
        """Whether the scheduler has looked at every node, and no other case's, and found none."""
        for each in objects(pod, "status", "conditions"):
            if text(each, "type") == "PodScheduled" and text(each, "reason") == "Unschedulable":
                message = text(each, "message")
                if message.startswith(f"0/{nodes} nodes are available"):
                    self.messages[message] += 1
                    return True
        return False


def is_bound(pod: Data) -> bool:
    return bool(text(pod, "spec", "nodeName"))


@pytest.fixture(scope="module")
def floor(scheduler: Path) -> Floor:
    cluster = connect(Access(kubeconfig=str(scheduler)))
    for path, name, more in SURROUNDINGS:
        cluster.request("POST", path, body={"metadata": {"name": name}, **more})
    return Floor(cluster, "models")


def cases(folder: Path) -> Iterator[Judged]:
    """Yield worlds in which every pod could go somewhere if it were large enough."""
    worlds = draw_worlds(SEED)
    made = 0
    while made < CASES:
        judged = judge(next(worlds), folder)
        if judged is not None:
            made += 1
            yield judged


def in_some_order(judged: Judged, chance: random.Random, *, surging: bool) -> list[Data]:
    deployments = [each for deployment in judged.deployments for each in pods_of(deployment)]
    found = [pod for each in deployments for pod in each.make("models", surging=surging)]
    chance.shuffle(found)
    return found


def test_the_scheduler_agrees(floor: Floor, tmp_path: Path) -> None:
    """Pods that fit are all scheduled, in whatever order; of those that do not, some are not.

    Between the two, where the order decides, both happen.
    """
    seen: Counter[tuple[str, bool]] = Counter()
    chance = random.Random(SEED)
    for judged in cases(tmp_path):
        pool_of = floor.set_up(judged)
        pods = floor.schedule(in_some_order(judged, chance, surging=False), len(pool_of))
        if judged.world.phase == "surge":
            pods = floor.schedule(in_some_order(judged, chance, surging=True), len(pool_of))
        assert len(pods) == sum(ask.count(judged.world.phase) for ask in judged.asks)
        all_bound = all(is_bound(each) for each in pods)
        seen[judged.fit.verdict, all_bound] += 1
        if judged.fit.verdict != "tight":
            assert all_bound == (judged.fit.verdict == "fits"), (judged.fit, told(pods), str(judged.world))
        check_places(judged, pods, pool_of)
        floor.tear_down()
    print(f"\n{CASES} cases: {dict(seen)}")
    assert sum(seen.values()) == CASES
    for outcome in (("fits", True), ("short", False)):
        assert seen[outcome] > CASES / 4
    for all_bound in (True, False):
        assert seen["tight", all_bound] > 0
    assert seen["tight", True] + seen["tight", False] < CASES / 5
    for reason in REASONS:
        assert any(
            re.search(rf"{re.escape(reason)}(?![.\w])|{re.escape(reason)}\d", it) for it in floor.messages
        )


def put_others(floor: Floor, judged: Judged, chance: random.Random) -> None:
    """Let pods of somebody else's take some of the nodes' room; those that find none are gone again."""
    nodes = list(floor.cluster.find(NODES, "", {}))
    resources = sorted({name for node in nodes for name in count_gpus(node)})
    made: list[Data] = []
    for index in range(chance.randint(0, 2 * len(nodes))):
        requests: Data = {
            "cpu": chance.choice(["150m", "1", "1900m"]),
            "memory": chance.choice(["100M", "2Gi"]),
        }
        if resources and chance.random() < 0.4:
            requests[chance.choice(resources)] = "1"
        container: Data = {"name": "c", "image": "x", "resources": {"requests": requests, "limits": requests}}
        spec: Data = {"containers": [container], "tolerations": [{"operator": "Exists"}]}
        metadata: Data = {"name": f"other-{index}", "namespace": "models"}
        made.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    for each in floor.schedule(made, len(nodes)):
        if not is_bound(each):
            name = text(each, "metadata", "name")
            options: Data = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
            floor.cluster.request("DELETE", f"/api/v1/namespaces/models/pods/{name}", body=options)


def test_it_agrees_on_nodes_that_run_other_things(floor: Floor, tmp_path: Path) -> None:
    """What `graphc plan --room` finds out of live nodes and pods, whatever made them."""
    seen: Counter[tuple[str, bool]] = Counter()
    chance = random.Random(SEED)
    for judged in islice(cases(tmp_path), OCCUPIED):
        count = len(floor.set_up(judged))
        put_others(floor, judged, chance)
        nodes, others = floor.cluster.find(NODES, "", {}), floor.cluster.find(PODS, "", {})
        places = find_places(nodes, others, ())
        stage = [each for deployment in judged.deployments for each in find_stages((), [deployment])[0]]
        fit = fit_stage(stage, nodes, places)
        pods = floor.schedule(in_some_order(judged, chance, surging=False), count)
        all_bound = all(is_bound(each) for each in pods)
        seen[fit.verdict, all_bound] += 1
        if fit.verdict != "tight":
            assert all_bound == (fit.verdict == "fits"), (fit, told(pods), str(judged.world))
        floor.tear_down()
    print(f"\n{OCCUPIED} occupied: {dict(seen)}")
    assert sum(seen.values()) == OCCUPIED
    for outcome in (("fits", True), ("short", False)):
        assert seen[outcome] > OCCUPIED / 5
    assert seen["tight", True] + seen["tight", False] < OCCUPIED / 4


def told(pods: Sequence[Data]) -> list[str]:
    """What the scheduler says of the pods that it found no node for."""
    return [
        f"{text(pod, 'metadata', 'name')}: {text(each, 'message')}"
        for pod in pods
        for each in objects(pod, "status", "conditions")
        if not is_bound(pod)
    ]


def check_places(judged: Judged, pods: Sequence[Data], pool_of: dict[str, str]) -> None:
    """Every pod is where graphc says that it may go, and nowhere else."""
    asks = iter(judged.asks)
    allowed = {
        each.name: {pool.name for pool in judged.pools if ask.may_go_to(pool)}
        for deployment in judged.deployments
        for each in pods_of(deployment)
        for ask in (next(asks),)
    }
    for pod in pods:
        if is_bound(pod):
            name = text(pod, "metadata", "name").rpartition("-")[0]
            assert pool_of[text(pod, "spec", "nodeName")] in allowed[name], (name, str(judged.world))


def test_pods_are_as_the_operator_makes_them() -> None:
    """As recorded, but for servers that it brings along, and an executor that is asked to stand alone."""
    if not RECORDED.exists():
        pytest.skip(
            f"the operator's recordings are not part of this repository, and {RECORDED.name} is absent"
        )
    compared = 0
    for case in json.loads(RECORDED.read_text())["cases"]:
        made = [each.spec for each in pods_of(case["seldonDeployment"])]
        if made and case["id"] != "separate-engine":
            recorded = [fields(each, "spec", "template", "spec") for each in case["deployments"]]
            assert sorted(map(requests_of, made)) == sorted(map(requests_of, recorded)), case["id"]
            compared += 1
    assert compared > 8


def requests_of(spec: Data) -> str:
    """What the containers of a pod ask for, and which of them is the executor."""
    found = [
        (text(each, "name") == EXECUTOR, fields(each, "resources", "requests"))
        for each in objects(spec, "containers")
    ]
    return json.dumps(found)
