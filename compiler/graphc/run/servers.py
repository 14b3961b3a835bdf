"""The prepackaged servers that the operator knows by name, what it gives to each, and servers beside units."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from graphc.seldon.deployment import Container
from graphc.server_start import CONTAINER, KIND


@dataclass(frozen=True, slots=True)
class PackagedServer:
    """A server image of the operator's; `runtime` is its MLServer class, empty where it is no MLServer."""

    image: str
    runtime: str = ""
    distribution: str = ""


SERVERS: Final = MappingProxyType(
    {
        "SKLEARN_SERVER": PackagedServer(
            "seldonio/mlserver:1.3.5-sklearn", "mlserver_sklearn.SKLearnModel", "mlserver-sklearn"
        ),
        "XGBOOST_SERVER": PackagedServer(
            "seldonio/mlserver:1.3.5-xgboost", "mlserver_xgboost.XGBoostModel", "mlserver-xgboost"
        ),
        "MLFLOW_SERVER": PackagedServer(
            "seldonio/mlserver:1.3.5-mlflow", "mlserver_mlflow.MLflowRuntime", "mlserver-mlflow"
        ),
        "HUGGINGFACE_SERVER": PackagedServer(
            "seldonio/mlserver:1.3.5-huggingface",
            "mlserver_huggingface.HuggingFaceRuntime",
            "mlserver-huggingface",
        ),
        "TRITON_SERVER": PackagedServer("nvcr.io/nvidia/tritonserver:21.08-py3"),
        # The operator writes this server's environment before it has chosen the image.
        "TENSORFLOW_SERVER": PackagedServer(""),
    }
)

WITHOUT_CONTAINER: Final = frozenset({"RANDOM_ABTEST", "SIMPLE_ROUTER", "AVERAGE_COMBINER", "SIMPLE_MODEL"})
"""Implementations that live in the executor itself."""

MODELS: Final = "/mnt/models"
"""Where a prepackaged server's artefact is put, and where MLServer's own images look for models."""


def is_server(container: Container) -> bool:
    """Say whether a container is a server that graphc put beside its units."""
    return container.name.startswith(CONTAINER) and any(each.text("name") == KIND for each in container.env)
