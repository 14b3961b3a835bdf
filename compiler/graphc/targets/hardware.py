"""Chooses what the containers of a pod get of GPUs, and where the pod then has to go."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.gpus import (
    ALIKE_POOLS,
    GPU_MEMORY,
    NEEDS_PROFILE,
    NO_GPU_FITS,
    NOT_ISOLATED,
    ON_CPU,
)
from graphc.gpus.ask import Count, GpuAsk, MemoryNeed, Share, SliceNeed, show_mib
from graphc.gpus.choose import Grant, Refused, choose_offer
from graphc.gpus.pools import WHOLE, Pool, offers_of
from graphc.graph import Resources, Value
from graphc.plan import Unit
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
    """Return the MiB that each process may take of a device that others share; None where nobody else has it."""
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


@dataclass(frozen=True, slots=True)
class Hardware:
    """By unit, the GPU resource with its count and what it is of; for the pod, where it may go.

    `landings` say all of it for people; there are none of a cluster whose nodes are not known.
    """

    resources: Mapping[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    grants: Mapping[str, Grant] = field(default_factory=dict[str, Grant])
    pod: Data = field(default_factory=dict[str, Value])
    landings: tuple[Landing, ...] = ()


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a unit asks for, where that stands, and the memory in MiB that it needs at least and probably."""

    unit: Unit
    name: str
    """The node that asks, or the unit where several do, or the graph does."""
    ask: GpuAsk
    at: Span
    least_mib: int
    likely_mib: int


def choose_hardware(
    units: Sequence[Unit],
    given: Resources | None,
    at: Span,
    pools: Sequence[Pool] | None,
    loads: Mapping[str, Load],
    sink: Sink,
) -> Hardware:
    """Return what a pod's units get; `given` is for those that say nothing themselves.

    Of a cluster of which nothing is known, whole devices and slices can be had by name alone.
    """
    wishes = [
        _wish(unit, ask, at, loads.get(unit.name, Load()) if pools is not None else None)
        for unit in units
        if (ask := ask_of(unit, given)) is not None
    ]
    if pools is None:
        return Hardware(
            {wish.unit.name: named for wish in wishes if (named := _name(wish, sink)) is not None}
        )
    grants = _grant(wishes, pools, sink)
    if grants is None:
        return Hardware()
    _warn(wishes, grants, sink)
    landings = tuple(_land(units, wishes, grants, pools))
    if not grants:
        return Hardware(landings=landings)
    resources = {name: (grant.resource, grant.count) for name, grant in grants.items()}
    pod = _place(list(grants.values()), pools, wishes[0].at, sink)
    return Hardware(resources, grants, pod, landings)


def ask_of(unit: Unit, given: Resources | None) -> GpuAsk | None:
    """Return what a unit asks of GPUs; None where it needs none."""
    resources = unit.region.placement.resources or given
    ask = resources.gpu if resources else None
    return ask if ask is not None and ask.wants_gpu else None


def _wish(unit: Unit, ask: GpuAsk, at: Span, load: Load | None) -> _Wish:
    asking = {node.origin: node for node in unit.region.nodes if node.placement.resources}
    # What several ask for together is the unit's.
    name = next(iter(asking)) if len(asking) == 1 else unit.name
    said = next((node.at for node in asking.values()), at)
    if load is None:
        return _Wish(unit, name, ask, said, 0, 0)
    # onnx takes long to import, and only graphs that ask for GPUs need it.
    from graphc.gpus.region_memory import estimate_region

    estimate = estimate_region(unit.region, load.batch, load.workers)
    # A model whose weights do not fit cannot run; the rest is an estimate.
    return _Wish(unit, name, ask, said, estimate.weights + estimate.measured, estimate.total)


# A cluster of which nothing is known


def _name(wish: _Wish, sink: Sink) -> tuple[str, int] | None:
    ask = wish.ask
    match ask.amount:
        case Count(number) if ask.sharing in {"any", "exclusive"} and not ask.models:
            return WHOLE, number
        case SliceNeed(name) if ask.sharing in {"any", "mig"} and not ask.models:
            return f"nvidia.com/mig-{name}", 1
        case _:
            wanted = f"`{wish.name}` asks for {ask}"
            shared = "" if ask.sharing == "any" else f" by {ask.sharing}"
            message = f"{wanted}{shared}, and which resource that is depends on the cluster"
            hint = "name the cluster's profile, as in `--profile cluster.yaml`"
            sink.report(Diagnostic(NEEDS_PROFILE, message, wish.at, hint))
            return None


# A cluster with known pools


def _grant(wishes: Sequence[_Wish], pools: Sequence[Pool], sink: Sink) -> dict[str, Grant] | None:
    """Return what each unit gets, None if that cannot be; all units of a pod find theirs on one node."""
    found = _choose_all(wishes, pools)
    if isinstance(found, dict) and (not found or _shared_pools(list(found.values()))):
        return found
    for pool in pools:
        of_one = _choose_all(wishes, [pool])
        if isinstance(of_one, dict) and len(of_one) == len(wishes):
            return of_one
    if isinstance(found, dict):
        names = " and ".join(f"`{wish.name}`" for wish in wishes)
        message = f"{names} share a pod, and no pool has what each of them asks for"
        hint = "give one of them `replicas`, so that it gets a pod of its own"
        sink.report(Diagnostic(NO_GPU_FITS, message, wishes[0].at, hint))
    else:
        _report_refused(*found, pools, sink)
    return None


def _choose_all(wishes: Sequence[_Wish], pools: Sequence[Pool]) -> dict[str, Grant] | tuple[_Wish, Refused]:
    grants: dict[str, Grant] = {}
    for wish in wishes:
        found = choose_offer(wish.ask, pools, wish.least_mib)
        if isinstance(found, Grant):
            grants[wish.unit.name] = found
        elif wish.ask.device != "prefer-gpu":
            return wish, found
    return grants


def _shared_pools(grants: Sequence[Grant]) -> set[str]:
    """Return the pools in which all of the grants are to be had."""
    names = {offer.pool.name for grant in grants for offer in grant.offers}
    return {name for name in names if all(_is_in(name, grant) for grant in grants)}


def _is_in(pool: str, grant: Grant) -> bool:
    return any(offer.pool.name == pool for offer in grant.offers)


def _report_refused(wish: _Wish, refused: Refused, pools: Sequence[Pool], sink: Sink) -> None:
    message = f"`{wish.name}` asks for {wish.ask}, and no pool has that: {'; '.join(refused.reasons[:4])}"
    sink.report(Diagnostic(NO_GPU_FITS, message, wish.at, _suggest(wish, pools)))


def _suggest(wish: _Wish, pools: Sequence[Pool]) -> str | None:
    """Return what could be asked for instead, if anything plainly could."""
    offers = [offer for pool in pools for offer in offers_of(pool) if offer.memory_mib >= wish.least_mib]
    if isinstance(wish.ask.amount, Share | MemoryNeed) and any(each.mode == "exclusive" for each in offers):
        return "ask for a whole one, `gpu: 1`, or have the cluster share its devices"
    slices = ", ".join(dict.fromkeys(f"`mig-{each.slice}`" for each in offers if each.slice))
    if slices:
        return f"its slices are {slices}"
    if any(each.mode in {"mps", "time-slicing"} for each in offers):
        return "ask for a part, such as `gpu: 0.25`"
    return None


def _warn(wishes: Sequence[_Wish], grants: Mapping[str, Grant], sink: Sink) -> None:
    for wish in wishes:
        grant = grants.get(wish.unit.name)
        if grant is None:
            message = f"`{wish.name}` prefers {wish.ask}, which no pool has, and runs on processors"
            sink.report(Diagnostic(ON_CPU, message, wish.at))
            continue
        if not grant.first.is_isolated and wish.ask.sharing != "time-slicing":
            message = f"`{wish.name}` shares the memory of a GPU with others, who can take all of it"
            hint = "pods that need their memory want `sharing: mig` or `sharing: mps`"
            sink.report(Diagnostic(NOT_ISOLATED, message, wish.at, hint))
        has = grant.memory_mib * (grant.count if grant.first.mode == "exclusive" else 1)
        if wish.likely_mib > has:
            message = (
                f"`{wish.name}` is estimated to need {show_mib(wish.likely_mib)} of GPU memory, "
                f"and gets {show_mib(has)}"
            )
            hint = "measure it and say so in `gpu_memory`, ask for more, or batch less"
            sink.report(Diagnostic(GPU_MEMORY, message, wish.at, hint))


# Where the pod goes


def _place(grants: Sequence[Grant], pools: Sequence[Pool], at: Span, sink: Sink) -> Data:
    """Return the fields of the pod that bring it to the pools, and no others, that have what it gets."""
    names = _shared_pools(grants)
    chosen = [pool for pool in pools if pool.name in names]
    pod: Data = {}
    affinity = _affinity(grants, chosen, pools, at, sink)
    if affinity:
        pod["affinity"] = affinity
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


def _affinity(
    grants: Sequence[Grant], chosen: Sequence[Pool], pools: Sequence[Pool], at: Span, sink: Sink
) -> Data:
    """Return what keeps the pod from nodes that have resources of the same names, and are not meant."""
    wanted = {grant.resource for grant in grants}
    names = {pool.name for pool in chosen}
    others = [
        pool
        for pool in pools
        if pool.name not in names and wanted <= {offer.resource for offer in offers_of(pool)}
    ]
    for pool in chosen:
        twin = next((each for each in others if dict(pool.labels).items() <= dict(each.labels).items()), None)
        if twin is not None:
            message = (
                f"the pools `{pool.name}` and `{twin.name}` have resources of one name, and only one will do"
            )
            hint = f"give `{pool.name}` a label in the profile that `{twin.name}` has not"
            sink.report(Diagnostic(ALIKE_POOLS, message, at, hint))
            return {}
    if not others:
        return {}
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


# What there is to say of it


def _land(
    units: Sequence[Unit], wishes: Sequence[_Wish], grants: Mapping[str, Grant], pools: Sequence[Pool]
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


def _why(wish: _Wish, grant: Grant) -> str:
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


def _why_not(wish: _Wish | None, grants: Mapping[str, Grant]) -> str:
    if wish is not None:
        return f"`{wish.name}` prefers {wish.ask}, and no pool has that"
    if grants:
        return f"asks for no GPU, and shares a pod with {' and '.join(f'`{name}`' for name in grants)}"
    return "asks for no GPU"
