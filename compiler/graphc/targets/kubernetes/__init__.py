"""The target that emits plain Deployments, Services and what goes with them, without Seldon's operator."""
