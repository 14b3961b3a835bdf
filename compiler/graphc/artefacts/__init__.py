"""Artefacts: what a model file or a Python module says about itself, told without running it."""
