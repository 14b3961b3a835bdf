"""What a data plane works with, without MLServer: a model, and what counts."""

from dataclasses import dataclass, field

from graphc_runtimes.unit import LoadedUnit


@dataclass
class Model:
    """A model that is ready or not."""

    unit: LoadedUnit | None
    ready: bool = True


@dataclass
class Meter:
    """Notes what is counted."""

    requests: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    inferences: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])

    def count(self, path: str, status: int, seconds: float) -> None:
        """Note a request."""
        assert seconds >= 0
        self.requests.append((path, status))

    def count_inference(self, model: str, seconds: float, *, failed: bool) -> None:
        """Note an inference."""
        assert seconds >= 0
        self.inferences.append((model, failed))
