"""Checks that a predictor fits the one variable in which the operator hands all of it to the executor."""

import math
from typing import Final

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.manifests import TOO_MUCH_TOLD
from graphc.diagnostics.printable import quoted
from graphc.seldon.deployment import Deployment
from graphc.seldon.predictor_size import MAX_STRING, reckon_predictor
from graphc.source.located import to_plain

_NAME: Final = "ENGINE_PREDICTOR="


def check_room(deployment: Deployment, sink: Sink) -> None:
    """Report predictors with which the executor cannot start, though the API server takes them."""
    namespace = deployment.node.child("metadata").text("namespace") or "default"
    for predictor in deployment.predictors:
        plain = to_plain(predictor.node.value)
        if not predictor.has_engine or not isinstance(plain, dict):
            continue
        size = 4 * math.ceil(reckon_predictor(deployment.name, namespace, plain) / 3)
        if size + len(_NAME) + 1 > MAX_STRING:
            message = (
                f"{quoted(predictor.name)} is {size:,} characters in the executor's environment, "
                f"and Linux takes {MAX_STRING:,}"
            )
            hint = "move long variables into config maps that containers mount, or use fewer units"
            sink.report(Diagnostic(TOO_MUCH_TOLD, message, predictor.node.at("name"), hint))
