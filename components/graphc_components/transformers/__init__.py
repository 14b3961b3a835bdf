"""Transformers: one file each. They turn one tensor into another, and do not change their input."""
