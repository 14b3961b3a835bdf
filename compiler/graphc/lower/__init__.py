"""From a checked graph to a plan: conditions, regions, unit tree, liveness."""
