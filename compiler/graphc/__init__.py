"""A compiler for inference graphs."""
