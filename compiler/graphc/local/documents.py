"""Read manifests: YAML or JSON, several documents a file; what is wrong with a file is a value."""

from collections.abc import Hashable
from typing import Final, cast

import yaml

from graphc.local.plain import Document, as_items, as_mapping
from graphc.local.problem import Problem

MAX_DEPTH: Final = 100
"""How deep a document may nest; the API server's own objects stay below 60."""

MAX_ALIASES: Final = 1000
MAX_CHARACTERS: Final = 64 * 1024 * 1024

_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"


class _DocumentError(yaml.YAMLError):
    """A document that YAML allows and Kubernetes does not."""


class _Loader(yaml.CSafeLoader):
    """Loads as the API server's tools do: a date is text, and two equal keys are a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        """Build a mapping, refusing a key that is there twice."""
        seen = set[str]()
        for key in (child.value for child, _ in node.value if isinstance(child, yaml.ScalarNode)):
            if key in seen:
                raise _DocumentError(f"line {node.start_mark.line + 1}: the key `{key}` is there twice")
            seen.add(key)
        return cast("dict[Hashable, object]", super().construct_mapping(node, deep))


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def read_documents(text: str, source: str) -> list[Document] | Problem:
    """Return a file's documents, the items of `List` documents among them; or why it cannot be read."""
    if len(text) > MAX_CHARACTERS:
        return Problem(f"`{source}` is larger than {MAX_CHARACTERS // 1024 // 1024} MiB")
    try:
        # PyYAML's constructors of numbers and truth values fail with errors of their own.
        # The C composer recurses without a limit of its own: depth is measured on the event stream first.
        if problem := _check_events(text, source):
            return problem
        loaded = list(cast("list[object]", yaml.load_all(text, Loader=_Loader)))
    except (yaml.YAMLError, ValueError, LookupError, RecursionError) as failure:
        return Problem(f"`{source}` is not YAML or JSON: {_first_line(failure)}")
    documents = [each for each in loaded if each is not None]
    if any(not isinstance(each, dict) for each in documents):
        return Problem(f"`{source}` holds a document that is not a mapping")
    return [document for each in documents for document in _flatten(as_mapping(each))]


def _check_events(text: str, source: str) -> Problem | None:
    depth = aliases = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        if depth > MAX_DEPTH:
            return Problem(f"`{source}` nests deeper than {MAX_DEPTH} levels")
        if aliases > MAX_ALIASES:
            return Problem(f"`{source}` has more than {MAX_ALIASES} aliases")
    return None


def _flatten(document: Document) -> list[Document]:
    if document.get("kind") == "List":
        return [as_mapping(item) for item in as_items(document.get("items"))]
    return [document]


def _first_line(failure: Exception) -> str:
    if isinstance(failure, yaml.MarkedYAMLError) and failure.problem_mark is not None:
        return f"line {failure.problem_mark.line + 1}: {failure.problem}"
    return str(failure).partition("\n")[0] or type(failure).__name__
