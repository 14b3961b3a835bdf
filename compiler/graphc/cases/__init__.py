"""Runs the cases of a graph, requests with their expected answers, on its compiled plan in one process."""
