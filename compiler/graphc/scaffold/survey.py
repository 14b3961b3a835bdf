"""Looks at the model files of a folder: what each takes and gives, or why that cannot be told."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from graphc_components.tensors import TensorType

from graphc.artefacts.locations import FRAMEWORKS
from graphc.artefacts.python_classes import find_methods, list_classes
from graphc.artefacts.read_signature import Signatures
from graphc.artefacts.signature import ArtefactFault, ArtefactTensor, Signature
from graphc.records import record

MOST: Final = 64
"""More models than these are hardly those of one graph."""
WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
"""Words that are no texts in YAML, in lower case."""
AVERAGE: Final = "average-of-all"
"""The node that no model may be called by."""
_UNSAFE: Final = re.compile(r"[^a-z0-9]+")
_OTHER_FILES: Final = frozenset({"cases.json", "request.json", "expected.json", "requirements.txt"})
_MAIN: Final = ("probabilities", "predict_proba", "output_probability")
"""The outputs of classifiers that say most."""


@record
class Model:
    """A model file with the name of its node, its path from the graph, and its tensors."""

    name: str
    path: str
    framework: str
    signature: Signature

    @property
    def main(self) -> ArtefactTensor | None:
        """The output that a graph most probably wants: probabilities, else the first of numbers, else the first."""
        outputs = self.signature.outputs
        named = next((each for each in outputs if each.name in _MAIN), None)
        floats = next((each for each in outputs if (each.datatype or "").startswith("FP")), None)
        return named or floats or next(iter(outputs), None)


@record
class Unread:
    """A file that looks like a model, and why it is not used."""

    path: str
    reason: str


def survey(folder: Path, signatures: Signatures) -> tuple[list[Model], list[Unread]]:
    """Return the models in a folder and its folders, and the files that are not used."""
    models, unread = list[Model](), list[Unread]()
    names = {AVERAGE}
    for path in _find(folder):
        shown, framework = path.relative_to(folder).as_posix(), FRAMEWORKS[path.suffix]
        if not _is_text(shown):
            unread.append(Unread(shown, "its name is no UTF-8, and a graph file is"))
            continue
        if len(models) >= MOST:
            unread.append(Unread(shown, f"there are {MOST} models already"))
            continue
        found = signatures.read(path, framework, shown)
        if isinstance(found, ArtefactFault):
            unread.append(Unread(shown, found.message))
        elif not found.outputs:
            unread.append(Unread(shown, "it has no output that a request can carry"))
        else:
            models.append(Model(_name(path.stem, names), shown, framework, found))
    return models, [*unread, *_find_classes(folder)]


def _is_text(name: str) -> bool:
    """Say whether a name is text: bytes of a file name that are none come as halves of characters."""
    return not any("\ud800" <= each <= "\udfff" for each in name)


def _find_classes(folder: Path) -> Iterator[Unread]:
    """Yield the modules with a class for Seldon's wrapper: it runs here, and its text does not tell its tensors."""
    for path in sorted(folder.glob("*.py"))[:MOST]:
        for name, made in list_classes(path, called=path.name):
            if asked := find_methods(made):
                node = f"`python: {path.stem}:{name}` and `seldon: {asked[0]}`"
                yield Unread(path.name, f"its class does not tell its tensors; a node of it says {node}")


def _find(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(files):
            path = Path(place, name)
            if path.suffix in FRAMEWORKS and name not in _OTHER_FILES and not name.endswith(".cases.json"):
                yield path


def make_name(text: str, kind: str) -> str:
    """Return the name that is most like a text.

    The kind of what it names comes first where it would begin with no letter, or is no text in YAML.
    """
    name = _UNSAFE.sub("-", text.lower()).strip("-")[:40].strip("-")
    is_name = name and name[0].isalpha() and name not in WORDS
    return name if is_name else f"{kind}-{name}".rstrip("-")


def _name(stem: str, taken: set[str]) -> str:
    base = make_name(stem, "model")
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    taken.add(name)
    return name


def type_of(tensor: ArtefactTensor, datatype: str) -> TensorType | None:
    """Return the type of a tensor, of a datatype where the model takes any; None where its shape is unknown."""
    if tensor.shape is None:
        return None
    first, *others = tensor.shape or (None,)
    dims = ("batch" if not isinstance(first, int) else first, *others) if tensor.shape else ()
    return TensorType(tensor.datatype or datatype, dims)
