"""The graph file as strict pydantic models; nothing past the front end sees them."""
