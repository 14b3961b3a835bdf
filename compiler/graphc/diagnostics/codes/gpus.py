"""GC490 to GC499 and GC522: GPUs that are asked for, and those that a cluster has."""

from typing import Final

from graphc.diagnostics.diagnostic import error, warning

NEEDS_PROFILE: Final = error("GC490", "gpu-needs-profile", "How GPUs are shared is known of no cluster yet.")
NO_GPU_FITS: Final = error(
    "GC491", "no-gpu-fits", "The cluster has nothing that a GPU request could be met by."
)
NO_SUCH_POOL: Final = error("GC492", "impossible-pool", "A profile says of nodes what no node can be.")
GPU_MEMORY: Final = warning(
    "GC493", "gpu-memory", "Models may need more memory than their part of a GPU has."
)
NOT_ISOLATED: Final = warning("GC494", "gpu-not-isolated", "Others can take the memory of a shared GPU.")
ALIKE_POOLS: Final = error(
    "GC495", "pools-alike", "Nodes that will do cannot be told from nodes that will not."
)
CLUSTER_TOO_SMALL: Final = error(
    "GC496", "cluster-too-small", "The cluster has not room for the graph's pods."
)
ROLLOUT_PEAK: Final = warning(
    "GC497", "rollout-peak", "A rollout needs more for a while than the cluster has."
)
ON_CPU: Final = warning(
    "GC498", "gpu-not-had", "A node that prefers a GPU runs without, as the cluster has none."
)
WITHOUT_KERNELS: Final = warning(
    "GC522", "gpu-without-kernels", "A model asks for a GPU, and its operators run on processors."
)
