"""Checks the predictors beside each other: names, shares of the traffic, shadows, the executor."""

from collections.abc import Iterator

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.manifests import (
    ENGINE_NEEDED,
    LIVE_TRAFFIC,
    NO_PREDICTOR,
    ODD_TRAFFIC,
    PREDICTOR_TWICE,
    SHADOWS,
)
from graphc.diagnostics.printable import quoted
from graphc.seldon.deployment import NO_ENGINE, SERVICE_NAME, Deployment, Predictor


def check_predictors(deployment: Deployment, sink: Sink) -> None:
    """Report predictors that cannot stand beside each other, or not without the executor."""
    if not deployment.predictors:
        message = "the deployment has no predictor"
        sink.report(Diagnostic(NO_PREDICTOR, message, deployment.spec.at("predictors")))
        return
    for problem in (*_names(deployment), *_shadows(deployment), *_traffic(deployment), *_engines(deployment)):
        sink.report(problem)


def _names(deployment: Deployment) -> Iterator[Diagnostic]:
    names: set[str] = set()
    services: set[str] = set()
    for predictor in deployment.predictors:
        if predictor.name in names:
            message = f"two predictors are called {quoted(predictor.name)}"
            yield Diagnostic(PREDICTOR_TWICE, message, predictor.node.at("name"))
        names.add(predictor.name)
        service = predictor.annotations.get(SERVICE_NAME)
        if service is not None and service in services:
            message = f"two predictors have the Service {quoted(service)}"
            yield Diagnostic(PREDICTOR_TWICE, message, predictor.node.child("annotations").at(SERVICE_NAME))
        services |= {service} if service is not None else set()


def _shadows(deployment: Deployment) -> Iterator[Diagnostic]:
    shadows = [predictor for predictor in deployment.predictors if predictor.is_shadow]
    if len(deployment.predictors) == 1 and shadows:
        message = "the only predictor is a shadow, so nothing answers"
        yield Diagnostic(SHADOWS, message, shadows[0].node.at("shadow"))
    for second in shadows[1:]:
        yield Diagnostic(SHADOWS, f"{quoted(second.name)} is a second shadow", second.node.at("shadow"))
    for shadow in shadows:
        if not 0 <= shadow.traffic <= 100:
            message = f"a shadow cannot be sent {shadow.traffic} percent of the requests"
            yield Diagnostic(SHADOWS, message, shadow.node.at("traffic"))


def _traffic(deployment: Deployment) -> Iterator[Diagnostic]:
    live = [predictor for predictor in deployment.predictors if not predictor.is_shadow]
    total = sum(predictor.traffic for predictor in live)
    is_alone = len(deployment.predictors) == 1
    if (len(live) > 1 and total != 100) or (is_alone and 0 < total < 100):
        message = f"the live predictors' traffic is {total} in sum, not 100"
        yield Diagnostic(LIVE_TRAFFIC, message, deployment.predictors[0].node.at("traffic"))
        return
    for predictor in live:
        is_odd = not 0 <= predictor.traffic <= 100 or (len(live) == 1 and predictor.traffic not in (0, 100))
        if is_odd:
            message = f"{quoted(predictor.name)} is to get {predictor.traffic} percent of the requests"
            yield Diagnostic(ODD_TRAFFIC, message, predictor.node.at("traffic"))


def _engines(deployment: Deployment) -> Iterator[Diagnostic]:
    for predictor in deployment.predictors:
        if NO_ENGINE in predictor.annotations and len(predictor.units) > 1:
            yield _needed(predictor)


def _needed(predictor: Predictor) -> Diagnostic:
    value = predictor.annotations[NO_ENGINE]
    message = f"{quoted(predictor.name)} has {len(predictor.units)} units and `{NO_ENGINE}`"
    # The webhook looks whether the annotation is there, not what it says.
    hint = None if value.lower() == "true" else f"remove the annotation: {quoted(value)} does not turn it off"
    return Diagnostic(ENGINE_NEEDED, message, predictor.node.child("annotations").key_at(NO_ENGINE), hint)
