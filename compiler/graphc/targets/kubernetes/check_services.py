"""Checks that the Services of a graph have names of their own."""

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.rollout import SERVICE_CLASH
from graphc.targets.kubernetes.names import name_pods
from graphc.targets.pods.layout import Layout


def check_services(layout: Layout, sink: Sink) -> None:
    """Report a predictor whose Service would be that of another's unit, which scales on its own."""
    entries = {name_pods(each, 0, ()): each for each in layout.deployable.versions}
    for version, pod in layout.pods:
        name = name_pods(version, pod.index, pod.units)
        if pod.index and name in entries:
            other, unit = entries[name], pod.units[0].name
            message = (
                f"the predictor `{other.name}` and the unit `{unit}` of the predictor `{version.name}` "
                f"would both have the Service `{name}`"
            )
            sink.report(Diagnostic(SERVICE_CLASH, message, other.at, "give the predictor another name"))
