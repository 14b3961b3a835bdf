"""What runs inside a unit's container."""

import os
from typing import TYPE_CHECKING

from graphc_runtimes.errors import BadInputError

if TYPE_CHECKING:
    from graphc_runtimes.region_model import RegionModel
    from graphc_runtimes.repository import RegionRepository

# onnxruntime keeps an identity of the machine below HOME, and sends what it does with models to its makers.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["BadInputError", "RegionModel", "RegionRepository"]


def __getattr__(name: str) -> object:
    # Fetching an artefact in an init container must not wait for MLServer to be imported.
    if name == "RegionModel":
        from graphc_runtimes.region_model import RegionModel

        return RegionModel
    if name == "RegionRepository":
        from graphc_runtimes.repository import RegionRepository

        return RegionRepository
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
