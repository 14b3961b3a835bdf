"""Reports what is Seldon's alone of what a graph file asks, and a file may allow."""

from typing import Final

from graphc.diagnostics import Diagnostic, Rule, Sink
from graphc.diagnostics.codes.limits import NOT_REPORTED
from graphc.targets.model import Deployable

LOSSES: Final[tuple[Rule, ...]] = (NOT_REPORTED,)
"""What is reported here."""


def check_losses(deployable: Deployable, sink: Sink) -> None:
    """Report a service that is to compare versions: Seldon's executor tells it of answers, and nothing else does."""
    comparing = deployable.settings.comparing
    if comparing.url is not None and deployable.is_for_cluster:
        message = f"nothing tells `{comparing.url}` of the answers: without Seldon's executor none are logged"
        hint = "compare on this machine with `graphc run`, or compile for the target `seldon`"
        sink.report(Diagnostic(NOT_REPORTED, message, comparing.url_at, hint))
