"""The local engine: walks a predictor's tree of units the way the Seldon executor v1.18.2 does."""
