"""Reads graphs of the target `kubernetes`: Deployments of their own, with Services and what scales them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from graphc.cluster.bundle import (
    AUTOSCALER,
    BUDGET,
    CONFIG_MAP,
    POD,
    REVISION,
    SCALERS,
    SERVICE,
    WORKLOAD,
    find_bounds,
    is_ours,
    is_route,
    labels_of,
)
from graphc.cluster.client import Cluster, Kind, Ref, ref_of
from graphc.cluster.made import Made, MadePods, MadeService
from graphc.cluster.serving import Meter, Progress, Reading, Sight
from graphc.cluster.share_moves import Moves, move_rollout, read_shares
from graphc.cluster.trouble import Trouble
from graphc.cluster.view import FindMap, view_workloads
from graphc.cluster.workload_status import count_ready, is_rolled_out
from graphc.engine_graph import PREDICTOR
from graphc.ir.graph import Value
from graphc.rollout.read_rollout import read_annotation
from graphc.rollout.shares import ALL, ANNOTATION
from graphc.seldon.deployment import NO_ENGINE, Deployment, deployment_of
from graphc.seldon.node import node_of
from graphc.unchecked import Data, fields, number, objects, text, texts
from graphc.workloads import Workload, group_versions, list_workloads

REPLICA_SET: Final = Kind("apps/v1", "ReplicaSet")

HASH: Final = "pod-template-hash"
"""What a Deployment's controller notes of a ReplicaSet, and of the pods in it."""


@dataclass(frozen=True, slots=True)
class KubernetesServing:
    """How Deployments that graphc made are read."""

    target: str = "kubernetes"
    main: Kind = WORKLOAD
    kinds: tuple[Kind, ...] = (CONFIG_MAP, WORKLOAD, SERVICE, AUTOSCALER, BUDGET)
    has_operator: bool = False
    unready: str = "not yet rolled out"

    def read(self, documents: Sequence[Mapping[str, Value]]) -> Deployment:
        """Return what the Deployments say of predictors; one that says nothing of shares has none."""
        workloads = _list(documents)
        scaling = _find_scaling(documents)
        versions = group_versions(sorted(workloads, key=lambda each: not each.is_entry))
        annotations = {
            name: value for each in workloads if each.is_entry for name, value in each.annotations.items()
        }
        predictors = {name: _predictor(name, own, scaling) for name, own in versions.items()}
        _share_out(predictors, annotations.get(ANNOTATION))
        metadata: Data = {"name": workloads[0].graph if workloads else "", "annotations": {**annotations}}
        return deployment_of({"metadata": metadata, "spec": {"predictors": list[Value](predictors.values())}})

    def read_whole(self, documents: Sequence[Data], find_map: FindMap) -> Reading:
        """Return all that the documents say."""
        deployment = self.read(documents)
        workloads = [each for each in documents if ref_of(each).kind == WORKLOAD]
        return Reading(deployment, view_workloads(workloads, find_map), _read_made(deployment, documents))

    def annotation(self, documents: Sequence[Data], name: str) -> str:
        """Return an annotation of the pods that clients call: every version's have those of the graph."""
        found = (each.annotations.get(name, "") for each in _list(documents) if each.is_entry)
        return next(found, "")

    def tells(self, ref: Ref) -> bool:
        """Say whether an object is a Deployment or a route, which between them say what serves whom."""
        return ref.kind == self.main or is_route(ref)

    def look(self, cluster: Cluster, namespace: str, graph: str, wanted: Sequence[Ref] = ()) -> Sight | None:
        """Look at the Deployments of a graph; without `wanted` at all that are there."""
        found = {ref_of(each): each for each in cluster.find(WORKLOAD, namespace, labels_of(graph))}
        found = {ref: each for ref, each in found.items() if is_ours(each, graph)}
        mains = [ref for ref in wanted if ref.kind == self.main]
        looked = [found[ref] for ref in (mains or found) if ref in found]
        missing = [ref for ref in mains if ref not in found]
        if not looked:
            return None
        progress = tuple(_look(looked, self.read(looked)))
        state = "Failed" if missing else _state_of(looked, progress)
        return Sight(tuple(looked), tuple(looked), state, "", progress, tuple(missing))

    def list_pods(self, cluster: Cluster, namespace: str, deployment: Data) -> Iterator[Data]:
        """Yield the pods of the ReplicaSet that a Deployment now has."""
        selected = texts(deployment, "spec", "selector", "matchLabels")
        revision = text(deployment, "metadata", "annotations", REVISION)
        uid = text(deployment, "metadata", "uid")
        if not selected or not revision:
            return
        for each in cluster.find(REPLICA_SET, namespace, selected):
            is_own = any(text(owner, "uid") == uid for owner in objects(each, "metadata", "ownerReferences"))
            if is_own and text(each, "metadata", "annotations", REVISION) == revision:
                own = {HASH: text(each, "metadata", "labels", HASH)}
                yield from cluster.find(POD, namespace, {**selected, **own})

    def list_complaints(self, cluster: Cluster, namespace: str, graph: str) -> list[Trouble]:
        """Return nothing: Deployments say by their conditions what their controller complains of."""
        del cluster, namespace, graph
        return []

    def version_of(self, deployment: Data) -> str:
        """Return the predictor, as graphc labels it."""
        return text(deployment, "metadata", "labels", PREDICTOR)

    def find_meter(
        self, documents: Sequence[Data], graph: str, namespace: str, predictor: str
    ) -> Meter | None:
        """Return what graphc's engine counts; its pods are told apart by what Prometheus' operator adds."""
        del graph
        entry = next((it for it in _list(documents) if it.version == predictor and it.is_entry), None)
        if entry is None or entry.engine is None:
            return None
        selector = f'namespace="{namespace}",pod=~"{entry.name}-[a-z0-9]+-[a-z0-9]{{5}}"'
        return Meter("graphc_engine_requests_total", "graphc_engine_request_seconds_bucket", selector)

    def move(self, document: Data, moves: Moves) -> None:
        """Have the annotation of the shares say the new ones."""
        annotations = fields(document, "metadata", "annotations")
        if ref_of(document).kind == self.main and ANNOTATION in annotations:
            rollout = move_rollout(read_annotation(text(annotations, ANNOTATION)), moves)
            annotations[ANNOTATION] = json.dumps(rollout.to_json(), separators=(",", ":"))


def _list(documents: Iterable[Mapping[str, Value]]) -> list[Workload]:
    # Config maps may be large, and none of them is one.
    return list_workloads(node_of(each) for each in documents if ref_of(each).kind == WORKLOAD)


def _predictor(name: str, workloads: Sequence[Workload], scaling: Mapping[str, Data]) -> Data:
    pods: list[Value] = []
    for each in workloads:
        pod: Data = {"metadata": {"name": each.name}, "spec": each.template.plain}
        if each.replicas is not None:
            pod["replicas"] = each.replicas
        if each.name in scaling:
            pod["hpaSpec"] = scaling[each.name]
        pods.append(pod)
    # The engine is one of the containers: no operator adds it.
    return {"name": name, "annotations": {NO_ENGINE: "true"}, "componentSpecs": pods}


def _find_scaling(documents: Iterable[Mapping[str, Value]]) -> dict[str, Data]:
    """Return the least and the most replicas of the Deployments that something scales."""
    found: dict[str, Data] = {}
    for each in documents:
        if ref_of(each).kind in SCALERS:
            least, most = find_bounds(each)
            name = text(each, "spec", "scaleTargetRef", "name")
            found[name] = {"minReplicas": least, "maxReplicas": most}
    return found


def _share_out(predictors: Mapping[str, Data], written: str | None) -> None:
    """Write the shares into predictors, as those of a SeldonDeployment have them."""
    shares, mirrors = read_shares(written)
    if written is None and len(predictors) == 1:
        shares = dict.fromkeys(predictors, ALL)
    for name, predictor in predictors.items():
        predictor["traffic"] = mirrors.get(name, shares.get(name, 0))
        if name in mirrors:
            predictor["shadow"] = True


def _read_made(deployment: Deployment, documents: Sequence[Data]) -> Made:
    said = {each.name: each for each in _list(documents)}
    pods = {
        name: MadePods(
            predictor.name,
            tuple(each.name for each in pod.containers),
            pod.index,
            json.dumps(fields(said[name].node.plain, "spec", "template"), sort_keys=True),
            json.dumps(pod.spec.plain, sort_keys=True),
            (predictor, pod),
        )
        for predictor in deployment.predictors
        for pod in predictor.pods
        for name in (pod.node.child("metadata").text("name"),)
    }
    services = {
        text(each, "metadata", "name"): MadeService(
            text(each, "metadata", "labels", PREDICTOR),
            None if said[name].is_entry else next(iter(pods[name].units), None),
            "clients" if said[name].is_entry else "executor",
            {text(it, "name"): number(it, "port") or 0 for it in objects(each, "spec", "ports")},
        )
        for each in documents
        for name in (text(each, "metadata", "name"),)
        if ref_of(each).kind == SERVICE and name in said
    }
    return Made(pods, services)


def _look(deployments: Sequence[Data], read: Deployment) -> Iterator[Progress]:
    for predictor in read.predictors:
        own = [each for each in deployments if text(each, "metadata", "labels", PREDICTOR) == predictor.name]
        wanted = sum(_count_wanted(each) for each in own)
        yield Progress(predictor.name, sum(map(count_ready, own)), wanted, all(map(is_rolled_out, own)))


def _count_wanted(deployment: Data) -> int:
    replicas = number(deployment, "spec", "replicas")
    return 1 if replicas is None else replicas


def _state_of(deployments: Sequence[Data], progress: Sequence[Progress]) -> str:
    """Say how Deployments are, in the operator's words."""
    if any(_is_stuck(each) for each in deployments):
        return "Failed"
    return "Available" if all(each.is_done for each in progress) else "Creating"


def _is_stuck(deployment: Data) -> bool:
    """Say whether a Deployment's controller has given up on what it now says."""
    if number(deployment, "status", "observedGeneration") != number(deployment, "metadata", "generation"):
        return False
    return any(
        text(each, "type") == "Progressing" and text(each, "status") == "False"
        for each in objects(deployment, "status", "conditions")
    )
