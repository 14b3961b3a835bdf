"""Makes Node objects of a profile's pools, labelled as NVIDIA's GPU feature discovery and device plugin leave them."""

from collections.abc import Iterator, Sequence

from graphc.gpus.pools import Gpus, Pool, Taint
from graphc.ir.graph import Value
from graphc.unchecked import Data

GPU = "nvidia.com/gpu"


def nodes_of(pools: Sequence[Pool], prefix: str = "") -> Iterator[Data]:
    """Yield the nodes of all pools; `prefix` makes their names unique."""
    for pool in pools:
        for index in range(pool.nodes):
            yield _node(pool, f"{prefix}{pool.name}-{index}")


def _node(pool: Pool, name: str) -> Data:
    resources = {"cpu": f"{pool.cpu_m}m", "memory": str(pool.memory), "pods": str(pool.pods)}
    resources |= {key: str(count) for key, count in _resources(pool.gpus)}
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    labels |= dict(_labels(pool.gpus)) | dict(pool.labels)
    taints = [_taint(each) for each in pool.taints]
    spec: Data = {"taints": taints} if taints else {}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": spec,
        "status": {
            "capacity": dict(resources),
            "allocatable": dict(resources),
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def _taint(taint: Taint) -> Value:
    value: Data = {"value": taint.value} if taint.value else {}
    return {"key": taint.key, "effect": taint.effect, **value}


def _resources(gpus: Gpus | None) -> Iterator[tuple[str, int]]:
    """Yield what the device plugin counts, in the words of its documentation and not in graphc's."""
    if gpus is None:
        return
    match gpus.mode, gpus.strategy:
        case "mig", "single":
            (count,) = gpus.slices.values()
            yield GPU, count * gpus.devices
        case "mig", _:
            # The resource is registered all the same, and has no devices.
            yield GPU, 0
            for name, count in gpus.slices.items():
                yield f"nvidia.com/mig-{name}", count * gpus.devices
        case "exclusive", _:
            yield GPU, gpus.devices
        case _:
            yield f"{GPU}.shared" if gpus.renamed else GPU, gpus.devices * gpus.replicas


def _labels(gpus: Gpus | None) -> Iterator[tuple[str, str]]:
    if gpus is None:
        return
    product = gpus.product.labels[0] if gpus.product.labels else gpus.product.name
    yield f"{GPU}.present", "true"
    yield "nvidia.com/mig.capable", str(bool(gpus.product.slices)).lower()
    if gpus.mode != "mig":
        is_shared = gpus.mode != "exclusive"
        suffix = "-SHARED" if is_shared and not gpus.renamed else ""
        strategy = gpus.mode if is_shared else "none"
        replicas = gpus.replicas if is_shared else 1
        yield from _count(GPU, product + suffix, gpus.devices, replicas, gpus.product.memory_mib, strategy)
        return
    yield "nvidia.com/mig.strategy", gpus.strategy
    if gpus.strategy == "mixed":
        yield from _count(GPU, product, gpus.devices, 0, gpus.product.memory_mib)
    for name, count in gpus.slices.items():
        resource = GPU if gpus.strategy == "single" else f"nvidia.com/mig-{name}"
        memory = gpus.product.slices[name].memory_mib
        # A label holds no plus sign, so that `1g.10gb+me` is `1g.10gbme` there.
        model = f"{product}-MIG-{name.replace('.me', 'me')}"
        yield from _count(resource, model, count * gpus.devices, 1, memory)


def _count(
    resource: str, product: str, count: int, replicas: int, memory: int, strategy: str = "none"
) -> Iterator[tuple[str, str]]:
    yield f"{resource}.product", product
    yield f"{resource}.count", str(count)
    yield f"{resource}.replicas", str(replicas)
    yield f"{resource}.memory", str(memory)
    yield f"{resource}.sharing-strategy", strategy
