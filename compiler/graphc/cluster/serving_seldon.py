"""Reads graphs of the target `seldon`: one SeldonDeployment, of which an operator makes Deployments."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from graphc.cluster.bundle import CONFIG_MAP, DEPLOYMENT, WORKLOAD
from graphc.cluster.client import Cluster, Kind, Ref, ref_of
from graphc.cluster.serving import Meter, Progress, Reading, Sight
from graphc.cluster.share_moves import Moves, move_rollout
from graphc.cluster.trouble import Trouble, covers, find_complaints, is_passing, list_pods
from graphc.cluster.view import FindMap, view_document
from graphc.cluster.workload_status import count_ready, is_rolled_out
from graphc.ir.graph import Value
from graphc.rollout.read_rollout import read_rollout
from graphc.rollout.shares import ANNOTATION
from graphc.seldon.deployment import Deployment, Pod, Predictor, deployment_of
from graphc.unchecked import Data, fields, number, objects, text


@dataclass(frozen=True, slots=True)
class SeldonServing:
    """How a SeldonDeployment is read."""

    target: str = "seldon"
    main: Kind = DEPLOYMENT
    kinds: tuple[Kind, ...] = (CONFIG_MAP, DEPLOYMENT)
    has_operator: bool = True
    unready: str = "not yet taken up by the operator"

    def read(self, documents: Sequence[Mapping[str, Value]]) -> Deployment:
        """Return what the SeldonDeployment says."""
        return deployment_of(self._find(documents) or {})

    def read_whole(self, documents: Sequence[Data], find_map: FindMap) -> Reading:
        """Return all that the SeldonDeployment says; the operator decides what it makes of it."""
        found = self._find(documents) or {}
        return Reading(deployment_of(found), view_document(found, find_map), None)

    def annotation(self, documents: Sequence[Data], name: str) -> str:
        """Return an annotation of the SeldonDeployment."""
        return text(self._find(documents), "metadata", "annotations", name)

    def tells(self, ref: Ref) -> bool:
        """Say whether an object is a SeldonDeployment: all of the graph is in it."""
        return ref.kind == self.main

    def look(self, cluster: Cluster, namespace: str, graph: str, wanted: Sequence[Ref] = ()) -> Sight | None:
        """Look at a SeldonDeployment and at what the operator made of it."""
        del wanted
        found = cluster.get(Ref(DEPLOYMENT, namespace, graph))
        if found is None:
            return None
        deployments = cluster.find(WORKLOAD, namespace, {"seldon-deployment-id": graph})
        state, description = state_of(found), text(found, "status", "description")
        return Sight((found,), tuple(deployments), state, description, tuple(_look(found, deployments)))

    def list_pods(self, cluster: Cluster, namespace: str, deployment: Data) -> Iterator[Data]:
        """Yield the pods that have what the operator asks for."""
        return list_pods(cluster, namespace, deployment)

    def list_complaints(self, cluster: Cluster, namespace: str, graph: str) -> list[Trouble]:
        """Return what the operator complained of."""
        return find_complaints(cluster, Ref(self.main, namespace, graph))

    def version_of(self, deployment: Data) -> str:
        """Return the predictor, as the operator labels it."""
        return text(deployment, "metadata", "labels", "version")

    def find_meter(
        self, documents: Sequence[Data], graph: str, namespace: str, predictor: str
    ) -> Meter | None:
        """Return what Seldon's executor counts; None where clients call the one unit of a predictor themselves."""
        del namespace
        found = self.read(documents).by_name.get(predictor)
        if found is not None and not found.has_engine:
            return None
        name = "seldon_api_executor_server_requests_seconds"
        selector = f'deployment_name="{graph}",predictor_name="{predictor}"'
        return Meter(f"{name}_count", f"{name}_bucket", selector)

    def move(self, document: Data, moves: Moves) -> None:
        """Give the predictors their shares, and have the annotation, where there is one, say the same."""
        if ref_of(document).kind != self.main:
            return
        for predictor in objects(document, "spec", "predictors"):
            share = moves.shares.get(text(predictor, "name"))
            if share is not None:
                predictor.pop("shadow", None)
                predictor["traffic"] = share
        annotations = fields(document, "metadata", "annotations")
        if ANNOTATION not in annotations:
            return
        rollout = move_rollout(read_rollout(deployment_of(document)), moves)
        if rollout.is_plain:
            del annotations[ANNOTATION]
        else:
            annotations[ANNOTATION] = json.dumps(rollout.to_json(), separators=(",", ":"))

    def _find(self, documents: Sequence[Mapping[str, Value]]) -> Mapping[str, Value] | None:
        return next((each for each in documents if ref_of(each).kind == self.main), None)


def state_of(deployment: Mapping[str, Value]) -> str:
    """Return what the operator says of a SeldonDeployment; a write that another overtook is no failure."""
    state = text(deployment, "status", "state")
    overtaken = state == "Failed" and is_passing(text(deployment, "status", "description"))
    return "Creating" if overtaken else state


def _look(deployment: Mapping[str, Value], deployments: list[Data]) -> Iterator[Progress]:
    """Yield how far each predictor is.

    The operator's own status has no generation: it may still be that of the version before.
    """
    wished = deployment_of(deployment)
    for predictor in wished.predictors:
        name = predictor.name
        own = [each for each in deployments if text(each, "metadata", "labels", "version") == name]
        wanted, ready, current = 0, 0, True
        for pod in predictor.pods:
            made = _find(pod, own)
            wanted += _wanted(wished, predictor, pod, made)
            ready += count_ready(made) if made else 0
            current = current and made is not None and is_rolled_out(made)
        yield Progress(name, ready, wanted, current)


def _find(pod: Pod, deployments: list[Data]) -> Data | None:
    """Return the Deployment whose pods are those of the specification as it now is."""
    wanted = {each.name: fields(each.node.plain) for each in pod.containers}
    for each in deployments:
        made = {text(it, "name"): it for it in objects(each, "spec", "template", "spec", "containers")}
        if wanted.keys() <= made.keys() and all(covers(made[name], it) for name, it in wanted.items()):
            return each
    return None


def _wanted(deployment: Deployment, predictor: Predictor, pod: Pod, made: Data | None) -> int:
    said = fields(pod.node.plain)
    if (fields(said, "hpaSpec") or fields(said, "kedaSpec")) and made is not None:
        # The autoscaler decides, and writes it here.
        return number(made, "spec", "replicas") or 1
    return deployment.replicas_of(predictor, pod)
