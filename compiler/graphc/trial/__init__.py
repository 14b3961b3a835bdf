"""Loads and runs the nodes of a graph, each in a process to throw away, and says what fails."""
