"""Finds what was emitted for each unit: its container in the documents of a target, whichever that is."""

from collections.abc import Iterator, Sequence

from graphc.targets.interface import Data
from graphc.unchecked import fields, objects, text

_PREDICTORS = "predictors"


def find_containers(documents: Sequence[Data], predictor: str) -> dict[str, dict[str, str]]:
    """Return what is to be told of each container of a predictor, by its name, which is that of its unit."""
    found: dict[str, dict[str, str]] = {}
    for document in documents:
        for container in _walk(document, predictor):
            found.setdefault(text(container, "name"), _tell(container))
    return found


def _walk(value: object, predictor: str) -> Iterator[Data]:
    """Yield the containers below a value, those of other predictors left out."""
    for each in objects(value):
        yield from _walk(each, predictor)
    for key, inner in fields(value).items():
        if key == "containers":
            yield from objects(inner)
        elif key == _PREDICTORS:
            for each in objects(inner):
                if text(each, "name") == predictor:
                    yield from _walk(each, predictor)
        else:
            yield from _walk(inner, predictor)


def _tell(container: Data) -> dict[str, str]:
    facts = {"container": text(container, "name"), "image": text(container, "image") or "the server's own"}
    for what, name in (("requests", "it requests"), ("limits", "it is limited to")):
        if asked := fields(container, "resources", what):
            facts[name] = ", ".join(f"{key} {value}" for key, value in asked.items())
    return facts
