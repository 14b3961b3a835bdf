"""A compiler for inference graphs: `from graphc.builder import Graph` builds one in Python."""
