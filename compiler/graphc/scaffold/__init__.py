"""Writes a new graph with its cases and a page: from models that are there, or from a template."""
