"""From a spec to a checked, typed graph."""
