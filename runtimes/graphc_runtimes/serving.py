"""The one door to MLServer, which ships no type information of its own."""
# pyright: reportMissingTypeStubs=false

from mlserver import MLModel, ModelSettings
from mlserver.errors import MLServerError, ModelNotFound, ModelNotReady
from mlserver.handlers.custom import CustomHandler, register_custom_handler
from mlserver.repository import ModelRepository
from mlserver.settings import ModelParameters
from mlserver.types import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    MetadataModelResponse,
    MetadataTensor,
    Parameters,
    RequestInput,
    ResponseOutput,
    TensorData,
)

__all__ = [
    "CustomHandler",
    "Datatype",
    "InferenceRequest",
    "InferenceResponse",
    "MLModel",
    "MLServerError",
    "MetadataModelResponse",
    "MetadataTensor",
    "ModelNotFound",
    "ModelNotReady",
    "ModelParameters",
    "ModelRepository",
    "ModelSettings",
    "Parameters",
    "RequestInput",
    "ResponseOutput",
    "TensorData",
    "register_custom_handler",
]
