"""What runs inside a unit's container."""

from typing import TYPE_CHECKING

from graphc_runtimes.errors import BadInputError

if TYPE_CHECKING:
    from graphc_runtimes.model import RegionModel
    from graphc_runtimes.repository import RegionRepository

__all__ = ["BadInputError", "RegionModel", "RegionRepository"]


def __getattr__(name: str) -> object:
    # Fetching an artefact in an init container must not wait for MLServer to be imported.
    if name == "RegionModel":
        from graphc_runtimes.model import RegionModel

        return RegionModel
    if name == "RegionRepository":
        from graphc_runtimes.repository import RegionRepository

        return RegionRepository
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
