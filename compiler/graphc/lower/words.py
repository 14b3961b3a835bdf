"""What decisions are written with."""

from collections.abc import Iterator, Sequence
from typing import Final

from graphc.ir.graph import Node, Placement

SHOWN: Final = 3
"""Names in one sentence; more are counted."""

_COUNTS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def show_placement(nodes: Sequence[Node]) -> str:
    """Say what the nodes of a unit ask of their container."""
    first, *others = [_say_wish(node) for node in nodes if not node.placement.is_free] or [""]
    return "; ".join(dict.fromkeys([first, *others]))


def _say_wish(node: Node) -> str:
    placement = node.placement
    wishes = [wish for wish in _wishes(placement) if wish]
    asks = f"`{node.origin}` asks for {' and '.join(wishes)}" if wishes else ""
    named = f"`{node.origin}` names the unit `{placement.unit}`" if placement.unit else ""
    return " and ".join(
        each for each in (named, asks.replace(f"`{node.origin}` ", "") if named else asks) if each
    )


def _wishes(placement: Placement) -> Iterator[str]:
    resources = placement.resources
    if resources and resources.gpu and resources.gpu.wants_gpu:
        yield str(resources.gpu)
    if resources and resources.cpu:
        yield f"{resources.cpu} CPU"
    if resources and resources.memory:
        yield f"{resources.memory} of memory"
    if placement.replicas is not None:
        yield f"{placement.replicas} replica{'s' * (placement.replicas > 1)}"
    if placement.autoscaling is not None:
        yield "replicas by load"
    if placement.workers is not None:
        yield f"{placement.workers} process{'es' * (placement.workers > 1)}"
    if placement.batch is not None:
        yield "batches of its own"
    if placement.image is not None:
        yield f"the image `{placement.image}`"
    if placement.env:
        yield "variables of its own"


def quoted(names: Sequence[str]) -> str:
    """List names."""
    return listed([f"`{name}`" for name in dict.fromkeys(names)])


def listed(words: Sequence[str]) -> str:
    """List words; all but the first of many are counted."""
    if len(words) > SHOWN + 1:
        words = [*words[:SHOWN], f"{len(words) - SHOWN} more"]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def show_count(count: int) -> str:
    """Write a small number as a word."""
    return _COUNTS[count] if count < len(_COUNTS) else str(count)


def show_ms(ms: float) -> str:
    """Write a time with as many digits as it deserves."""
    return f"{ms:.0f} ms" if ms >= 100 else f"{ms:.1f} ms" if ms >= 10 else f"{ms:.2g} ms"
