"""What containers that become one ask for, and whether one device, or a part of it, holds what they run."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from graphc.gpus.ask import Amount, Count, GpuAsk, MemoryNeed, Share, SliceNeed, show_mib
from graphc.gpus.choose import Grant, Refused, choose_offer
from graphc.gpus.pools import Pool
from graphc.records import record


@record
class Room:
    """One device that holds several: what is asked for together, what they need in MiB, and what it has."""

    ask: GpuAsk
    need_mib: int
    has_mib: int


@record
class NoRoom:
    """Why no one device will do, in words that end a sentence."""

    because: str


def add_asks(asks: Sequence[GpuAsk]) -> GpuAsk | None:
    """Return what asks amount to on one device; None where that is no amount of one.

    Parts and memory add up. Whoever asks for one device, or for one slice, finds it big enough for itself alone,
    so these do not: whether one holds all is a matter of memory.
    """
    first = asks[0]
    amount = _add([each.amount for each in asks])
    if amount is None or any(replace(each, amount=first.amount) != first for each in asks):
        return None
    return replace(first, amount=amount)


def _add(amounts: Sequence[Amount]) -> Amount | None:
    parts = [each.part for each in amounts if isinstance(each, Share)]
    if len(parts) == len(amounts):
        return Share(sum(parts, Fraction())) if sum(parts) < 1 else None
    needs = [each.mib for each in amounts if isinstance(each, MemoryNeed)]
    if len(needs) == len(amounts):
        return MemoryNeed(sum(needs))
    first = amounts[0]
    is_one = first == Count(1) or isinstance(first, SliceNeed)
    return first if is_one and all(each == first for each in amounts) else None


def find_room(
    asks: Sequence[GpuAsk], need_mib: int, *, is_known: bool, pools: Sequence[Pool]
) -> Room | NoRoom:
    """Return the device that asks share, no worse than those that each would get alone.

    Together they may not take more of devices than apart, nor memory that others can take where theirs was their own.
    `is_known` says whether `need_mib` has all that needs memory.
    """
    ask = add_asks(asks)
    if ask is None:
        return NoRoom("they ask for more than one device has, or not for the same")
    if isinstance(ask.amount, Count | SliceNeed) and not is_known:
        return NoRoom("what they need of its memory is not known (`gpu_memory` says it)")
    apart = [found for each in asks if isinstance(found := choose_offer(each, pools), Grant)]
    if len(apart) < len(asks):
        return NoRoom("the cluster does not have what each of them asks for")
    together = choose_offer(ask, pools, need_mib)
    if isinstance(together, Refused):
        return NoRoom(f"together they ask for {ask}, need {show_mib(need_mib)}, and no pool has that")
    if together.first.share > sum(each.first.share for each in apart):
        return NoRoom("together they would take more of a device than apart")
    if not together.first.is_isolated and all(each.first.is_isolated for each in apart):
        return NoRoom(
            "others could take the memory of the part that holds all, and not that of their own parts"
        )
    return Room(ask, need_mib, together.memory_mib)
