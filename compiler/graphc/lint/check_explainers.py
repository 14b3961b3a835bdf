"""Checks explainers: with the V2 protocol the operator knows their types, else it leaves them to their image."""

from collections.abc import Iterator
from typing import Final

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.manifests import EXPLAINER_TYPE, IGNORED, MADE_NAME
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import did_you_mean
from graphc.lint.parts import explainer_of
from graphc.lint.words import is_service_name
from graphc.seldon.deployment import Deployment, Predictor

TYPES: Final = (
    "AnchorTabular",
    "AnchorImages",
    "AnchorText",
    "Counterfactuals",
    "Contrastive",
    "KernelShap",
    "IntegratedGradients",
    "ALE",
    "TreeShap",
)


def check_explainers(deployment: Deployment, sink: Sink) -> None:
    """Report explainers of a type that nothing knows."""
    for predictor in deployment.predictors:
        for problem in _explainer(deployment, predictor):
            sink.report(problem)


def _explainer(deployment: Deployment, predictor: Predictor) -> Iterator[Diagnostic]:
    explainer = explainer_of(predictor)
    if explainer is None:
        if described := predictor.node.find("explainer"):
            message = "an explainer without a type is not made"
            yield Diagnostic(IGNORED, message, described.span, f"give it a type such as `{TYPES[0]}`")
        return
    kind = explainer.text("type")
    if deployment.speaks_v2 and kind not in TYPES:
        message = f"{quoted(kind)} is not an explainer's type"
        yield Diagnostic(EXPLAINER_TYPE, message, explainer.at("type"), did_you_mean(kind, TYPES))
    made = deployment.made_name(predictor.name, "explainer")
    if not is_service_name(made) and is_service_name(deployment.made_name(predictor.name)):
        message = f"the Service {quoted(made)} would have a name that is none"
        yield Diagnostic(MADE_NAME, message, explainer.span)
