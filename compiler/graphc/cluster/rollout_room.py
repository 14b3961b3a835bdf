"""Says whether the nodes of a live cluster have room for a rollout, beside all else that runs there."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from graphc.cluster.client import Cluster, Kind, ref_of
from graphc.cluster.dangers import SURGE, Danger, find_restarted
from graphc.cluster.made import read_made
from graphc.cluster.planning import GraphPlan
from graphc.cluster.pod_needs import may_go_to, needs_of, room_of
from graphc.gpus.choices import list_choices
from graphc.gpus.pools import WHOLE
from graphc.gpus.room import Demand, Fit, Place, fit_demands
from graphc.ir.graph import Value
from graphc.seldon.deployment import Deployment, Predictor, deployment_of
from graphc.unchecked import Data, fields, objects, text, texts

NODE: Final = Kind("v1", "Node")
POD: Final = Kind("v1", "Pod")
OWN: Final = "seldon-deployment-id"
"""The label by which the operator marks the pods of a graph."""

UNENDED: Final = "status.phase!=Succeeded,status.phase!=Failed"

Owner = tuple[str, str]
"""A graph: its namespace and its name."""

# What the operator asks for its executor, where neither its installation nor the predictor says otherwise.
EXECUTOR: Final[Mapping[str, Value]] = {"cpu": "500m", "memory": "512Mi"}


@dataclass(frozen=True, slots=True)
class Pods:
    """The pods of one Deployment: how many there are to be, and what each is."""

    name: str
    count: int
    spec: Data

    @property
    def surge(self) -> int:
        """How many new pods may be there before an old one goes."""
        return ceil(self.count * SURGE)


def judge_room(cluster: Cluster, plans: Sequence[GraphPlan]) -> list[GraphPlan]:
    """Add to each plan what the live nodes have no room for, all graphs rolled out one after the other."""
    rolled = [each for each in plans if _rolls(each)]
    if not rolled:
        return list(plans)
    nodes = cluster.find(NODE, "", {})
    pods = cluster.find(POD, "", {}, UNENDED)
    settled: list[Pods] = []
    owners: set[Owner] = set()
    judged: list[GraphPlan] = []
    for plan in plans:
        if not _rolls(plan):
            judged.append(plan)
            continue
        owner = plan.bundle.namespace, plan.bundle.name
        places = find_places(nodes, pods, {*owners, owner})
        told = _judge(plan, settled, nodes, places)
        judged.append(told)
        # What finds no room is taken back, and leaves what runs now.
        if told is plan:
            owners.add(owner)
            settled += _settle(plan)
    return judged


def _rolls(plan: GraphPlan) -> bool:
    return plan.bundle.deployment is not None and not plan.is_silent


def _judge(
    plan: GraphPlan, beside: Sequence[Pods], nodes: Sequence[Data], places: Sequence[Place]
) -> GraphPlan:
    """Add what a graph finds no room for beside pods that have come before it."""
    after = plan.bundle.deployment
    assert after is not None
    # A rollout begins with new pods beside all old ones, and ends with old ones beside all new.
    for stage in find_stages(plan.live.get(ref_of(after)), after):
        fit = fit_stage([*beside, *stage], nodes, places)
        if fit.verdict != "fits":
            return replace(plan, dangers=(*plan.dangers, Danger("no-room", _say(fit, stage, beside))))
    return plan


def _settle(plan: GraphPlan) -> list[Pods]:
    """Return the pods of a graph once it is rolled out, by names that no other graph's have."""
    after = plan.bundle.deployment
    assert after is not None
    whole, _ = find_stages(None, after)
    name = f"{plan.bundle.namespace}/{plan.bundle.name}"
    return [replace(each, name=f"{name}/{each.name}") for each in whole]


def find_places(nodes: Sequence[Data], pods: Sequence[Data], owners: Collection[Owner]) -> list[Place]:
    """Return what each node has left by all pods but those of some graphs."""
    left = {text(node, "metadata", "name"): room_of(node) for node in nodes}
    for pod in pods:
        room = left.get(text(pod, "spec", "nodeName"))
        graph = texts(pod, "metadata", "labels").get(OWN, "")
        if room is not None and (text(pod, "metadata", "namespace"), graph) not in owners:
            for name, amount in needs_of(fields(pod, "spec")).items():
                room[name] = max(0, room.get(name, 0) - amount)
    return [Place(name, 1, room) for name, room in left.items()]


def fit_stage(stage: Sequence[Pods], nodes: Sequence[Data], places: Sequence[Place]) -> Fit:
    """Say whether all pods of a stage find room."""
    return fit_demands([_demand(each, nodes) for each in stage], places)


def _demand(pods: Pods, nodes: Sequence[Data]) -> Demand:
    places = tuple(text(node, "metadata", "name") for node in nodes if may_go_to(pods.spec, node))
    return Demand(pods.name, pods.count, needs_of(pods.spec), places)


def find_stages(before: Data | None, after: Data) -> tuple[list[Pods], list[Pods]]:
    """Return the pods that there are at the beginning and at the end of a rollout."""
    return _find_stages(None if before is None else deployment_of(before), deployment_of(after))


def _find_stages(before: Deployment | None, after: Deployment) -> tuple[list[Pods], list[Pods]]:
    news = {name: list(_pods(after, name, each)) for name, each in after.by_name.items()}
    if before is None:
        whole = [pods for each in news.values() for pods in each]
        return whole, whole
    first: list[Pods] = []
    last: list[Pods] = []
    olds = before.by_name
    had, has = (_names(each) for each in (before, after))
    # What goes is there until what comes is ready; a Deployment of another name is another one.
    gone = [
        pods
        for name, old in olds.items()
        for place, pods in enumerate(_pods(before, name, old))
        if had[name, place] not in has.values()
    ]
    first += gone
    last += gone
    for name, pods in news.items():
        old = olds.get(name)
        changed = find_restarted(before, after, name)
        there = list(_pods(before, name, old)) if old else []
        for index, new in enumerate(pods):
            if has[name, index] not in had.values():
                first.append(new)
                last.append(new)
            elif index in changed:
                was = there[index]
                first += [was, replace(new, count=max(0, new.count + new.surge - was.count))]
                last += [replace(was, count=new.surge), new]
            else:
                first.append(replace(new, count=max(new.count, there[index].count)))
                last.append(new)
    return first, last


def _names(deployment: Deployment) -> dict[tuple[str, int], str]:
    """Return the names of the Deployments that the operator makes, by predictor and place."""
    return {(each.predictor, each.place): name for name, each in read_made(deployment).pods.items()}


def _pods(deployment: Deployment, name: str, predictor: Predictor) -> Iterator[Pods]:
    for pod in predictor.pods:
        spec = fields(pod.spec.plain)
        if not pod.index and predictor.has_engine:
            own = fields(predictor.node.child("svcOrchSpec").plain, "resources")
            executor: Data = {"name": "executor", "resources": own or {"requests": dict(EXECUTOR)}}
            spec["containers"] = [*objects(spec, "containers"), executor]
        most = pod.node.child("hpaSpec").number("maxReplicas")
        count = deployment.replicas_of(predictor, pod) if most is None else most
        first = next((text(each, "name") for each in objects(spec, "containers")), "")
        yield Pods(f"{name}/{first}", count, spec)


def _say(fit: Fit, pods: Sequence[Pods], beside: Sequence[Pods]) -> str:
    surely = "have not" if fit.verdict == "short" else "may not have"
    reasons = "; ".join(fit.reasons[:3])
    others = " and what the graphs before it take" if beside else ""
    return (
        f"the nodes {surely} room for the rollout beside what runs there{others}, and it would wait for itself: "
        f"{reasons}; {_choose(pods)}"
    )


def _choose(pods: Sequence[Pods]) -> str:
    on_gpus = [each for each in pods if any("/" in name for name in needs_of(each.spec))]
    return list_choices(
        whole_gpus=any(WHOLE in needs_of(each.spec) for each in pods),
        replicas=any(each.count > 1 for each in pods),
        versions=len({each.name.partition("/")[0] for each in on_gpus}) > 1,
    )
