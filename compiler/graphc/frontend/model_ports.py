"""What models of a framework take and give whoever made them, for those whose files do not tell it."""

from collections.abc import Mapping
from typing import Final

from graphc.artefacts.locations import framework_of as tell_framework
from graphc.artefacts.signature import ArtefactFault
from graphc.records import record
from graphc.spec.fields import Model


@record
class ModelPorts:
    """The only input of a framework's models, and the outputs that they may have."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


PORTS: Final[Mapping[str, ModelPorts]] = {
    "sklearn": ModelPorts(
        "a scikit-learn model", ("X",), ("predict", "predict_proba", "transform", "decision_function")
    ),
    "xgboost": ModelPorts("an XGBoost model", ("X",), ("predict",)),
    "lightgbm": ModelPorts("a LightGBM model", ("X",), ("predict",)),
}
"""By framework; the ports of ONNX models are each model's own."""


def framework_of(model: Model) -> str | ArtefactFault:
    """Return the framework that a model names, or that its suffix tells."""
    return model.framework or tell_framework(model.model)
