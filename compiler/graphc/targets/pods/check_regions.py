"""Checks that units can read what they are told of their regions."""

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.limits import TOO_LARGE
from graphc.targets.pods.layout import Layout
from graphc.targets.shipping import MOST_REGION


def check_regions(layout: Layout, sink: Sink) -> None:
    """Report regions that are too large for a variable and for a config map."""
    for predictor in layout.predictors:
        for container in predictor.containers:
            if container.is_unreadable:
                message = (
                    f"the unit `{container.name}` needs {len(container.region):,} characters to describe its region, "
                    f"and a unit reads {MOST_REGION:,}, or 1 MiB compressed"
                )
                is_shared = len(container.unit.region.nodes) > 1
                hint = "give some of its nodes units of their own" if is_shared else None
                sink.report(Diagnostic(TOO_LARGE, message, container.settings.at, hint))
