"""The signature of an XGBoost booster, read from its few parameters and not from its trees."""

import io
import os
from collections.abc import Iterator
from typing import Final, Protocol

from graphc_components.tensors import Dim

from graphc.artefacts.signature import ArtefactTensor, Signature
from graphc.artefacts.source import MalformedError, RefusedError, Source
from graphc.artefacts.xgboost_json import JsonDocument
from graphc.artefacts.xgboost_ubjson import UbjsonDocument

_MAX_JSON: Final = 512 << 20


class _Document(Protocol):
    @property
    def root(self) -> int: ...

    def members(self, at: int) -> Iterator[tuple[str, int]]: ...

    def text(self, at: int) -> str: ...


def read_xgboost(file: io.BufferedReader) -> Signature:
    """Return the signature of the booster in a file; raises MalformedError or RefusedError."""
    document = _open_document(file)
    learner = _learner(document)
    parameters = _texts(document, learner.get("learner_model_param"))
    objective = _objective(document, learner.get("objective"))
    features = _count(parameters, "num_feature")
    # A booster without features was saved before it knew its data.
    width: Dim = features or None
    return Signature(
        (ArtefactTensor("X", None, ("batch", width)),),
        (ArtefactTensor("predict", "FP32", ("batch", *_columns(parameters, objective))),),
    )


def _open_document(file: io.BufferedReader) -> _Document:
    size = os.fstat(file.fileno()).st_size
    start = file.peek(2)[:2]
    # UBJSON goes on with the marker of a key's length, JSON with a quote or space.
    if start[:1] == b"{" and start[1:] in {b"L", b"l", b"I", b"U", b"i", b"}"}:
        return UbjsonDocument(Source(file, size))
    if size > _MAX_JSON:
        raise RefusedError("it is too large to read as JSON; save it as `.ubj`")
    return JsonDocument(file.read())


def _learner(document: _Document) -> dict[str, int]:
    # The first member that is found ends the search, and what follows is never read.
    learner = next((at for key, at in document.members(document.root) if key == "learner"), None)
    if learner is None:
        raise MalformedError("it has no `learner`")
    return dict(document.members(learner))


def _texts(document: _Document, at: int | None) -> dict[str, str]:
    if at is None:
        raise MalformedError("it has no `learner_model_param`")
    return {key: document.text(value) for key, value in list(document.members(at))}


def _objective(document: _Document, at: int | None) -> str:
    name = None if at is None else next((value for key, value in document.members(at) if key == "name"), None)
    return "" if name is None else document.text(name)


def _count(parameters: dict[str, str], name: str) -> int:
    text = parameters.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise MalformedError(f"its `{name}` is not a count")
    return int(text)


def _columns(parameters: dict[str, str], objective: str) -> tuple[int, ...]:
    classes, targets = _count(parameters, "num_class"), _count(parameters, "num_target")
    # softmax answers the class itself, as a float.
    if classes > 1 and objective != "multi:softmax":
        return (classes,)
    return (targets,) if targets > 1 else ()
