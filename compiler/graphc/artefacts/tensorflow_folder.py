"""Reads a folder that TensorFlow Serving serves: its `models.config`, and the signatures of the SavedModels there.

https://github.com/tensorflow/serving (model_server_config.proto, file_system_storage_path_source.proto).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from graphc.artefacts.protobuf_text import MOST, Message, ProtobufTextError, read_message
from graphc.artefacts.saved_model import SavedSignature, read_saved_model
from graphc.artefacts.source import MalformedError, RefusedError
from graphc.diagnostics.printable import quoted
from graphc.records import record
from graphc.regular_files import open_regular

SAVED: Final = "saved_model.pb"
CONFIG: Final = "models.config"
MOST_DIGITS: Final = 18
"""Of as many digits a version may be."""


@record
class SavedModel:
    """A model of a folder: the versions that are served, and those that labels stand for."""

    folder: str
    """Where it lies below the folder."""
    versions: Mapping[int, Mapping[str, SavedSignature] | None]
    """The signatures of each; None where its file cannot be read."""
    labels: Mapping[str, int]


@record
class SavedFolder:
    """The models of a folder by their names, and what is wrong with its files.

    A model is None where it lies elsewhere in the container.
    """

    models: Mapping[str, SavedModel | None]
    faults: Sequence[str]


def read_saved_folder(files: Sequence[tuple[str, Path]], root: str) -> SavedFolder:
    """Return what a folder of files serves, by their paths below it; `root` is where the server has it."""
    paths = dict(files)
    if CONFIG not in paths:
        return SavedFolder({}, [f"no `{CONFIG}`, which TensorFlow Serving finds its models by"])
    faults: list[str] = []
    models: dict[str, SavedModel | None] = {}
    try:
        with open_regular(paths[CONFIG]) as file:
            root_message = read_message(file.read(MOST + 1))
        for each in (
            each for part in root_message.messages("model_config_list") for each in part.messages("config")
        ):
            name, base = (each.text(field) for field in ("name", "base_path"))
            below = PurePosixPath(base).relative_to(root) if base.startswith(f"{root}/") else None
            models[name] = None if below is None else _read_model(str(below), each, paths, faults)
    except OSError as error:
        faults.append(f"`{CONFIG}`, which cannot be read: {(error.strerror or 'no reason is given').lower()}")
    except ProtobufTextError as error:
        faults.append(error.tell(CONFIG))
    return SavedFolder(models, faults)


def _read_model(folder: str, config: Message, paths: Mapping[str, Path], faults: list[str]) -> SavedModel:
    found = {
        int(parts[-2]): name
        for name in paths
        if (parts := PurePosixPath(name).parts)[-1] == SAVED
        and len(parts) > 1
        and "/".join(parts[:-2]) == folder
        and parts[-2].isdecimal()
        and len(parts[-2]) <= MOST_DIGITS
    }
    versions = {
        version: _read_signatures(found[version], paths[found[version]], faults)
        for version in _served(sorted(found), config)
    }
    return SavedModel(folder, versions, _read_labels(config))


def _served(there: Sequence[int], config: Message) -> Sequence[int]:
    """Return those of the versions in a folder that the policy has TensorFlow Serving serve: else the newest."""
    policies = config.messages("model_version_policy")
    specific = {
        number
        for policy in policies
        for each in policy.messages("specific")
        for number in _numbers(each, "versions")
    }
    if specific:
        return [version for version in there if version in specific]
    if any("all" in policy.fields for policy in policies):
        return there
    latest = [
        number
        for policy in policies
        for each in policy.messages("latest")
        for number in _numbers(each, "num_versions")
    ]
    return there[-max([1, *latest]) :]


def _read_labels(config: Message) -> Mapping[str, int]:
    return {
        each.text("key"): number
        for each in config.messages("version_labels")
        for number in _numbers(each, "value")
    }


def _read_signatures(name: str, path: Path, faults: list[str]) -> Mapping[str, SavedSignature] | None:
    try:
        with open_regular(path) as file:
            return read_saved_model(file)
    except OSError as error:
        reason = (error.strerror or "no reason is given").lower()
    except (MalformedError, RefusedError) as error:
        reason = str(error)
    faults.append(f"{quoted(name)}, which cannot be read: {reason}")
    return None


def _numbers(message: Message, name: str) -> list[int]:
    found: list[int] = []
    for each in message.scalars(name):
        if each.is_quoted or len(each.text) > MOST_DIGITS or not each.text.isdecimal():
            raise ProtobufTextError(f"{each.line}: `{name}` is no version")
        found.append(int(each.text))
    return found
