"""The MLServer repository that lists a region under the unit's name and under the graph's."""

from graphc_runtimes.environment import read_environment
from graphc_runtimes.errors import RegionError
from graphc_runtimes.region import parse_region
from graphc_runtimes.region_model import RegionModel
from graphc_runtimes.serving import ModelNotFound, ModelRepository, ModelSettings


class RegionRepository(ModelRepository):
    """Reads the names from the environment; the folder that MLServer was started in is not looked at.

    The executor calls a unit by the unit's name, or by the name in the client's URL, which is the graph's.
    """

    def __init__(self, root: str) -> None:  # noqa: ARG002
        try:
            environment = read_environment()
            region = parse_region(environment.region)
        except RegionError as error:
            raise SystemExit(f"graphc: {error}") from None
        self._names = tuple(dict.fromkeys((environment.unit or region.unit, region.graph.name)))

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the region is called by."""
        return self._names

    async def list(self) -> "list[ModelSettings]":
        """Return the settings of a model for each name."""
        return [_settings(name) for name in self._names]

    async def find(self, name: str) -> "list[ModelSettings]":
        """Return the settings of the model of a name; raises ModelNotFound."""
        if name not in self._names:
            raise ModelNotFound(name)
        return [_settings(name)]


def _settings(name: str) -> ModelSettings:
    return ModelSettings(name=name, platform="graphc", implementation=RegionModel)
