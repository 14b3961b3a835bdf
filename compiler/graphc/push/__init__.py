"""Puts what no config map holds into the store that a graph's units fetch from."""
