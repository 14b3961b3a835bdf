"""Reads a folder that Triton serves: its models with their versions, and what is wrong with their configurations."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from graphc.artefacts.files import tell_failure
from graphc.artefacts.protobuf_text import MOST, ProtobufTextError
from graphc.artefacts.triton_config import TritonModel, TritonStep, TritonTensor, read_triton_config
from graphc.records import record
from graphc.regular_files import open_regular

_CONFIG: Final = "config.pbtxt"


@record
class ServedModel:
    """A model of a folder: `config` is None where it has none, or none that can be read."""

    config: TritonModel | None
    versions: frozenset[int]
    """Those that have a folder with a file, as no empty folder travels."""


@record
class Repository:
    """The models of a folder by their names, and the faults of their configurations: a file's line, and why."""

    models: Mapping[str, ServedModel]
    faults: Sequence[str]


def read_repository(files: Sequence[tuple[str, Path]]) -> Repository:
    """Return what a folder of files serves, by their paths below it."""
    versions: dict[str, set[int]] = {}
    configs: dict[str, TritonModel] = {}
    faults: list[str] = []
    for name, path in files:
        model, _, below = name.partition("/")
        if below == _CONFIG:
            versions.setdefault(model, set())
            _read_config(name, model, path, configs, faults)
        elif below:
            first = below.partition("/")[0]
            is_version = "/" in below and first.isdecimal() and len(first) < 19
            versions.setdefault(model, set()).update({int(first)} if is_version else ())
    models = {name: ServedModel(configs.get(name), frozenset(found)) for name, found in versions.items()}
    for name, model in models.items():
        if model.config is not None:
            found = _check_ensemble(model.config, models)
            faults += (f"`{name}/{_CONFIG}:{line}`: {reason}" for line, reason in found)
    return Repository(models, tuple(faults))


def _read_config(
    name: str, model: str, path: Path, configs: dict[str, TritonModel], faults: list[str]
) -> None:
    try:
        with open_regular(path) as file:
            configs[model] = read_triton_config(file.read(MOST + 1))
    except OSError as error:
        faults.append(tell_failure(error, name).message)
    except ProtobufTextError as error:
        faults.append(error.tell(name))


def _check_ensemble(ensemble: TritonModel, models: Mapping[str, ServedModel]) -> Iterator[tuple[int, str]]:
    """Yield what the steps of an ensemble and the models that they ask disagree about, with the step's line."""
    known: dict[str, str] = {each.name: ensemble.type_of(each) for each in ensemble.inputs}
    wanted = {each.name: ensemble.type_of(each) for each in ensemble.outputs}
    for step in ensemble.steps:
        asked = models.get(step.model)
        if asked is None:
            yield step.line, f"a step asks `{step.model}`, which is not in the folder"
            continue
        if asked.config is None:
            continue
        for problem in (*_check_takes(step, asked.config, known), *_check_gives(step, asked.config, wanted)):
            yield step.line, problem
        given = {each.name: asked.config.type_of(each) for each in asked.config.outputs}
        known |= {tensor: given[name] for name, tensor in step.outputs.items() if name in given}


def _check_takes(step: TritonStep, asked: TritonModel, known: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with the inputs of a step; what a later step gives is not known yet."""
    takes = {each.name: each for each in asked.inputs}
    for name, tensor in step.inputs.items():
        yield from _compare(step, asked, takes, name, known.get(tensor), "takes")
    for name, each in takes.items():
        if name not in step.inputs and not each.is_optional:
            yield f"a step does not feed `{name}`, which `{step.model}` needs"


def _check_gives(step: TritonStep, asked: TritonModel, wanted: Mapping[str, str]) -> Iterator[str]:
    gives = {each.name: each for each in asked.outputs}
    for name, tensor in step.outputs.items():
        yield from _compare(step, asked, gives, name, wanted.get(tensor), "gives")


def _compare(
    step: TritonStep,
    asked: TritonModel,
    tensors: Mapping[str, TritonTensor],
    name: str,
    other: str | None,
    verb: str,
) -> Iterator[str]:
    if not tensors:
        return
    if name not in tensors:
        yield f"a step names `{name}`, which `{step.model}` lacks"
    elif other is not None and not _fits(asked.type_of(tensors[name]), other):
        type_ = asked.type_of(tensors[name])
        yield f"`{step.model}` {verb} `{name}` as `{type_}`, where the ensemble has `{other}`"


def _fits(left: str, right: str) -> bool:
    """Say whether two types can be one: a length that is not known fits any."""
    if left.partition("[")[0] != right.partition("[")[0]:
        return False
    dims = [each.rstrip("]").partition("[")[2].split(", ") for each in (left, right)]
    pairs = list(zip(*dims, strict=False))
    return len(dims[0]) == len(dims[1]) and all(
        one == other or not (one.isdecimal() and other.isdecimal()) for one, other in pairs
    )
