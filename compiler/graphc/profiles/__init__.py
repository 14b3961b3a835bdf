"""Profiles: what graphc has to know of the cluster that a graph is compiled for."""
