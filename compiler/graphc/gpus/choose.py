"""Chooses what a container gets for what it asks of GPUs, out of what a cluster offers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from graphc.gpus.ask import Count, GpuAsk, MemoryNeed, Share, SliceNeed, show_mib
from graphc.gpus.pools import Offer, Pool, Taint, offers_of

_ORDER: Final = ("mig", "mps", "exclusive", "time-slicing")
"""Of parts that are as large: memory and compute of one's own first, then memory, then a whole device."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a container gets: so many of a resource, out of any of the pools that offer the same."""

    resource: str
    count: int
    offers: tuple[Offer, ...]

    @property
    def first(self) -> Offer:
        """One of the offers; all are of one resource and mode."""
        return self.offers[0]

    @property
    def taints(self) -> tuple[Taint, ...]:
        """What the pod has to tolerate to get there."""
        return tuple(dict.fromkeys(taint for offer in self.offers for taint in offer.pool.taints))

    @property
    def runtime_class(self) -> str | None:
        """The runtime class of the pools."""
        return self.first.pool.runtime_class

    @property
    def memory_mib(self) -> int:
        """The memory of the smallest part that it can be, of each device."""
        return min(offer.memory_mib for offer in self.offers)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why no pool will do: one reason for each pool, or one for all."""

    reasons: tuple[str, ...]


def choose_offer(ask: GpuAsk, pools: Sequence[Pool], need_mib: int = 0) -> Grant | Refused:
    """Return what serves an ask best: isolated before not, then the smallest, then in the order of the pools.

    `need_mib` is memory that was found to be needed, beyond what the ask says.
    """
    offers = [offer for pool in pools for offer in offers_of(pool)]
    if not offers:
        return Refused(("the cluster has no GPUs",))
    refusals = [(offer, reason) for offer in offers if (reason := _refuse(ask, offer, need_mib)) is not None]
    refused = {id(offer) for offer, _ in refusals}
    fitting = [offer for offer in offers if id(offer) not in refused]
    if not fitting:
        return Refused(
            tuple(dict.fromkeys(f"`{offer.pool.name}` has {offer}: {why}" for offer, why in refusals))
        )
    best = min(fitting, key=_rank)
    count = ask.amount.number if isinstance(ask.amount, Count) else 1
    return Grant(best.resource, count, tuple(_like(best, fitting)))


def _rank(offer: Offer) -> tuple[object, ...]:
    return (not offer.is_isolated, offer.share, _ORDER.index(offer.mode), offer.memory_mib)


def _like(best: Offer, offers: Sequence[Offer]) -> Iterator[Offer]:
    """Yield the offers that serve as well: a pod may go to any of their pools."""
    for offer in offers:
        same = (offer.resource, offer.mode, offer.share) == (best.resource, best.mode, best.share)
        if same and offer.pool.runtime_class == best.pool.runtime_class:
            yield offer


def _refuse(ask: GpuAsk, offer: Offer, need_mib: int) -> str | None:
    """Return why an offer will not do, or None."""
    assert offer.pool.gpus is not None
    product = offer.pool.gpus.product
    if ask.models and not any(product.is_called(name) for name in ask.models):
        return f"not {' or '.join(ask.models)}"
    if ask.sharing not in {"any", offer.mode}:
        return f"not {ask.sharing}"
    if reason := _refuse_amount(ask, offer):
        return reason
    if offer.memory_mib < need_mib:
        return f"{show_mib(offer.memory_mib)} of memory, and {show_mib(need_mib)} are needed"
    return None


def _refuse_amount(ask: GpuAsk, offer: Offer) -> str | None:
    match ask.amount:
        case Count(number):
            return _refuse_count(number, ask, offer)
        case Share(part):
            if offer.mode == "exclusive":
                return "not parted"
            return None if offer.share >= part else f"{float(offer.share):.3g} of a device each"
        case MemoryNeed(mib):
            return None if offer.memory_mib >= mib else f"{show_mib(offer.memory_mib)} of memory"
        case SliceNeed(name):
            return None if offer.slice == name else "not that slice"


def _refuse_count(number: int, ask: GpuAsk, offer: Offer) -> str | None:
    # A number is of whole devices, unless the file says that it may be of parts.
    if offer.mode != "exclusive" and ask.sharing == "any":
        return "parts of devices, and whole ones are asked for"
    if number > offer.most:
        return f"no more than {offer.most} in one container"
    return None
