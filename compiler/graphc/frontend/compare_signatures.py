"""Compares the tensors of two files of one model."""

from collections.abc import Iterator, Sequence

from graphc_components.tensors import Dim

from graphc.artefacts.read_signature import Signature
from graphc.artefacts.signature import ArtefactTensor


def find_differences(model: Signature, other: Signature) -> Iterator[str]:
    """Yield how another file is not the same to who feeds and reads it; how it calls free sizes is its own affair."""
    yield from _compare("takes", model.inputs, other.inputs)
    # What it gives beside is not read.
    named = {tensor.name for tensor in model.outputs}
    yield from _compare("gives", model.outputs, [each for each in other.outputs if each.name in named])


def _compare(verb: str, wanted: Sequence[ArtefactTensor], found: Sequence[ArtefactTensor]) -> Iterator[str]:
    other = {tensor.name: tensor for tensor in found}
    for tensor in wanted:
        same = other.pop(tensor.name, None)
        if same is None:
            yield f"{verb} no `{tensor.name}`, and the model does"
        elif not _is_alike(tensor, same):
            yield f"{verb} `{tensor.name}` as `{_show(same)}`, and the model as `{_show(tensor)}`"
    for name in other:
        yield f"{verb} `{name}`, and the model does not"


def _is_alike(one: ArtefactTensor, two: ArtefactTensor) -> bool:
    if one.datatype != two.datatype or (one.shape is None) != (two.shape is None):
        return False
    return one.shape is None or two.shape is None or _sizes(one.shape) == _sizes(two.shape)


def _sizes(shape: Sequence[Dim]) -> list[int | None]:
    return [dim if isinstance(dim, int) else None for dim in shape]


def _show(tensor: ArtefactTensor) -> str:
    dims = (
        "?" if tensor.shape is None else ", ".join("?" if dim is None else str(dim) for dim in tensor.shape)
    )
    return f"{tensor.datatype or 'numbers'}[{dims}]"
