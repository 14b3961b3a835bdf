"""Checks that the Services which Seldon's operator makes have names of their own."""

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.rollout import SERVICE_CLASH
from graphc.targets.pods.layout import Layout


def check_services(layout: Layout, sink: Sink) -> None:
    """Report names that meet: a predictor's Service is GRAPH-PREDICTOR, a unit's GRAPH-PREDICTOR-UNIT."""
    versions = {each.name: each for each in layout.deployable.versions}
    for name, version in versions.items():
        for unit in version.plan.root.walk():
            other = f"{name}-{unit.name}"
            if other in versions:
                message = (
                    f"the predictor `{other}` and the unit `{unit.name}` of the predictor `{name}` "
                    f"would both have the Service `{version.plan.graph}-{other}`"
                )
                hint = "give the predictor another name"
                sink.report(Diagnostic(SERVICE_CLASH, message, versions[other].at, hint))
