"""GC47x and GC48x: comparing versions, and the gates of their promotion."""

from typing import Final

from graphc.diagnostics.diagnostic import error, warning

GATE_METRIC: Final = error("GC470", "gate-metric", "A gate names a metric that is not measured.")
GATE_BOUND: Final = error(
    "GC471", "gate-bound", "A gate is no bound, or one in the direction that says nothing good."
)
GATE_UNIT: Final = error(
    "GC472", "gate-unit", "A gate's bound has another unit than its metric, or is out of range."
)
NOTHING_TO_JUDGE: Final = warning("GC473", "nothing-to-judge", "A graph of one predictor has gates.")
NOTHING_TO_COMPARE: Final = error(
    "GC474", "nothing-to-compare", "A gate compares what no output of the graph has."
)
UNDECIDABLE: Final = error(
    "GC475",
    "undecidable-gate",
    "A gate compares answers of a predictor whose requests no other predictor answers.",
)
