"""What runs inside a unit's container."""

import os
from typing import TYPE_CHECKING

from graphc_runtimes.errors import BadInputError

if TYPE_CHECKING:
    from graphc_runtimes.region_model import RegionModel
    from graphc_runtimes.repository import RegionRepository

__all__ = ["BadInputError", "RegionModel", "RegionRepository"]


def refuse_telemetry() -> None:
    """Have onnxruntime keep no identity of the machine, and tell its makers nothing of what it does with models.

    It looks at the environment once, when it is imported.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


refuse_telemetry()


def __getattr__(name: str) -> object:
    # Fetching an artefact in an init container must not wait for MLServer to be imported.
    if name == "RegionModel":
        from graphc_runtimes.region_model import RegionModel

        return RegionModel
    if name == "RegionRepository":
        from graphc_runtimes.repository import RegionRepository

        return RegionRepository
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
