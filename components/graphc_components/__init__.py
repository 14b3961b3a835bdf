"""Combiners, routers and transformers as pure functions of arrays."""
