"""Which hardware each unit of a plan gets, and what a cluster has room for."""
