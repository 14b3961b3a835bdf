"""Reports GPUs that units ask for and cannot have, and what they should know of those that they get."""

from collections.abc import Sequence

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.gpus import (
    ALIKE_POOLS,
    GPU_MEMORY,
    NEEDS_PROFILE,
    NO_GPU_FITS,
    NOT_ISOLATED,
    ON_CPU,
)
from graphc.gpus.ask import MemoryNeed, Share, show_mib
from graphc.gpus.choose import Grant
from graphc.gpus.pools import Pool, offers_of
from graphc.hardware.assign import Hardware, Wish, find_twins


def check_hardware(hardware: Hardware, pools: Sequence[Pool] | None, sink: Sink) -> None:
    """Report what a pod's hardware lacks; `pools` are those that it was chosen from."""
    if pools is None:
        _check_named(hardware, sink)
        return
    if hardware.refusal is not None:
        _report_refusal(hardware, pools, sink)
        return
    for wish in hardware.wishes:
        grant = hardware.grants.get(wish.unit.name)
        if grant is None:
            message = f"`{wish.name}` prefers {wish.ask}, which no pool has, and runs on processors"
            sink.report(Diagnostic(ON_CPU, message, wish.at))
        else:
            _check_grant(wish, grant, sink)
    _check_twins(hardware, pools, sink)


def _check_named(hardware: Hardware, sink: Sink) -> None:
    for wish in hardware.wishes:
        if wish.unit.name not in hardware.resources:
            wanted = f"`{wish.name}` asks for {wish.ask}"
            shared = "" if wish.ask.sharing == "any" else f" by {wish.ask.sharing}"
            message = f"{wanted}{shared}, and which resource that is depends on the cluster"
            hint = "name the cluster's profile, as in `--profile cluster.yaml`"
            sink.report(Diagnostic(NEEDS_PROFILE, message, wish.at, hint))


def _report_refusal(hardware: Hardware, pools: Sequence[Pool], sink: Sink) -> None:
    refusal, wishes = hardware.refusal, hardware.wishes
    assert refusal is not None
    if refusal.wish is None:
        names = " and ".join(f"`{wish.name}`" for wish in wishes)
        message = f"{names} share a pod, and no pool has what each of them asks for"
        hint = "give one of them `replicas`, so that it gets a pod of its own"
        sink.report(Diagnostic(NO_GPU_FITS, message, wishes[0].at, hint))
        return
    wish = refusal.wish
    message = f"`{wish.name}` asks for {wish.ask}, and no pool has that: {'; '.join(refusal.reasons[:4])}"
    sink.report(Diagnostic(NO_GPU_FITS, message, wish.at, _suggest(wish, pools)))


def _suggest(wish: Wish, pools: Sequence[Pool]) -> str | None:
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


def _check_grant(wish: Wish, grant: Grant, sink: Sink) -> None:
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


def _check_twins(hardware: Hardware, pools: Sequence[Pool], sink: Sink) -> None:
    twins = find_twins(list(hardware.grants.values()), pools) if hardware.grants else None
    if twins is not None:
        pool, twin = twins
        message = (
            f"the pools `{pool.name}` and `{twin.name}` have resources of one name, and only one will do"
        )
        hint = f"give `{pool.name}` a label in the profile that `{twin.name}` has not"
        sink.report(Diagnostic(ALIKE_POOLS, message, hardware.wishes[0].at, hint))
