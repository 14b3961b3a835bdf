"""Which predictor answers a request, and which ones get a copy of it."""
