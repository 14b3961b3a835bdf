"""What a `config.pbtxt` of Triton says of a model: its tensors, its versions, and how it can be asked.

https://github.com/triton-inference-server/common (model_config.proto). What Triton finds out by itself is not known.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from graphc.artefacts.protobuf_text import Message, ProtobufTextError, read_message
from graphc.records import record

_NAMES: Final = {"TYPE_STRING": "BYTES"}
_MOST_DIMS: Final = 64


@record
class TritonTensor:
    """A tensor of a model: a dimension of -1 has any length; the batch's is none of them."""

    name: str
    datatype: str
    dims: tuple[int, ...]
    is_optional: bool
    line: int


@record
class TritonStep:
    """A step of an ensemble: the model, and the ensemble's tensors by the names that the model has for them."""

    model: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    line: int


@record
class TritonModel:
    """A model; `inputs` and `outputs` are empty where Triton finds them out itself."""

    max_batch: int
    inputs: tuple[TritonTensor, ...]
    outputs: tuple[TritonTensor, ...]
    is_decoupled: bool
    is_sequence: bool
    specific: tuple[int, ...]
    """The versions that its policy names."""
    latest: int
    """How many of the newest versions it serves; 0 for all."""
    steps: tuple[TritonStep, ...] = ()

    def served(self, versions: Iterable[int]) -> frozenset[int]:
        """Return those of the versions in its folder that the policy has Triton serve."""
        there = sorted(versions)
        if self.specific:
            return frozenset(there) & frozenset(self.specific)
        return frozenset(there[-self.latest :])

    def type_of(self, tensor: TritonTensor) -> str:
        """Write the type of a tensor as clients send it."""
        dims = [
            *(["batch"] if self.max_batch else []),
            *("n" if dim < 0 else str(dim) for dim in tensor.dims),
        ]
        return f"{tensor.datatype}[{', '.join(dims)}]"


def read_triton_config(content: bytes) -> TritonModel:
    """Return what a configuration says; raises ProtobufTextError."""
    root = read_message(content)
    policy = next(iter(root.messages("version_policy")), None)
    specific = [number for each in _below(policy, "specific") for number in _numbers(each, "versions")]
    latest = [number for each in _below(policy, "latest") for number in _numbers(each, "num_versions")]
    is_all = bool(_below(policy, "all"))
    decoupled = [each.scalar("decoupled") for each in root.messages("model_transaction_policy")]
    return TritonModel(
        max_batch=max(0, *_numbers(root, "max_batch_size"), 0),
        inputs=tuple(_read_tensors(root, "input")),
        outputs=tuple(_read_tensors(root, "output")),
        is_decoupled=any(each is not None and _is_true(each.text) for each in decoupled),
        is_sequence=bool(root.messages("sequence_batching")),
        specific=tuple(specific),
        latest=0 if is_all else max(1, *latest, 1),
        steps=tuple(_read_steps(root)),
    )


def _below(message: Message | None, name: str) -> list[Message]:
    return [] if message is None else message.messages(name)


def _is_true(text: str) -> bool:
    return text in {"true", "True", "t", "1"}


def _numbers(message: Message, name: str) -> list[int]:
    found: list[int] = []
    for each in message.scalars(name):
        if each.is_quoted or len(each.text) > 20 or not each.text.removeprefix("-").isdecimal():
            raise ProtobufTextError(f"{each.line}: `{name}` is no whole number")
        found.append(int(each.text))
    return found


def _read_tensors(root: Message, field: str) -> Iterator[TritonTensor]:
    for each in root.messages(field):
        name, type_, dims = each.text("name"), each.scalar("data_type"), tuple(_numbers(each, "dims"))
        if type_ is None or not type_.text.startswith("TYPE_"):
            raise ProtobufTextError(f"{each.line}: the `data_type` of `{name}` is missing, or is no type")
        if len(dims) > _MOST_DIMS or any(dim < -1 for dim in dims):
            raise ProtobufTextError(f"{each.line}: the `dims` of `{name}` are not those of a tensor")
        optional = each.scalar("optional")
        datatype = _NAMES.get(type_.text, type_.text.removeprefix("TYPE_"))
        is_optional = optional is not None and _is_true(optional.text)
        yield TritonTensor(name, datatype, dims, is_optional, each.line)


def _read_steps(root: Message) -> Iterator[TritonStep]:
    for each in (step for part in root.messages("ensemble_scheduling") for step in part.messages("step")):
        maps = [{pair.text("key"): pair.text("value") for pair in each.messages(name)} for name in _MAPS]
        yield TritonStep(each.text("model_name"), maps[0], maps[1], each.line)


_MAPS: Final = ("input_map", "output_map")
