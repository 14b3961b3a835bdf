"""The rules of graphc, one module per stage."""
