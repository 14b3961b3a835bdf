"""What a rollout needs of nodes on which other things run, at its beginning and at its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import pytest
from click.testing import CliRunner
from graphc.cli import main
from graphc.cluster.bundle import Bundle
from graphc.cluster.client import Cluster, Kind, ref_of
from graphc.cluster.planning import GraphPlan, Step
from graphc.cluster.pod_needs import may_go_to, needs_of
from graphc.cluster.records import State
from graphc.cluster.rollout_room import NODE as NODE_KIND
from graphc.cluster.rollout_room import find_places, find_stages, judge_room
from graphc.ir.graph import Value
from graphc.unchecked import Data

Json = dict[str, Any]
GPU = "nvidia.com/gpu"


def pod(*requests: Json, **more: Any) -> Json:
    return {
        "containers": [{"name": f"c{i}", "resources": {"requests": it}} for i, it in enumerate(requests)],
        **more,
    }


@pytest.mark.parametrize(
    ("spec", "needs"),
    [
        (pod({}), {}),
        (pod({"cpu": "250m", "memory": "1Gi"}, {"cpu": 1}), {"cpu": 1250, "memory": 2**30}),
        (pod({"cpu": "0.3m"}, {"cpu": "0.3m"}), {"cpu": 1}),
        (pod({GPU: 1}, {GPU: "2"}), {GPU: 3}),
        # What is only limited is asked for too, and what is neither is nothing.
        (
            {"containers": [{"resources": {"limits": {GPU: 2, "cpu": 1}, "requests": {"cpu": "1m"}}}]},
            {GPU: 2, "cpu": 1},
        ),
        (pod({"cpu": "odd"}), {}),
        # The largest of those before, one after the other, or all containers.
        (pod({"cpu": 1}, initContainers=[*pod({"cpu": 2}, {"cpu": 3})["containers"]]), {"cpu": 3000}),
        (pod({"cpu": 4}, initContainers=[*pod({"cpu": 3})["containers"]]), {"cpu": 4000}),
        (pod({"cpu": 1}, overhead={"cpu": "100m"}), {"cpu": 1100}),
    ],
)
def test_needs_of_a_pod(spec: Json, needs: dict[str, int]) -> None:
    assert needs_of(spec) == {"pods": 1, **needs}


def test_sidecars_stay() -> None:
    sidecar: Json = {"restartPolicy": "Always", "resources": {"requests": {"cpu": 1}}}
    last: Json = {"resources": {"requests": {"cpu": 3}}}
    assert needs_of(pod({"cpu": 1}, initContainers=[sidecar, last]))["cpu"] == 4000
    assert needs_of(pod({"cpu": 1}, initContainers=[last, sidecar]))["cpu"] == 3000


def affinity(*expressions: Json) -> Json:
    required = {"nodeSelectorTerms": [{"matchExpressions": list(expressions)}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}


TAINT: Json = {"key": "team", "value": "vision", "effect": "NoSchedule"}
NODE: Json = {"metadata": {"name": "a", "labels": {"kind": "l4", "size": "8"}}, "spec": {}}


@pytest.mark.parametrize(
    ("spec", "taints", "may"),
    [
        ({}, [], True),
        ({}, [TAINT], False),
        ({}, [TAINT | {"effect": "PreferNoSchedule"}], True),
        ({"tolerations": [{"operator": "Exists"}]}, [TAINT], True),
        ({"tolerations": [{"key": "team", "operator": "Exists", "effect": "NoSchedule"}]}, [TAINT], True),
        ({"tolerations": [{"key": "team", "operator": "Exists", "effect": "NoExecute"}]}, [TAINT], False),
        ({"tolerations": [{"key": "team", "value": "vision"}]}, [TAINT], True),
        ({"tolerations": [{"key": "team", "value": "speech"}]}, [TAINT], False),
        ({"nodeSelector": {"kind": "l4"}}, [], True),
        ({"nodeSelector": {"kind": "t4"}}, [], False),
        (affinity({"key": "kind", "operator": "In", "values": ["t4", "l4"]}), [], True),
        (affinity({"key": "kind", "operator": "In", "values": ["t4"]}), [], False),
        (affinity({"key": "kind", "operator": "NotIn", "values": ["t4"]}), [], True),
        (affinity({"key": "kind", "operator": "Exists"}), [], True),
        (affinity({"key": "kind", "operator": "DoesNotExist"}), [], False),
        (affinity({"key": "size", "operator": "Gt", "values": ["7"]}), [], True),
        (affinity({"key": "size", "operator": "Lt", "values": ["7"]}), [], False),
        (affinity({"key": "kind", "operator": "Gt", "values": ["7"]}), [], False),
        (affinity(), [], False),
    ],
)
def test_where_a_pod_may_go(spec: Json, taints: list[Json], *, may: bool) -> None:
    node: Json = NODE | {"spec": {"taints": taints}}
    assert may_go_to(spec, node) is may
    node["spec"]["unschedulable"] = True
    assert not may_go_to(spec, node)


SELDON: Final[Json] = {"apiVersion": "machinelearning.seldon.io/v1", "kind": "SeldonDeployment"}


def deployment(gpus: int = 1, **counts: int) -> Data:
    predictors: list[Value] = [
        {
            "name": name,
            "annotations": {"seldon.io/no-engine": "true"},
            "graph": {"name": "m"},
            "replicas": count,
            "componentSpecs": [{"spec": pod({GPU: gpus})}],
        }
        for name, count in counts.items()
    ]
    whole: Json = SELDON | {"metadata": {"name": "g"}, "spec": {"predictors": predictors}}
    return whole


def gpus_at(before: Data | None, after: Data) -> tuple[int, int]:
    """The GPUs that are needed at the beginning and at the end."""
    first, last = (
        sum(each.count * needs_of(each.spec).get(GPU, 0) for each in stage)
        for stage in find_stages([] if before is None else [before], [after])
    )
    return first, last


def spread(*units: str) -> Data:
    """A deployment whose units have three pods each, with a GPU, behind a first one."""
    containers = [{**pod({GPU: 1})["containers"][0], "name": each} for each in ("first", *units)]
    specs: list[Value] = [{"spec": {"containers": [each]}, "replicas": 3} for each in containers]
    whole: Json = SELDON | {
        "metadata": {"name": "g"},
        "spec": {"predictors": [{"name": "main", "graph": {"name": "first"}, "componentSpecs": specs}]},
    }
    return whole


def test_pods_of_a_deployment_with_another_name_are_there_twice() -> None:
    # The first ones' executor is told of the change; `b` is numbered anew, and `c` only comes.
    assert gpus_at(spread("b"), spread("b", "c")) == (3 + 1 + 3 + 3, 1 + 3 + 3 + 3)
    assert gpus_at(spread("b"), spread("a", "b")) == (3 + 1 + 3 + 3 + 3, 1 + 3 + 3 + 3 + 3)


@pytest.mark.parametrize(
    ("before", "after", "needed"),
    [
        (None, deployment(main=4), (4, 4)),
        # Nothing restarts.
        (deployment(main=4), deployment(main=4), (4, 4)),
        (deployment(main=4), deployment(main=6), (6, 6)),
        (deployment(main=4), deployment(main=2), (4, 2)),
        # A quarter more, rounded up, of the new ones first and of the old ones last.
        (deployment(1, main=5), deployment(2, main=5), (5 + 2 * 2, 2 + 5 * 2)),
        (deployment(1, main=2), deployment(2, main=4), (2 + 3 * 2, 1 + 4 * 2)),
        (deployment(1, main=8), deployment(2, main=2), (8, 1 + 2 * 2)),
        # A version that comes, and one that goes.
        (deployment(main=4), deployment(main=4, canary=2), (6, 6)),
        (deployment(main=4, old=3), deployment(main=4), (7, 7)),
    ],
)
def test_beginning_and_end(before: Data | None, after: Data, needed: tuple[int, int]) -> None:
    assert gpus_at(before, after) == needed


def test_the_executor_is_counted_and_may_be_asked_for_otherwise() -> None:
    with_engine: Json = deployment(main=1)
    (predictor,) = with_engine["spec"]["predictors"]
    del predictor["annotations"]
    (pods,) = find_stages((), [with_engine])[0]
    assert needs_of(pods.spec) == {"pods": 1, GPU: 1, "cpu": 500, "memory": 2**29}
    predictor["svcOrchSpec"] = {"resources": {"requests": {"cpu": "1"}}}
    (pods,) = find_stages((), [with_engine])[0]
    assert needs_of(pods.spec) == {"pods": 1, GPU: 1, "cpu": 1000}


def test_what_others_take_is_not_there_and_what_the_graph_has_is() -> None:
    node: Json = NODE | {"status": {"allocatable": {"cpu": "4", "pods": "10", GPU: "4"}}}

    def bound(namespace: str, graph: str, node: str = "a") -> Json:
        labels = {"seldon-deployment-id": graph}
        return {
            "metadata": {"namespace": namespace, "labels": labels},
            "spec": {"nodeName": node, **pod({GPU: 1, "cpu": "500m"})},
        }

    pods = [
        bound("models", "g"),
        bound("models", "h"),
        bound("other", "g"),
        bound("other", "g", "gone"),
        bound("x", "y", ""),
    ]
    (place,) = find_places([node], pods, {("models", "g")})
    assert place.room == {"cpu": 3000, "pods": 8, GPU: 2}


def test_it_is_asked_of_a_cluster_alone() -> None:
    done = CliRunner().invoke(main, ["plan", "--room", "--against", "other.yaml", "graph.yaml"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "--room asks the cluster, and --against leaves it out" in done.stderr


# --- Several graphs in one call --------------------------------------------------------------------------


@dataclass
class Nodes:
    """A cluster of one node with GPUs, and of pods that run there."""

    gpus: int
    pods: Sequence[Json] = ()

    def find(self, kind: Kind, *_: object) -> list[Json]:
        status = {"allocatable": {GPU: str(self.gpus), "cpu": "64", "memory": "64Gi", "pods": "99"}}
        node: Json = {"metadata": {"name": "a", "labels": {}}, "spec": {}, "status": status}
        return [node] if kind == NODE_KIND else list(self.pods)

    def judge(self, *plans: GraphPlan) -> list[int]:
        """How often each plan is told that there is no room."""
        judged = judge_room(cast("Cluster", self), plans)
        return [sum(each.kind == "no-room" for each in plan.dangers) for plan in judged]


def deployed(name: str, gpus: int, image: str = "one") -> Json:
    spec = pod({GPU: str(gpus)})
    spec["containers"][0]["image"] = image
    predictor = {"name": "main", "replicas": 1, "componentSpecs": [{"spec": spec}], "graph": {"name": "c0"}}
    return SELDON | {"metadata": {"name": name, "namespace": "models"}, "spec": {"predictors": [predictor]}}


def planned(name: str, gpus: int, before: Json | None = None) -> GraphPlan:
    after = deployed(name, gpus, "two")
    bundle = Bundle(name, "models", (after,))
    ref = ref_of(after)
    step = Step(ref, "create" if before is None else "update")
    return GraphPlan(bundle, (step,), (), (), State(name, "models"), {} if before is None else {ref: before})


def running(name: str, gpus: int) -> Json:
    metadata = {"namespace": "models", "labels": {"seldon-deployment-id": name}}
    return {"metadata": metadata, "spec": pod({GPU: str(gpus)}) | {"nodeName": "a"}}


def test_graphs_that_come_share_the_nodes() -> None:
    assert Nodes(3).judge(planned("a", 2)) == Nodes(3).judge(planned("b", 2)) == [0]
    assert Nodes(3).judge(planned("a", 2), planned("b", 2)) == [0, 1]
    assert Nodes(4).judge(planned("a", 2), planned("b", 2)) == [0, 0]


def test_a_surge_is_over_before_the_next_begins() -> None:
    live = [running("a", 1), running("b", 1)]
    plans = [planned(name, 1, deployed(name, 1)) for name in ("a", "b")]
    assert Nodes(3, live).judge(*plans) == [0, 0]
    assert Nodes(2, live).judge(*plans) == [1, 1]


def test_what_a_graph_gives_back_the_next_one_has() -> None:
    live = [running("a", 3), running("b", 1)]
    shrunk, grown = planned("a", 1, deployed("a", 3)), planned("b", 3, deployed("b", 1))
    assert Nodes(5, live).judge(shrunk, grown) == [0, 0]
    assert Nodes(5, live).judge(grown, shrunk) == [1, 0]
