"""A graph and the plan of how it is served: what passes read and write."""
