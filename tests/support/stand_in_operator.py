"""Stands in for Seldon's operator and the kubelets: makes Deployments, and writes the status that recordings show.

No container runs. A `Mood` says how the pods of a container image come out.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from graphc.cluster.bundle import DEPLOYMENT
from graphc.cluster.client import Access, Cluster, Kind, Ref, connect
from graphc.cluster.problem import ClusterError
from graphc.ir.graph import Value
from graphc.unchecked import Data, copy_fields, fields, number, objects, text

DEPLOYMENTS: Final = Kind("apps/v1", "Deployment")
PODS: Final = Kind("v1", "Pod")
LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Mood:
    """How pods come out: ready, or with this status of theirs, or with this condition of their Deployment."""

    is_ready: bool = True
    pod_status: Mapping[str, Value] | None = None
    condition: Mapping[str, Value] | None = None
    state: str | None = None
    """The state that the operator writes whatever the pods do; empty for none at all."""


READY: Final = Mood()
SILENT: Final = Mood(is_ready=False, state="")


def waiting(reason: str, message: str, image: str = "example.test/broken:1") -> Mood:
    """Return a pod whose container waits for a reason."""
    status: Data = {"name": "", "image": image, "imageID": "", "ready": False, "restartCount": 0}
    status["state"] = {"waiting": {"reason": reason, "message": message}}
    return Mood(is_ready=False, pod_status={"phase": "Pending", "containerStatuses": [status]})


def crashing(code: int, reason: str = "Error", restarts: int = 4) -> Mood:
    """Return a pod whose container ends again and again."""
    ended: Data = {"exitCode": code, "reason": reason}
    status: Data = {"name": "", "image": "x", "imageID": "", "ready": False, "restartCount": restarts}
    status["state"] = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting"}}
    status["lastState"] = {"terminated": ended}
    return Mood(is_ready=False, pod_status={"phase": "Running", "containerStatuses": [status]})


def unschedulable(message: str) -> Mood:
    """Return a pod for which there is no node."""
    condition: Data = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
    }
    return Mood(is_ready=False, pod_status={"phase": "Pending", "conditions": [condition]})


def not_created(message: str) -> Mood:
    """Return a Deployment whose pods are refused."""
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    return Mood(is_ready=False, condition=condition)


@dataclass
class Operator:
    """The stand-in for one namespace; `mood` is asked for every predictor's pods, by their images."""

    cluster: Cluster
    namespace: str
    mood: Callable[[str, tuple[str, ...]], Mood] = lambda _predictor, _images: READY
    seen: list[dict[str, int]] = field(default_factory=list[dict[str, int]])
    """The shares of the traffic that were found, one after the other."""
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Look at all SeldonDeployments again and again."""
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self.look()
            except ClusterError:
                # The server may be down, or somebody else was faster: the next look finds out.
                continue

    def stop(self) -> None:
        """End the loop."""
        self._stop.set()

    def look(self) -> None:
        """Make of every SeldonDeployment what is not made yet."""
        found = self.cluster.find(DEPLOYMENT, self.namespace, {})
        made = self.cluster.find(DEPLOYMENTS, self.namespace, {})
        wanted: set[str] = set()
        for each in found:
            shares = {
                text(it, "name"): number(it, "traffic") or 0 for it in objects(each, "spec", "predictors")
            }
            if not self.seen or self.seen[-1] != shares:
                self.seen.append(shares)
            predictors = list(objects(each, "spec", "predictors"))
            moods = [mood for predictor in predictors for mood in self._make(each, predictor, wanted)]
            self._tell(each, moods)
        for each in made:
            if text(each, "metadata", "name") not in wanted:
                self.cluster.delete(Ref(DEPLOYMENTS, self.namespace, text(each, "metadata", "name")))

    def _make(self, deployment: Data, predictor: Data, wanted: set[str]) -> Iterable[Mood]:
        name, version = text(deployment, "metadata", "name"), text(predictor, "name")
        for index, spec in enumerate(objects(predictor, "componentSpecs")):
            containers = [copy_fields(each) for each in objects(spec, "spec", "containers")]
            names = [text(each, "name") for each in containers]
            own = "-".join([name, version, str(index), *names])[:60].rstrip("-")
            wanted.add(own)
            labels: Data = {
                "app": own,
                "app.kubernetes.io/managed-by": "seldon-core",
                "seldon-app": f"{name}-{version}",
                "seldon-deployment-id": name,
                "version": version,
            }
            for place, each in enumerate(containers):
                each["env"] = [*objects(each, "env"), *self.variables(version, each, place)]
            said = (number(spec, "replicas"), number(predictor, "replicas"), 1)
            replicas = next(each for each in said if each is not None)
            pod: Data = {
                **copy_fields(fields(spec, "spec")),
                "containers": [dict(each) for each in containers],
            }
            body: Data = {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": own, "namespace": self.namespace, "labels": labels},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": {"app": own}},
                    "template": {"metadata": {"labels": labels}, "spec": pod},
                },
            }
            live = self.cluster.apply(body, force=True)
            mood = self.mood(version, tuple(text(each, "image") for each in containers))
            self._settle(live, mood, replicas, pod)
            yield mood

    def variables(self, version: str, container: Data, place: int) -> list[Data]:  # noqa: ARG002
        """Return what the operator adds to the environment of a predictor's container."""
        port = next((number(it, "containerPort") for it in objects(container, "ports")), 9000 + place)
        return [{"name": "MLSERVER_HTTP_PORT", "value": str(port)}]

    def _settle(self, live: Data, mood: Mood, replicas: int, pod: Data) -> None:
        name = text(live, "metadata", "name")
        ready = replicas if mood.is_ready else 0
        status: Data = {
            "observedGeneration": number(live, "metadata", "generation"),
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": ready,
            "availableReplicas": ready,
        }
        status["conditions"] = [dict(mood.condition)] if mood.condition is not None else []
        if {"conditions": [], **fields(live, "status")} != status:
            path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}/status"
            self.cluster.request("PATCH", path, {}, {"status": status}, "application/merge-patch+json")
        self._show_pod(name, mood, pod)

    def _show_pod(self, name: str, mood: Mood, pod: Data) -> None:
        ref = Ref(PODS, self.namespace, f"{name}-x")
        if mood.pod_status is None:
            self.cluster.delete(ref)
            return
        if self.cluster.get(ref) is None:
            metadata: Data = {"name": ref.name, "namespace": self.namespace, "labels": {"app": name}}
            self.cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod})
        status = copy_fields(mood.pod_status)
        for each in objects(status, "containerStatuses"):
            each["name"] = text(next(objects(pod, "containers")), "name")
        path = f"/api/v1/namespaces/{self.namespace}/pods/{ref.name}/status"
        self.cluster.request("PATCH", path, {}, {"status": status}, "application/merge-patch+json")

    def _tell(self, deployment: Data, moods: list[Mood]) -> None:
        """Write a status with the parts and the words of the recordings."""
        said = [mood.state for mood in moods if mood.state is not None]
        if "" in said:
            return
        is_ready = all(mood.is_ready for mood in moods)
        state = said[0] if said else "Available" if is_ready else "Creating"
        yes = "True" if is_ready else "False"
        conditions: list[Value] = [
            {"reason": "No HPAs defined", "status": "True", "type": "HpasReady"},
            {"reason": "No KEDA resources defined", "status": "True", "type": "KedaReady"},
            {"reason": "No PDBs defined", "status": "True", "type": "PdbsReady"},
            {"reason": "Not all services created", "status": yes, "type": "Ready"},
            {"reason": "Not all services created", "status": yes, "type": "ServicesReady"},
        ]
        status: Data = {"conditions": conditions, "state": state}
        if fields(deployment, "status") != status:
            name = text(deployment, "metadata", "name")
            path = f"/apis/machinelearning.seldon.io/v1/namespaces/{self.namespace}/seldondeployments/{name}/status"
            self.cluster.request("PATCH", path, {}, {"status": status}, "application/merge-patch+json")


@contextmanager
def operating(
    kubeconfig: str,
    namespace: str,
    mood: Callable[[str, tuple[str, ...]], Mood] = lambda _name, _images: READY,
) -> Generator[Operator]:
    """Let the stand-in look after a namespace while the block runs."""
    operator = Operator(
        connect(Access(kubeconfig=kubeconfig, namespace=namespace, retry_seconds=0)), namespace, mood
    )
    thread = threading.Thread(target=operator.run, daemon=True)
    thread.start()
    try:
        yield operator
    finally:
        operator.stop()
        thread.join(30)


@dataclass
class NodesOperator(Operator):
    """The same where a real kubelet starts the pods, whose readiness it tells."""

    def variables(self, version: str, container: Data, place: int) -> list[Data]:  # noqa: ARG002
        """Return all that units of MLServer are told, as recorded."""
        name = text(container, "name")
        said = {"PREDICTOR_ID": version, "PREDICTIVE_UNIT_ID": name, "MLSERVER_MODEL_NAME": name}
        for each in objects(container, "ports"):
            said[f"MLSERVER_{text(each, 'name').upper()}_PORT"] = str(number(each, "containerPort"))
        return [{"name": key, "value": value} for key, value in said.items()]

    def _settle(self, live: Data, mood: Mood, replicas: int, pod: Data) -> None:
        """Leave the status to the controllers."""


@contextmanager
def operating_on_node(kubeconfig: str, namespace: str) -> Generator[Operator]:
    """Make pods of the SeldonDeployments of a namespace while the block runs, and tell how they are."""
    cluster = connect(Access(kubeconfig=kubeconfig, namespace=namespace, retry_seconds=0))

    def look(version: str, _images: tuple[str, ...]) -> Mood:
        for each in cluster.find(DEPLOYMENTS, namespace, {"version": version}):
            if number(each, "status", "readyReplicas") == number(each, "spec", "replicas"):
                return READY
        return Mood(is_ready=False)

    operator = NodesOperator(cluster, namespace, look)
    thread = threading.Thread(target=operator.run, daemon=True)
    thread.start()
    try:
        yield operator
    finally:
        operator.stop()
        thread.join(30)
