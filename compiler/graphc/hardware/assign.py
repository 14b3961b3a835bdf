"""Chooses what the containers of a pod get of GPUs, and where the pod then has to go."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Final

from graphc.diagnostics import Span
from graphc.gpus.ask import Count, GpuAsk, MemoryNeed, SliceNeed, show_mib
from graphc.gpus.choose import Grant, choose_offer
from graphc.gpus.pools import WHOLE, Pool, offers_of
from graphc.ir.graph import Resources, Value
from graphc.ir.plan import Unit
from graphc.records import record

Data = dict[str, Value]

_SOFT: Final = "PreferNoSchedule"

# As estimates of memory have it; they take onnx, which is slow to import.
CONTEXT: Final = 500
"""The MiB of a device that a process takes for CUDA itself."""


def name_device(ask: GpuAsk) -> str:
    """Return what the runtime is told to compute on."""
    device = "cuda" if ask.engine is None else "tensorrt"
    return f"prefer-{device}" if ask.device == "prefer-gpu" else device


def limit_memory(ask: GpuAsk, grant: Grant | None, workers: int) -> int | None:
    """Return the MiB that each process may take of a device that others share; None where it has the device alone."""
    if grant is None or grant.first.mode not in {"mps", "time-slicing"}:
        return None
    part = (
        int(grant.first.share * grant.memory_mib) if grant.first.mode == "time-slicing" else grant.memory_mib
    )
    asked = ask.amount.mib if isinstance(ask.amount, MemoryNeed) else 0
    # What CUDA itself takes is beside what a session may.
    return max(max(part, asked) // workers - CONTEXT, CONTEXT)


@record
class Load:
    """What a unit has to hold in memory at once: rows of its largest batch, and processes with models each."""

    batch: int = 1
    workers: int = 1


@record
class Landing:
    """Where a unit runs, and why there; `resource` is None of one that runs on processors, memory is in MiB."""

    unit: str
    resource: str | None
    count: int
    part: str
    memory_mib: int
    is_isolated: bool
    pools: tuple[str, ...]
    because: str


@record
class Wish:
    """What a unit asks for, where that stands, and the memory in MiB that it needs at least and probably."""

    unit: Unit
    name: str
    """The node that asks, or the unit where several do, or the graph does."""
    ask: GpuAsk
    at: Span
    least_mib: int
    likely_mib: int


@record
class Refusal:
    """Why a pod cannot have what its units ask for: one of them for these reasons, or all of them in one place."""

    wish: Wish | None
    reasons: tuple[str, ...] = ()


@record
class Hardware:
    """By unit, the GPU resource with its count and what it is of; for the pod, where it may go.

    `landings` say all of it for people; there are none of a cluster whose nodes are not known.
    """

    resources: Mapping[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    grants: Mapping[str, Grant] = field(default_factory=dict[str, Grant])
    pod: Data = field(default_factory=dict[str, Value])
    landings: tuple[Landing, ...] = ()
    wishes: tuple[Wish, ...] = ()
    """What was asked for; a wish without a resource is not served."""
    refusal: Refusal | None = None


def choose_hardware(
    units: Sequence[Unit],
    given: Resources | None,
    at: Span,
    pools: Sequence[Pool] | None,
    loads: Mapping[str, Load],
) -> Hardware:
    """Return what a pod's units get; `given` is for those that say nothing themselves.

    On an unknown cluster, whole devices and slices can be had by name alone.
    """
    wishes = tuple(
        _wish(unit, ask, at, loads.get(unit.name, Load()) if pools is not None else None)
        for unit in units
        if (ask := ask_of(unit, given)) is not None
    )
    if pools is None:
        named = {wish.unit.name: name for wish in wishes if (name := _name(wish.ask)) is not None}
        return Hardware(named, wishes=wishes)
    grants = _grant(wishes, pools)
    if isinstance(grants, Refusal):
        return Hardware(wishes=wishes, refusal=grants)
    landings = tuple(_land(units, wishes, grants, pools))
    if not grants:
        return Hardware(landings=landings, wishes=wishes)
    resources = {name: (grant.resource, grant.count) for name, grant in grants.items()}
    return Hardware(resources, grants, _place(list(grants.values()), pools), landings, wishes)


def ask_of(unit: Unit, given: Resources | None) -> GpuAsk | None:
    """Return what a unit asks of GPUs; None where it needs none."""
    resources = unit.region.placement.resources or given
    ask = resources.gpu if resources else None
    return ask if ask is not None and ask.wants_gpu else None


def _wish(unit: Unit, ask: GpuAsk, at: Span, load: Load | None) -> Wish:
    asking = {node.origin: node for node in unit.region.nodes if node.placement.resources}
    # What several ask for together is the unit's.
    name = next(iter(asking)) if len(asking) == 1 else unit.name
    said = next((node.at for node in asking.values()), at)
    if load is None:
        return Wish(unit, name, ask, said, 0, 0)
    # onnx takes long to import, and only graphs that ask for GPUs need it.
    from graphc.hardware.region_memory import estimate_region

    estimate = estimate_region(unit.region, load.batch, load.workers)
    # A model whose weights do not fit cannot run; the rest is an estimate.
    return Wish(unit, name, ask, said, estimate.weights + estimate.measured, estimate.total)


# An unknown cluster


def _name(ask: GpuAsk) -> tuple[str, int] | None:
    """Return the resource that an ask is of on every cluster, if there is one."""
    match ask.amount:
        case Count(number) if ask.sharing in {"any", "exclusive"} and not ask.models:
            return WHOLE, number
        case SliceNeed(name) if ask.sharing in {"any", "mig"} and not ask.models:
            return f"nvidia.com/mig-{name}", 1
        case _:
            return None


# A cluster with known pools


def _grant(wishes: Sequence[Wish], pools: Sequence[Pool]) -> dict[str, Grant] | Refusal:
    """Return what each unit gets, or why that cannot be; all units of a pod find theirs on one node."""
    found = _choose_all(wishes, pools)
    if isinstance(found, dict) and (not found or _shared_pools(list(found.values()))):
        return found
    for pool in pools:
        of_one = _choose_all(wishes, [pool])
        if isinstance(of_one, dict) and len(of_one) == len(wishes):
            return of_one
    return Refusal(None) if isinstance(found, dict) else found


def _choose_all(wishes: Sequence[Wish], pools: Sequence[Pool]) -> dict[str, Grant] | Refusal:
    grants: dict[str, Grant] = {}
    for wish in wishes:
        found = choose_offer(wish.ask, pools, wish.least_mib)
        if isinstance(found, Grant):
            grants[wish.unit.name] = found
        elif wish.ask.device != "prefer-gpu":
            return Refusal(wish, found.reasons)
    return grants


def _shared_pools(grants: Sequence[Grant]) -> set[str]:
    """Return the pools in which all of the grants are to be had."""
    names = {offer.pool.name for grant in grants for offer in grant.offers}
    return {name for name in names if all(_is_in(name, grant) for grant in grants)}


def _is_in(pool: str, grant: Grant) -> bool:
    return any(offer.pool.name == pool for offer in grant.offers)


# Where the pod goes


def _place(grants: Sequence[Grant], pools: Sequence[Pool]) -> Data:
    """Return the fields of the pod that bring it to the pools, and no others, that have what it gets."""
    chosen, others = _part_pools(grants, pools)
    pod: Data = {}
    if others and find_twins(grants, pools) is None:
        pod["affinity"] = _affinity(chosen)
    if chosen[0].runtime_class is not None:
        pod["runtimeClassName"] = chosen[0].runtime_class
    tolerations = [
        _toleration(key, value, effect)
        for key, value, effect in dict.fromkeys(
            (taint.key, taint.value, taint.effect)
            for pool in chosen
            for taint in pool.taints
            if taint.effect != _SOFT
        )
    ]
    if tolerations:
        pod["tolerations"] = list[Value](tolerations)
    return pod


def _toleration(key: str, value: str | None, effect: str) -> Data:
    if value is None:
        return {"key": key, "operator": "Exists", "effect": effect}
    return {"key": key, "operator": "Equal", "value": value, "effect": effect}


def _part_pools(grants: Sequence[Grant], pools: Sequence[Pool]) -> tuple[list[Pool], list[Pool]]:
    """Return the pools that are meant, and others that have resources of the same names."""
    wanted, names = {grant.resource for grant in grants}, _shared_pools(grants)
    chosen = [pool for pool in pools if pool.name in names]
    others = [
        pool
        for pool in pools
        if pool.name not in names and wanted <= {offer.resource for offer in offers_of(pool)}
    ]
    return chosen, others


def find_twins(grants: Sequence[Grant], pools: Sequence[Pool]) -> tuple[Pool, Pool] | None:
    """Return a pool that is meant, and one that is not and has all its labels; None where labels tell them apart."""
    chosen, others = _part_pools(grants, pools)
    for pool in chosen:
        for other in others:
            if dict(pool.labels).items() <= dict(other.labels).items():
                return pool, other
    return None


def _affinity(chosen: Sequence[Pool]) -> Data:
    """Return what keeps the pod from nodes that have resources of the same names, and are not meant."""
    terms: list[Value] = [
        {
            "matchExpressions": [
                {"key": key, "operator": "In", "values": [value]}
                for key, value in sorted(pool.labels.items())
            ]
        }
        for pool in chosen
    ]
    required: Data = {"nodeSelectorTerms": terms}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


# Where units land, for people


def _land(
    units: Sequence[Unit], wishes: Sequence[Wish], grants: Mapping[str, Grant], pools: Sequence[Pool]
) -> Iterator[Landing]:
    by_unit = {wish.unit.name: wish for wish in wishes}
    if grants:
        names = _shared_pools(list(grants.values()))
        open_to = [pool.name for pool in pools if pool.name in names]
    else:
        open_to = [pool.name for pool in pools if all(each.effect == _SOFT for each in pool.taints)]
    for unit in units:
        wish, grant = by_unit.get(unit.name), grants.get(unit.name)
        places = tuple(open_to)
        if wish is None or grant is None:
            yield Landing(unit.name, None, 0, "processors", 0, True, places, _why_not(wish, grants))
            continue
        part, why = str(grant.first), _why(wish, grant)
        yield Landing(
            unit.name,
            grant.resource,
            grant.count,
            part,
            grant.memory_mib,
            grant.first.is_isolated,
            places,
            why,
        )


def _why(wish: Wish, grant: Grant) -> str:
    match wish.ask.amount:
        case Count():
            best = "that many of what will do"
        case SliceNeed():
            best = "that very slice"
        case _ if grant.first.is_isolated:
            best = "the smallest that will do and has memory of its own"
        case _:
            best = "the smallest that will do, and none that will do has memory of its own"
    need = f", and is estimated to need {show_mib(wish.likely_mib)}" if wish.likely_mib else ""
    return f"`{wish.name}` asks for {wish.ask}{need}: {best}"


def _why_not(wish: Wish | None, grants: Mapping[str, Grant]) -> str:
    if wish is not None:
        return f"`{wish.name}` prefers {wish.ask}, and no pool has that"
    if grants:
        return f"asks for no GPU, and shares a pod with {' and '.join(f'`{name}`' for name in grants)}"
    return "asks for no GPU"
