"""GPUs: what they are, what a graph asks of them, and what a cluster offers."""
