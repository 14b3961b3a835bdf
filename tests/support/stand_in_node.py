"""Stands in for the scheduler and the kubelets of a cluster whose controllers are real: no container runs.

A `Mood` says how the pods of a container image come out. A pod that is deleted is gone after its `linger`.
"""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from graphc.cluster.client import Access, Cluster, Kind, connect
from graphc.cluster.problem import ClusterError
from graphc.ir.graph import Value
from graphc.unchecked import Data, copy_fields, fields, number, objects, text
from stand_in_operator import READY, Mood

PODS: Final = Kind("v1", "Pod")
NODE: Final = "stand-in"
LOOK_SECONDS: Final = 0.1

MoodOf = Callable[[tuple[str, ...]], Mood]
"""How the pods of these images come out."""


@dataclass
class Node:
    """The stand-in for all nodes of a cluster."""

    cluster: Cluster
    mood: MoodOf
    linger: float = 0.2
    """Seconds from the deletion of a pod until it is gone."""
    _ending: dict[str, float] = field(default_factory=dict[str, float])
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Look at all pods again and again."""
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
        """Do with every pod what is to be done."""
        for pod in self.cluster.find(PODS, "", {}):
            if text(pod, "metadata", "deletionTimestamp"):
                self._end(pod)
            else:
                self._start(pod)

    def _end(self, pod: Data) -> None:
        uid = text(pod, "metadata", "uid")
        since = self._ending.setdefault(uid, time.monotonic())
        if time.monotonic() - since >= self.linger:
            options: Data = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
            self.cluster.request("DELETE", _path(pod), body=options)

    def _start(self, pod: Data) -> None:
        mood = self.mood(tuple(text(each, "image") for each in objects(pod, "spec", "containers")))
        status = copy_fields(mood.pod_status or {}) if not mood.is_ready else _ready(pod)
        unscheduled = any(text(each, "type") == "PodScheduled" for each in objects(status, "conditions"))
        if not text(pod, "spec", "nodeName") and not unscheduled:
            target: Data = {"apiVersion": "v1", "kind": "Node", "name": NODE}
            metadata: Data = {"name": text(pod, "metadata", "name")}
            body: Data = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
            self.cluster.request("POST", f"{_path(pod)}/binding", body=body)
        for each in objects(status, "containerStatuses"):
            if not text(each, "name"):
                # The unit is behind the engine, where there is one.
                each["name"] = [text(it, "name") for it in objects(pod, "spec", "containers")][-1]
        if status and not _has(pod, status):
            self.cluster.request(
                "PATCH", f"{_path(pod)}/status", {}, {"status": status}, "application/merge-patch+json"
            )


def _path(pod: Data) -> str:
    return f"/api/v1/namespaces/{text(pod, 'metadata', 'namespace')}/pods/{text(pod, 'metadata', 'name')}"


def _has(pod: Data, status: Data) -> bool:
    known = fields(pod, "status")
    if text(known, "phase") != text(status, "phase"):
        return False
    if "containerStatuses" in status and "containerStatuses" not in known:
        return False
    types = {text(each, "type") for each in objects(status, "conditions")}
    return types <= {text(each, "type") for each in objects(known, "conditions")}


def _ready(pod: Data) -> Data:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions: list[Value] = [
        {"type": each, "status": "True", "lastTransitionTime": now}
        for each in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]
    statuses: list[Value] = [
        {
            "name": text(each, "name"),
            "image": text(each, "image"),
            "imageID": "",
            "ready": True,
            "restartCount": 0,
            "state": {"running": {"startedAt": now}},
        }
        for each in objects(pod, "spec", "containers")
    ]
    return {"phase": "Running", "conditions": conditions, "containerStatuses": statuses}


@contextmanager
def running_node(
    kubeconfig: str, mood: MoodOf = lambda _images: READY, linger: float = 0.2
) -> Generator[Node]:
    """Let the stand-in look after all pods while the block runs."""
    node = Node(connect(Access(kubeconfig=kubeconfig, retry_seconds=0)), mood, linger)
    thread = threading.Thread(target=node.run, daemon=True)
    thread.start()
    try:
        yield node
    finally:
        node.stop()
        thread.join(30)


ROUTES: Final = tuple(Kind("gateway.networking.k8s.io/v1", each) for each in ("HTTPRoute", "GRPCRoute"))


@dataclass
class Gateways:
    """The stand-in for the controller of a Gateway: it takes up routes, or refuses them for a reason."""

    cluster: Cluster
    namespace: str
    refusal: str = ""
    """Why routes are refused from now on."""
    is_asleep: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Look at all routes again and again."""
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self.look()
            except ClusterError:
                continue

    def stop(self) -> None:
        """End the loop."""
        self._stop.set()

    def look(self) -> None:
        """Say of every route what is not said yet."""
        for kind in () if self.is_asleep else ROUTES:
            for route in self.cluster.find(kind, self.namespace, {}):
                status = self._judge(route)
                if fields(route, "status") != status:
                    name = text(route, "metadata", "name")
                    plural = f"{kind.kind.lower()}s"
                    path = f"/apis/{kind.api_version}/namespaces/{self.namespace}/{plural}/{name}/status"
                    self.cluster.request(
                        "PATCH", path, {}, {"status": status}, "application/merge-patch+json"
                    )

    def _judge(self, route: Data) -> Data:
        generation = number(route, "metadata", "generation")
        resolved: Data = {"type": "ResolvedRefs", "status": "True", "reason": "ResolvedRefs", "message": ""}
        if self.refusal:
            resolved |= {"status": "False", "reason": "BackendNotFound", "message": self.refusal}
        accepted: Data = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": ""}
        times: Data = {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": generation}
        conditions: list[Value] = [each | times for each in (accepted, resolved)]
        parents: list[Value] = [
            {"parentRef": each, "controllerName": "example.test/gateways", "conditions": conditions}
            for each in objects(route, "spec", "parentRefs")
        ]
        return {"parents": parents}


@contextmanager
def running_gateways(kubeconfig: str, namespace: str) -> Generator[Gateways]:
    """Let the stand-in look after the routes of a namespace while the block runs."""
    gateways = Gateways(connect(Access(kubeconfig=kubeconfig, retry_seconds=0)), namespace)
    thread = threading.Thread(target=gateways.run, daemon=True)
    thread.start()
    try:
        yield gateways
    finally:
        gateways.stop()
        thread.join(30)
