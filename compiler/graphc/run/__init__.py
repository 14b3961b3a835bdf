"""Run a compiled manifest on this machine: one process per unit, in the environment the operator gives."""
