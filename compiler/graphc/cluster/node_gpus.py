"""Reads what GPUs a node has from what NVIDIA's feature discovery and device plugin say of it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from graphc.gpus.pools import SHARED, WHOLE
from graphc.gpus.products import PRODUCTS, Product, slice_name
from graphc.ir.graph import Value
from graphc.unchecked import Data, texts

_SLICE: Final = "nvidia.com/mig-"
_NUMBER: Final = re.compile(r"\d{1,9}\Z")


@dataclass(frozen=True, slots=True)
class Unclear:
    """A node's GPUs cannot be said in a profile: the reason, which follows the node's name in a sentence."""

    reason: str


def count_gpus(node: Data) -> dict[str, int]:
    """Return how many of each of NVIDIA's resources a node has for pods."""
    found = {
        name: int(amount)
        for name, amount in texts(node, "status", "allocatable").items()
        if name.startswith("nvidia.com/") and _NUMBER.match(amount)
    }
    return {name: count for name, count in found.items() if count}


def find_gpus(node: Data) -> Data | Unclear | None:
    """Return what a profile says of a node's GPUs; None where it has none."""
    counts = count_gpus(node)
    if not counts:
        return None
    labels = texts(node, "metadata", "labels")
    model = labels.get(f"{WHOLE}.product", "")
    if not model:
        return Unclear(
            "has GPUs, and no label says of which product; NVIDIA's GPU feature discovery writes those"
        )
    slices = {name: count for name, count in counts.items() if name.startswith(_SLICE)}
    if slices:
        return _read_mixed(counts, slices, labels, model)
    if "-MIG-" in model:
        return _read_single(counts, model)
    return _read_devices(counts, labels, model)


def _read_devices(counts: Mapping[str, int], labels: Mapping[str, str], model: str) -> Data | Unclear:
    product = _product(model.removesuffix("-SHARED"), labels)
    if isinstance(product, Unclear):
        return product
    strategy, replicas = labels.get(f"{WHOLE}.sharing-strategy", "none"), _number(labels, "replicas")
    is_renamed = SHARED in counts
    total = counts.get(SHARED if is_renamed else WHOLE, 0)
    if replicas < 2 and not is_renamed:
        return product | {"count": total}
    if strategy not in {"mps", "time-slicing"} or replicas < 2 or total < replicas:
        return Unclear("shares its GPUs, and its labels do not say how")
    # A device that is not healthy is missing with all of its parts.
    shared: Data = {"count": total // replicas, "sharing": strategy, "replicas": replicas}
    return product | shared | ({} if is_renamed else {"renamed": False})


def _read_mixed(
    counts: Mapping[str, int], slices: Mapping[str, int], labels: Mapping[str, str], model: str
) -> Data | Unclear:
    product, known = _product(model, labels), _known(model)
    if isinstance(product, Unclear):
        return product
    if counts.get(WHOLE) or counts.get(SHARED):
        return Unclear("has whole GPUs beside slices, and a pool of a profile has the one or the other")
    devices = _number(labels, "count") or 1
    each: dict[str, Value] = {}
    for resource, count in sorted(slices.items()):
        name = slice_name(resource.removeprefix("nvidia.com/"))
        is_known = known is not None and name in known.slices
        if name is None or not is_known or count % devices:
            why = "is not on each of its devices alike" if is_known else "is no slice that graphc knows"
            return Unclear(f"has GPUs of which `{resource}` {why}")
        each[name] = count // devices
    mig: Data = {"strategy": "mixed", "slices": each}
    return {**product, "count": devices, "sharing": "mig", "mig": mig}


def _read_single(counts: Mapping[str, int], model: str) -> Data | Unclear:
    base, _, written = model.partition("-MIG-")
    product = _known(base)
    # A label holds no plus sign: `1g.10gb+me` has become `1g.10gbme`.
    name = slice_name(re.sub(r"gb(?=[a-z])", "gb.", written))
    total = counts.get(WHOLE, 0)
    if product is None or name is None or name not in product.slices or not total:
        return Unclear(f"has GPUs parted as `{model}`, which graphc does not know")
    devices, parts = _divide(total, product.slices[name].most)
    slices: Data = {name: parts}
    mig: Data = {"strategy": "single", "slices": slices}
    return {"product": product.name, "count": devices, "sharing": "mig", "mig": mig}


def _divide(total: int, most: int) -> tuple[int, int]:
    """Return the fewest devices that have so many slices in all, each as many, and how many that is."""
    parts = next(parts for parts in range(min(most, total), 0, -1) if total % parts == 0)
    return total // parts, parts


def _product(model: str, labels: Mapping[str, str]) -> Data | Unclear:
    known, mib = _known(model), _number(labels, "memory")
    if known is not None:
        own: Data = {"memory": f"{mib}Mi"} if mib not in {0, known.memory_mib} else {}
        return {"product": known.name, **own}
    if not mib:
        return Unclear(f"has GPUs of the product `{model}`, and no label says how much memory they have")
    found: Data = {"product": model, "memory": f"{mib}Mi"}
    return found


def _known(model: str) -> Product | None:
    """Return the product whose label is the longest beginning of a node's."""
    fitting = [
        (len(label), product)
        for product in PRODUCTS.values()
        for label in product.labels
        if f"{model}-".startswith(f"{label}-")
    ]
    return max(fitting, key=lambda each: each[0])[1] if fitting else None


def _number(labels: Mapping[str, str], name: str) -> int:
    written = labels.get(f"{WHOLE}.{name}", "")
    return int(written) if _NUMBER.match(written) else 0


_PREFERRED: Final = (
    f"{WHOLE}.product",
    "cloud.google.com/gke-nodepool",
    "eks.amazonaws.com/nodegroup",
    "karpenter.sh/nodepool",
    "kubernetes.azure.com/agentpool",
    "nvidia.com/mig.strategy",
    f"{WHOLE}.sharing-strategy",
    f"{WHOLE}.replicas",
    "node.kubernetes.io/instance-type",
)
"""Labels by which pools are told apart, the best first; after them any others."""

_OF_ONE_NODE: Final = (
    "kubernetes.io/hostname",
    "topology.kubernetes.io/",
    "failure-domain.beta.kubernetes.io/",
)


def choose_labels(
    own: Mapping[str, str], others: Iterable[tuple[Mapping[str, str], list[Mapping[str, str]]]]
) -> dict[str, str]:
    """Return labels that tell a pool from others.

    `own` are those that all of its nodes have; of each other pool, those that all have, and those of every node.
    """
    first = f"{WHOLE}.product"
    chosen = {first: own[first]} if first in own else {}
    for common, nodes in others:
        if chosen.items() <= common.items() or not chosen:
            told = next((name for name in _candidates(own) if _tells(name, own[name], nodes)), None)
            if told is not None:
                chosen[told] = own[told]
    return chosen


def _candidates(own: Mapping[str, str]) -> Iterator[str]:
    yield from (name for name in _PREFERRED if name in own)
    yield from (name for name in sorted(own) if name not in _PREFERRED and not name.startswith(_OF_ONE_NODE))


def _tells(name: str, value: str, nodes: list[Mapping[str, str]]) -> bool:
    return all(each.get(name) != value for each in nodes)
