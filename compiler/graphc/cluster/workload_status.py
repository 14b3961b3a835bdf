"""Reads how far a Deployment's controller is."""

from graphc.unchecked import Data, number


def count_ready(made: Data) -> int:
    """Return how many pods of a Deployment are certainly new and available.

    Its status does not tell which of the available ones are new: as many as there are old ones may be old.
    """
    total, updated, available = (
        number(made, "status", name) or 0 for name in ("replicas", "updatedReplicas", "availableReplicas")
    )
    return max(0, min(updated, available, available - (total - updated)))


def is_rolled_out(made: Data) -> bool:
    """Say whether a Deployment's controller has seen its last change, and no old pod is left."""
    seen, generation = number(made, "status", "observedGeneration"), number(made, "metadata", "generation")
    if seen is None or generation is None or seen < generation:
        return False
    updated, total = number(made, "status", "updatedReplicas") or 0, number(made, "status", "replicas") or 0
    return total <= updated
