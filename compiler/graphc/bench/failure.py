"""The one way in which a measurement ends without a result."""


class BenchError(Exception):
    """Nothing can be measured; the message says why in one line, in a user's words."""
