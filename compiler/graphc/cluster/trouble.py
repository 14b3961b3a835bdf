"""Says why pods do not start: what their status, their events and their last words tell."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from graphc.cluster.bundle import POD
from graphc.cluster.client import Cluster, Kind, Ref, shorten
from graphc.cluster.problem import RefusedError
from graphc.cluster.view import conceal
from graphc.unchecked import Data, number, objects, text

CRASHES: Final = 3
"""A container that has ended so often will not start without a change."""
MOST_PODS: Final = 20
MOST_LINES: Final = 15

_IMAGE: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "RegistryUnavailable"})
# The operator was slower than another writer, and tries again at once.
_PASSING: Final = "the object has been modified"

_CONFIGURATION: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})


@dataclass(frozen=True, slots=True)
class Trouble:
    """One reason why pods are not ready."""

    subject: str
    reason: str
    is_final: bool = False
    """Whether waiting cannot help."""
    log: tuple[str, ...] = ()


ListPods = Callable[[Cluster, str, Data], Iterator[Data]]
"""Yields the pods of a Deployment, in a namespace, that are as it now says."""


def list_pods(cluster: Cluster, namespace: str, deployment: Data) -> Iterator[Data]:
    """Yield the pods of an operator's Deployment that have what it asks for: those before them are on their way out."""
    label = text(deployment, "metadata", "labels", "app")
    wanted = {
        text(each, "name"): each for each in objects(deployment, "spec", "template", "spec", "containers")
    }
    for pod in _list(cluster, POD, namespace, {"app": label}) if label else ():
        has = {text(each, "name"): each for each in objects(pod, "spec", "containers")}
        if all(name in has and covers(has[name], each) for name, each in wanted.items()):
            yield pod


def find_trouble(
    cluster: Cluster, namespace: str, deployments: Sequence[Data], list_own: ListPods = list_pods
) -> list[Trouble]:
    """Return what stands in the way of Deployments' pods; what may not be read is passed over."""
    found = [*_of_deployments(deployments)]
    pods = [pod for each in deployments for pod in list_own(cluster, namespace, each)]
    for pod in pods[:MOST_PODS]:
        found += _of_pod(cluster, namespace, pod)
    return list(dict.fromkeys(found))


def find_complaints(cluster: Cluster, ref: Ref) -> list[Trouble]:
    """Return what was complained of about an object; what may not be read is passed over."""
    return list(dict.fromkeys(_of_events(cluster, ref.namespace, ref.kind.kind, ref.name)))


def covers(made: Data, wanted: Data) -> bool:
    """Say whether a container has the image, variables, mounts and ports that were asked for, and maybe more."""
    if text(made, "image") != text(wanted, "image"):
        return False
    has = {text(each, "name"): text(each, "value") for each in objects(made, "env")}
    asked = {text(each, "name"): text(each, "value") for each in objects(wanted, "env")}
    mounts, places = (
        {text(each, "mountPath") for each in objects(it, "volumeMounts")} for it in (made, wanted)
    )
    return asked.items() <= has.items() and places <= mounts and _ports(wanted) <= _ports(made)


def _ports(container: Data) -> set[tuple[str, int | None]]:
    return {(text(each, "name"), number(each, "containerPort")) for each in objects(container, "ports")}


def _list(
    cluster: Cluster, kind: Kind, namespace: str, labels: Mapping[str, str], having: str = ""
) -> list[Data]:
    try:
        return cluster.find(kind, namespace, labels, having)
    except RefusedError as refused:
        if refused.code == 403:
            return []
        raise


def _of_deployments(deployments: Sequence[Data]) -> Iterator[Trouble]:
    for each in deployments:
        name = text(each, "metadata", "name")
        if number(each, "status", "observedGeneration") != number(each, "metadata", "generation"):
            # What it says is about the version before.
            continue
        for condition in objects(each, "status", "conditions"):
            kind, status = text(condition, "type"), text(condition, "status")
            message = say(text(condition, "message"))
            if kind == "ReplicaFailure" and status == "True":
                yield Trouble(f"Deployment {name}", _of_creation(message))
            if kind == "Progressing" and status == "False":
                yield Trouble(f"Deployment {name}", message or "makes no progress", is_final=True)


def _of_creation(message: str) -> str:
    """Return why pods are not even made: a quota, a policy, a service account."""
    if "exceeded quota" in message:
        asked = re.search(
            r"exceeded quota: ([\w.-]+), requested: (\S+), used: (\S+), limited: (\S+)", message
        )
        if asked:
            return f"the quota `{asked[1]}` allows {asked[4]}, of which {asked[3]} is used; the pod asks for {asked[2]}"
    if "violates PodSecurity" in message:
        return f"the namespace's pod security refuses the pod: {message}"
    return f"the pod cannot be created: {message}"


def _of_pod(cluster: Cluster, namespace: str, pod: Data) -> Iterator[Trouble]:
    name = text(pod, "metadata", "name")
    for condition in objects(pod, "status", "conditions"):
        if text(condition, "type") == "PodScheduled" and text(condition, "status") == "False":
            yield Trouble(f"Pod {name}", _of_scheduling(say(text(condition, "message"))))
    for part in ("initContainerStatuses", "containerStatuses"):
        for status in objects(pod, "status", part):
            yield from _of_container(cluster, namespace, name, status)
    if text(pod, "status", "phase") == "Pending":
        yield from _of_events(
            cluster, namespace, "Pod", name, frozenset({"FailedMount", "FailedAttachVolume"})
        )


def _of_scheduling(message: str) -> str:
    if re.search(r"Insufficient nvidia\.com/", message):
        return f"no node has the GPUs that it asks for: {message}"
    return f"no node takes it: {message}" if message else "it is not scheduled yet"


def _of_container(cluster: Cluster, namespace: str, pod: str, status: Data) -> Iterator[Trouble]:
    container = text(status, "name")
    subject = f"Pod {pod}, container `{container}`"
    waiting, message = text(status, "state", "waiting", "reason"), text(status, "state", "waiting", "message")
    words = say(message)
    if waiting in _IMAGE:
        yield Trouble(
            subject, f"the image `{say(text(status, 'image'))}` cannot be pulled: {words or waiting}"
        )
    elif waiting == "InvalidImageName":
        yield Trouble(subject, f"`{say(text(status, 'image'))}` is not the name of an image", is_final=True)
    elif waiting in _CONFIGURATION:
        yield Trouble(subject, f"the container cannot be created: {words or waiting}")
    restarts = number(status, "restartCount") or 0
    ended = "terminated" if text(status, "state", "terminated", "reason") else "lastState"
    last = ("state", "terminated") if ended == "terminated" else ("lastState", "terminated")
    code = number(status, *last, "exitCode")
    if code or (restarts and waiting == "CrashLoopBackOff"):
        reason = text(status, *last, "reason")
        cause = "it needed more memory than it may have" if reason == "OOMKilled" else f"it ended with {code}"
        log = _read_log(cluster, namespace, pod, container, previous=ended == "lastState")
        yield Trouble(subject, f"{cause} ({restarts} restarts)", restarts >= CRASHES, log)


def _read_log(
    cluster: Cluster, namespace: str, pod: str, container: str, *, previous: bool
) -> tuple[str, ...]:
    try:
        written = cluster.read_log(namespace, pod, container, previous=previous)
    except RefusedError:
        # What a container wrote may be gone with it, or not be for everyone.
        return ()
    return tuple(say(line) for line in written.splitlines()[-MOST_LINES:])


def _of_events(
    cluster: Cluster, namespace: str, kind: str, name: str, reasons: frozenset[str] = frozenset()
) -> Iterator[Trouble]:
    """Yield what was complained of about an object, for the given reasons or for any."""
    having = f"involvedObject.kind={kind},involvedObject.name={name},type=Warning"
    for event in _list(cluster, Kind("v1", "Event"), namespace, {}, having):
        if is_passing(text(event, "message")):
            continue
        if not reasons or text(event, "reason") in reasons:
            yield Trouble(f"{kind} {name}", say(text(event, "message")))


def is_passing(message: str) -> bool:
    """Say whether a complaint is only that another writer was faster: it goes without anybody's doing."""
    return _PASSING in message


def say(written: str) -> str:
    """Return words of a cluster as they may be shown: on one line, not too many, and without secrets."""
    return conceal(shorten(written, 400))


def describe(trouble: Trouble) -> list[str]:
    """Return a trouble on as many lines as it takes."""
    return [f"{trouble.subject}: {trouble.reason}", *(f"  | {line}" for line in trouble.log)]
