"""Dashboards and alerts for a graph: queries on the metrics that its units, and what calls them, expose."""
