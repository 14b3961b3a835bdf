"""What a call carries, whichever protocol takes it there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from graphc_components.tensors import TensorType

from graphc.client.answer import InferAnswer
from graphc.client.tensor import Tensor

Parameter = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Call:
    """One inference to ask for."""

    model: str
    tensors: Sequence[Tensor]
    parameters: Mapping[str, Parameter]
    version: str | None = None


class Caller(Protocol):
    """A connection to one server; every method raises InferError."""

    async def find_model(self) -> str:
        """Return the name of the server's only model."""
        ...

    async def read_inputs(self, model: str) -> Mapping[str, TensorType]:
        """Return the types of a model's inputs, as far as its metadata tells."""
        ...

    async def infer(self, call: Call) -> InferAnswer:
        """Ask for an inference."""
        ...
