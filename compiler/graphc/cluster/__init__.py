"""Changes a cluster: plans, applies, waits, remembers and goes back; nothing here is imported before it is needed."""
