"""Combiners: one file each. They join several tensors of one shape, and change none of their inputs."""
