"""Parts the memory that a process may take of a GPU among the models that it runs there."""

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Need:
    """What a model needs in MiB; at least that much, where not all of it could be estimated."""

    mib: int
    is_whole: bool = True


def share_memory(limit_mib: int, needs: Mapping[str, Need]) -> dict[str, int]:
    """Return what each model may take, never more than the limit together.

    What is left over goes to the models that may need more than is known, in equal parts, and else to all in
    proportion. Where there is too little, all get less.
    """
    left = limit_mib - sum(need.mib for need in needs.values())
    partly = [name for name, need in needs.items() if not need.is_whole]
    if partly and left >= 0:
        return {
            name: need.mib + (0 if need.is_whole else left // len(partly)) for name, need in needs.items()
        }
    # A model of unknown size is not left without memory.
    least = limit_mib // len(needs)
    counted = {
        name: need if need.is_whole else replace(need, mib=max(need.mib, least))
        for name, need in needs.items()
    }
    return _in_proportion(limit_mib, {name: max(need.mib, 1) for name, need in counted.items()})


def _in_proportion(limit_mib: int, weights: Mapping[str, int]) -> dict[str, int]:
    whole = sum(weights.values())
    return {name: max(limit_mib * weight // whole, 1) for name, weight in weights.items()}
