"""Says whether the nodes of a live cluster have room for a rollout, beside all else that runs there."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from graphc.cluster.bundle import POD
from graphc.cluster.client import Cluster, Kind, ref_of
from graphc.cluster.dangers import SURGE, Danger, read_pods
from graphc.cluster.find_serving import serving_of
from graphc.cluster.made import MadePods
from graphc.cluster.planning import GraphPlan
from graphc.cluster.pod_needs import may_go_to, needs_of, room_of
from graphc.cluster.serving import Reading
from graphc.engine_graph import MANAGED_BY, PART_OF
from graphc.gpus.choices import list_choices
from graphc.gpus.pools import WHOLE
from graphc.gpus.room import Demand, Fit, Place, fit_demands
from graphc.ir.graph import Value
from graphc.seldon.deployment import Deployment, Predictor
from graphc.unchecked import Data, fields, objects, text, texts

NODE: Final = Kind("v1", "Node")
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
    return serving_of(plan.bundle.documents) is not None and not plan.is_silent


def _judge(
    plan: GraphPlan, beside: Sequence[Pods], nodes: Sequence[Data], places: Sequence[Place]
) -> GraphPlan:
    """Add what a graph finds no room for beside pods that have come before it."""
    before = [*plan.live.values(), *plan.ours.values()]
    # A rollout begins with new pods beside all old ones, and ends with old ones beside all new.
    for stage in find_stages(before, _documents(plan)):
        fit = fit_stage([*beside, *stage], nodes, places)
        if fit.verdict != "fits":
            return replace(plan, dangers=(*plan.dangers, Danger("no-room", _say(fit, stage, beside))))
    return plan


def _documents(plan: GraphPlan) -> list[Data]:
    """Return the documents as the server would have them, which is how live ones are."""
    return [plan.results.get(ref_of(each), each) for each in plan.bundle.documents]


def _settle(plan: GraphPlan) -> list[Pods]:
    """Return the pods of a graph once it is rolled out, by names that no other graph's have."""
    whole, _ = find_stages((), _documents(plan))
    name = f"{plan.bundle.namespace}/{plan.bundle.name}"
    return [replace(each, name=f"{name}/{each.name}") for each in whole]


def find_places(nodes: Sequence[Data], pods: Sequence[Data], owners: Collection[Owner]) -> list[Place]:
    """Return what each node has left by all pods but those of some graphs."""
    left = {text(node, "metadata", "name"): room_of(node) for node in nodes}
    for pod in pods:
        room = left.get(text(pod, "spec", "nodeName"))
        if room is not None and (text(pod, "metadata", "namespace"), _graph_of(pod)) not in owners:
            for name, amount in needs_of(fields(pod, "spec")).items():
                room[name] = max(0, room.get(name, 0) - amount)
    return [Place(name, 1, room) for name, room in left.items()]


def _graph_of(pod: Data) -> str:
    """Return the graph that a pod is of, as the operator's label says, or graphc's own."""
    labels = texts(pod, "metadata", "labels")
    own = labels.get(PART_OF, "") if labels.get(MANAGED_BY) == "graphc" else ""
    return labels.get(OWN, own)


def fit_stage(stage: Sequence[Pods], nodes: Sequence[Data], places: Sequence[Place]) -> Fit:
    """Say whether all pods of a stage find room."""
    return fit_demands([_demand(each, nodes) for each in stage], places)


def _demand(pods: Pods, nodes: Sequence[Data]) -> Demand:
    places = tuple(text(node, "metadata", "name") for node in nodes if may_go_to(pods.spec, node))
    return Demand(pods.name, pods.count, needs_of(pods.spec), places)


def find_stages(before: Sequence[Data], after: Sequence[Data]) -> tuple[list[Pods], list[Pods]]:
    """Return the pods that there are at the beginning and at the end of a rollout, by documents of one graph."""
    serving = serving_of(after)
    if serving is None:
        return [], []
    new = serving.read_whole(after, lambda _: None)
    if all(ref_of(each).kind != serving.main for each in before):
        news = new.deployment
        whole = [pods for name, each in news.by_name.items() for pods in _pods(news, name, each)]
        return whole, whole
    return _find_stages(serving.read_whole(before, lambda _: None), new)


def _find_stages(before: Reading, after: Reading) -> tuple[list[Pods], list[Pods]]:
    made = read_pods(before), read_pods(after)
    olds, news = (_by_name(each.deployment, pods) for each, pods in zip((before, after), made, strict=True))
    # What goes is there until what comes is ready; a Deployment of another name is another one.
    gone = [pods for name, pods in olds.items() if name not in news]
    first, last = gone.copy(), gone.copy()
    for name, pods in news.items():
        was = olds.get(name)
        if was is None:
            first.append(pods)
            last.append(pods)
        elif made[0][name].template != made[1][name].template:
            first += [was, replace(pods, count=max(0, pods.count + pods.surge - was.count))]
            last += [replace(was, count=pods.surge), pods]
        else:
            first.append(replace(pods, count=max(pods.count, was.count)))
            last.append(pods)
    return first, last


def _by_name(deployment: Deployment, made: Mapping[str, MadePods]) -> dict[str, Pods]:
    """Return the pods of Deployments by the Deployments' names, in the order of the predictors."""
    names = {(each.predictor, each.place): name for name, each in made.items()}
    return {
        names[name, place]: pods
        for name, predictor in deployment.by_name.items()
        for place, pods in enumerate(_pods(deployment, name, predictor))
    }


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
