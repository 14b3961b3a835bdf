"""Reads a profile off a live cluster: nodes that are alike, with their GPUs, and what brings requests in."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Final

from graphc.cluster.client import Cluster, Kind, Ref, shorten
from graphc.cluster.daemons import DAEMON_SET, leave_daemons
from graphc.cluster.node_gpus import Unclear, choose_labels, count_gpus, find_gpus
from graphc.cluster.problem import ClusterError
from graphc.documents import write_yaml
from graphc.gpus.pools import MOST_PODS
from graphc.ir.graph import Value
from graphc.quantities import parse_quantity
from graphc.unchecked import Data, fields, objects, text, texts

NODE: Final = Kind("v1", "Node")
NAMESPACE: Final = Kind("v1", "Namespace")
RUNTIME_CLASS: Final = Kind("node.k8s.io/v1", "RuntimeClass")
NVIDIA: Final = "nvidia"
"""The RuntimeClass that NVIDIA's operator makes."""

SELDON_GATEWAY: Final = "istio-system/seldon-gateway"

ALIKE: Final = 1.02
"""Nodes of one kind tell of slightly different memory; those within this factor are counted as the smallest."""

_ENFORCED: Final = "pod-security.kubernetes.io/enforce"
_LEVELS: Final = ("privileged", "baseline", "restricted")

_PASSING: Final = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
"""Taints that come and go with a node's health."""


@dataclass(frozen=True, slots=True)
class Survey:
    """A profile's document, and what could not be said in it or had to be chosen."""

    document: Data
    notes: tuple[str, ...]

    def write(self, where: str) -> str:
        """Return the profile's file."""
        head = [shorten(f"Read from {where} by `graphc profile`."), *self.notes]
        return "".join(f"# {line}\n" for line in head) + write_yaml([self.document])


@dataclass(slots=True)
class _Group:
    """Nodes that are alike."""

    cpu: str
    memory: str
    pods: int
    taints: Sequence[Data]
    gpus: Data | None
    nodes: list[Data] = field(default_factory=list[Data])

    @property
    def common(self) -> dict[str, str]:
        """The labels that all of the nodes have."""
        found = texts(self.nodes[0], "metadata", "labels")
        for node in self.nodes[1:]:
            found = dict(found.items() & texts(node, "metadata", "labels").items())
        return found

    @property
    def labels(self) -> list[Mapping[str, str]]:
        return [texts(node, "metadata", "labels") for node in self.nodes]

    @property
    def resources(self) -> set[str]:
        return {name for node in self.nodes for name in count_gpus(node)}


def survey_cluster(cluster: Cluster, name: str) -> Survey:
    """Ask a cluster for its nodes, what routes requests, and what a namespace lets in; return the profile of it."""
    daemons = cluster.find(DAEMON_SET, "", {})
    nodes = [leave_daemons(each, daemons) for each in cluster.find(NODE, "", {})]
    classes = {text(each, "metadata", "name") for each in cluster.find(RUNTIME_CLASS, "", {})}
    notes: list[str] = []
    document: Data = {"apiVersion": "graphc/v1", "kind": "ClusterProfile", "metadata": {"name": name}}
    document["ingress"] = _find_ingress(cluster, notes)
    level = _find_pod_security(cluster, notes)
    if level is not None:
        document["pod_security"] = level
    document["pools"] = list[Value](describe_pools(nodes, NVIDIA if NVIDIA in classes else None, notes))
    if not document["pools"]:
        raise ClusterError(f"{cluster.where} has no nodes that pods could go to")
    return Survey(document, tuple(notes))


def _find_pod_security(cluster: Cluster, notes: list[str]) -> str | None:
    """Return the pod security standard that the namespace enforces; None where it does not say."""
    found = cluster.get(Ref(NAMESPACE, "", cluster.namespace))
    if found is None:
        notes.append(f"There is no namespace `{cluster.namespace}`, which would say what pods it lets in.")
        return None
    level = texts(found, "metadata", "labels").get(_ENFORCED)
    if level not in _LEVELS:
        return None
    if level == "restricted":
        notes.append(
            f"The namespace `{cluster.namespace}` enforces `restricted`: where k8s/executor-security is applied, "
            "say `executor_policy: true`."
        )
    return level


def describe_pools(nodes: Iterable[Data], runtime_class: str | None, notes: list[str]) -> list[Data]:
    """Return the pools of a profile that nodes make up, adding to the notes what cannot be said of them."""
    groups = sorted(_group(nodes, notes), key=_rank)
    pools: list[Data] = []
    names: dict[str, int] = {}
    for group in groups:
        base = _name(group)
        names[base] = names.get(base, 0) + 1
        own = base if names[base] == 1 else f"{base}-{names[base]}"
        pools.append(_describe(group, own, groups, runtime_class))
    return pools


def _group(nodes: Iterable[Data], notes: list[str]) -> Iterator[_Group]:
    found: dict[str, list[_Group]] = {}
    for node in sorted(nodes, key=lambda each: (_size(each, "memory"), text(each, "metadata", "name"))):
        group = _read_node(node, notes)
        if group is None:
            continue
        key = json.dumps([group.cpu, group.pods, group.taints, group.gpus])
        alike = found.setdefault(key, [])
        # Smallest first: the group that a node may join is the last one.
        if not alike or parse_quantity(group.memory) > parse_quantity(alike[-1].memory) * ALIKE:
            alike.append(group)
        alike[-1].nodes.append(node)
    for groups in found.values():
        yield from groups


def _read_node(node: Data, notes: list[str]) -> _Group | None:
    name, room = text(node, "metadata", "name"), texts(node, "status", "allocatable")
    if fields(node, "spec").get("unschedulable") is True:
        notes.append(f"The node `{name}` is cordoned, and left out.")
        return None
    if "cpu" not in room or "memory" not in room:
        notes.append(f"The node `{name}` does not say what it has for pods, and is left out.")
        return None
    gpus = find_gpus(node)
    if isinstance(gpus, Unclear):
        notes.append(f"The node `{name}` {gpus.reason}: it is counted without them.")
        gpus = None
    pods = ceil(parse_quantity(room["pods"])) if "pods" in room else MOST_PODS
    return _Group(room["cpu"], room["memory"], pods, _taints(node), gpus)


def _size(node: Data, resource: str) -> float:
    amount = texts(node, "status", "allocatable").get(resource)
    return 0 if amount is None else parse_quantity(amount)


def _taints(node: Data) -> list[Data]:
    found: list[Data] = []
    for taint in objects(node, "spec", "taints"):
        key, value = text(taint, "key"), text(taint, "value")
        if not key.startswith(_PASSING):
            said = {"key": key} | ({"value": value} if value else {})
            found.append({**said, "effect": text(taint, "effect")})
    return sorted(found, key=json.dumps)


def _rank(group: _Group) -> tuple[object, ...]:
    return (
        group.gpus is not None,
        _name(group),
        parse_quantity(group.cpu),
        parse_quantity(group.memory),
        json.dumps([group.pods, group.taints, group.gpus]),
    )


def _name(group: _Group) -> str:
    if group.gpus is None:
        return "processors"
    sharing = text(group.gpus, "sharing")
    return text(group.gpus, "product").lower() + (f"-{sharing}" if sharing else "")


def _describe(group: _Group, name: str, groups: Sequence[_Group], runtime_class: str | None) -> Data:
    pool: Data = {"name": name, "nodes": len(group.nodes), "cpu": group.cpu, "memory": group.memory}
    if group.pods != MOST_PODS:
        pool["pods"] = group.pods
    if group.gpus is not None:
        rivals = [each for each in groups if each is not group and each.resources & group.resources]
        labels = choose_labels(group.common, ((each.common, each.labels) for each in rivals))
        if labels:
            pool["labels"] = dict[str, Value](labels)
    if group.taints:
        pool["taints"] = list[Value](group.taints)
    if group.gpus is not None:
        if runtime_class is not None:
            pool["runtime_class"] = runtime_class
        pool["gpus"] = group.gpus
    return pool


def _find_ingress(cluster: Cluster, notes: list[str]) -> Data:
    served = {
        text(each, "name"): text(each, "preferredVersion", "groupVersion")
        for each in objects(cluster.request("GET", "/apis"), "groups")
    }
    found: list[Data] = []
    for kind, group in (("istio", "networking.istio.io"), ("gateway", "gateway.networking.k8s.io")):
        if group in served:
            gateway = _find_gateway(cluster, Kind(served[group], "Gateway"), notes)
            if gateway is not None:
                found.append({"kind": kind, "gateway": gateway})
    if "getambassador.io" in served:
        found.append({"kind": "ambassador"})
    for other in found[1:]:
        named = f", with the Gateway `{text(other, 'gateway')}`" if "gateway" in other else ""
        notes.append(f"The cluster has an ingress of the kind `{text(other, 'kind')}` as well{named}.")
    return found[0] if found else {"kind": "none"}


def _find_gateway(cluster: Cluster, kind: Kind, notes: list[str]) -> str | None:
    names = sorted(
        f"{text(each, 'metadata', 'namespace')}/{text(each, 'metadata', 'name')}"
        for each in cluster.find(kind, "", {})
    )
    if not names:
        notes.append(f"The cluster knows Gateways of {kind.api_version}, and has none.")
        return None
    chosen = SELDON_GATEWAY if SELDON_GATEWAY in names else names[0]
    if len(names) > 1:
        listed = ", ".join(f"`{name}`" for name in names if name != chosen)
        notes.append(f"Of the Gateways of {kind.api_version}, `{chosen}` was taken; there are {listed} too.")
    return chosen
