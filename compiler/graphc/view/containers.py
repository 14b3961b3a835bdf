"""Finds what was emitted for each unit: its container in the documents of a target, whichever that is."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from graphc.targets.interface import Data

_PREDICTORS = "predictors"


def find_containers(documents: Sequence[Data], predictor: str) -> dict[str, dict[str, str]]:
    """Return what is to be told of each container of a predictor, by its name, which is that of its unit."""
    found: dict[str, dict[str, str]] = {}
    for document in documents:
        for container in _walk(document, predictor):
            found.setdefault(str(container.get("name")), _tell(container))
    return found


def _walk(value: object, predictor: str) -> Iterator[Mapping[str, object]]:
    if isinstance(value, Mapping):
        for key, inner in cast("Mapping[str, object]", value).items():
            if key == "containers" and isinstance(inner, Sequence):
                for each in cast("Sequence[object]", inner):
                    if isinstance(each, Mapping):
                        yield cast("Mapping[str, object]", each)
            elif key == _PREDICTORS and isinstance(inner, Sequence):
                for each in cast("Sequence[object]", inner):
                    if (
                        isinstance(each, Mapping)
                        and cast("Mapping[str, object]", each).get("name") == predictor
                    ):
                        yield from _walk(cast("object", each), predictor)
            else:
                yield from _walk(inner, predictor)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for each in cast("Sequence[object]", value):
            yield from _walk(each, predictor)


def _tell(container: Mapping[str, object]) -> dict[str, str]:
    facts = {
        "container": str(container.get("name")),
        "image": str(container.get("image", "the server's own")),
    }
    resources = cast("Mapping[str, Mapping[str, object]]", container.get("resources") or {})
    for what, name in (("requests", "it requests"), ("limits", "it is limited to")):
        asked = resources.get(what)
        if asked:
            facts[name] = ", ".join(f"{key} {value}" for key, value in asked.items())
    return facts
