"""The way of one graph from its document to what a target makes of it."""
