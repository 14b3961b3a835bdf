"""What a server's own files say of the tensors of its models."""

from collections.abc import Mapping

from graphc.records import record


@record
class DescribedTensor:
    """A tensor of a model's own description; a size is None where any is right, and so are unknown parts."""

    datatype: str | None
    shape: tuple[int | None, ...] | None
    accepts: frozenset[str] = frozenset()
    """Other datatypes that are taken in the place of its own."""


@record
class DescribedModel:
    """A model with its file and the tensors that it describes; None where the file describes none."""

    file: str
    inputs: Mapping[str, DescribedTensor] | None
    outputs: Mapping[str, DescribedTensor] | None
    required: tuple[str, ...] = ()
    """The inputs without which the model refuses a request, where the file says so."""
