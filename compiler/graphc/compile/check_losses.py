"""Checks what is lost on the target, and what the file allows to be lost."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from graphc.diagnostics import Diagnostic, Severity, Sink
from graphc.diagnostics.codes.fields import NOT_A_CHOICE
from graphc.diagnostics.printable import quoted
from graphc.spec.read_spec import GraphSpec
from graphc.targets.find import find_target, list_targets
from graphc.targets.interface import Deployable, Loss, Target


def check_allowed(spec: GraphSpec, sink: Sink) -> None:
    """Report codes of `allow_loss` by which no target tells a loss; a file may be compiled for several."""
    if not spec.fields.allow_loss:
        return
    codes = sorted({rule.code for name in list_targets() for rule in find_target(name).losses})
    for index, code in enumerate(spec.fields.allow_loss):
        if code not in codes:
            message = f"`allow_loss` cannot be {quoted(code)}"
            hint = "it takes " + ", ".join(f"`{each}`" for each in codes)
            sink.report(Diagnostic(NOT_A_CHOICE, message, spec.at("allow_loss", index), hint))


def find_losses(target: Target, deployable: Deployable, spec: GraphSpec) -> Iterator[Loss]:
    """Yield what the target does not do as the file asks."""
    found = Sink()
    target.check_losses(deployable, found)
    yield from (Loss(each, each.rule.code in spec.fields.allow_loss) for each in found)


def check_losses(losses: Iterable[Loss], sink: Sink) -> None:
    """Report losses; of those that the file allows, an error is a warning, and a warning is not reported."""
    for loss in losses:
        if not loss.is_allowed:
            sink.report(loss.diagnostic)
        elif loss.diagnostic.severity is Severity.ERROR:
            sink.report(replace(loss.diagnostic, tolerated=True))
