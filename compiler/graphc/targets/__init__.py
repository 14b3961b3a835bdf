"""Targets: plans in, documents out."""
