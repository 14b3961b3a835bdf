"""Checks that Seldon's executor can run where it has to stand in front, and can be told of what it calls."""

import math

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.limits import EXECUTOR_FULL, EXECUTOR_REFUSED
from graphc.seldon.predictor_size import MAX_STRING, MOST
from graphc.targets.pods.layout import Layout, Predictor


def check_executor(layout: Layout, sink: Sink) -> None:
    """Report a graph whose pods are refused for the executor's sake, and predictors with which it cannot start."""
    deployable = layout.deployable
    if deployable.profile.refuses_executor and deployable.is_for_cluster and layout.has_walker:
        _report_refused(layout, sink)
    for predictor in layout.predictors:
        if predictor.told is not None and predictor.told > MOST:
            _report_full(predictor, predictor.told, sink)


def _report_refused(layout: Layout, sink: Sink) -> None:
    settings = layout.deployable.settings
    counts = {each.name: len([*each.plan.root.walk()]) for each in layout.deployable.versions}
    most = max(counts, key=lambda name: counts[name])
    if settings.comparing.url is not None:
        at, why = settings.comparing.url_at, "requests and answers are logged by it"
    elif counts[most] > 1:
        at, why = settings.at, f"it walks the {counts[most]} units of `{most}`"
    else:
        at, why = settings.executor_at, "the file asks for it"
    message = f"namespaces that enforce `restricted` refuse pods with Seldon's executor, and {why}"
    hint = "apply k8s/executor-security and say so in the profile (`executor_policy: true`), or leave it one unit"
    sink.report(Diagnostic(EXECUTOR_REFUSED, message, at, hint))


def _report_full(predictor: Predictor, told: int, sink: Sink) -> None:
    name, count = predictor.version.name, len([*predictor.containers])
    message = (
        f"the {count} units of `{name}` are {4 * math.ceil(told / 3):,} characters in the executor's environment, "
        f"and Linux takes {MAX_STRING:,}"
    )
    hint = "let nodes share units: without `-O0` or `placement: separate`, or by one `unit:` for several"
    sink.report(Diagnostic(EXECUTOR_FULL, message, predictor.version.at, hint))
