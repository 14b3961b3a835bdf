"""Compiles graphs as a KRM function: a ResourceList comes in, and goes out with its graphs compiled."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from graphc.compile.compile_files import Compilation, compile_built, compile_files
from graphc.compile.request import Request
from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.fields import UNKNOWN_FIELD, WRONG_KIND
from graphc.diagnostics.diagnostic import Severity
from graphc.diagnostics.printable import printable
from graphc.diagnostics.suggest import did_you_mean
from graphc.documents import write_yaml
from graphc.ir.graph import Value
from graphc.lower.options import Options
from graphc.source.files import STDIN
from graphc.source.located import Entry, Fields, Items, Located, to_plain
from graphc.source.yaml_reader import read_documents

API_VERSION: Final = "config.kubernetes.io/v1"
KIND: Final = "ResourceList"

# What functions and their runners write beside the user's own annotations.
_RUNNERS: Final = (
    "config.kubernetes.io/",
    "internal.config.kubernetes.io/",
    "config.k8s.io/",
    "kustomize.config.k8s.io/",
)

Data = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Function:
    """What came of a ResourceList: the one to write, and what was wrong."""

    text: str
    problems: tuple[Diagnostic, ...]

    @property
    def has_failed(self) -> bool:
        """Whether anything is an error."""
        return any(each.severity is Severity.ERROR for each in self.problems)


def run_function(source: str) -> Function | None:
    """Compile the graphs of a ResourceList; None where the text is not one."""
    sink = Sink()
    documents = list(read_documents(source, STDIN, sink))
    root = documents[0] if len(documents) == 1 else None
    if not isinstance(root, Fields) or _text(root, "kind") != KIND:
        return None
    config = root.find("functionConfig")
    function = config.value if config is not None and isinstance(config.value, Fields) else None
    items: list[Value] = []
    request = _request(function, sink)
    if function is not None and _is_graph(function):
        items += _compile(function, request, sink)
    elif request.paths:
        items += _compile_files(request, sink)
    for each in _items(root):
        if not isinstance(each, Fields) or not _is_graph(each):
            items.append(cast("Value", to_plain(each)))
        elif function is None or not _is_same(each, function):
            items += _compile(each, request, sink)
    return Function(_write(root, items, sink), tuple(sink))


def _request(function: Fields | None, sink: Sink) -> Request:
    """Return what a functionConfig asks for; what it asks wrongly is reported, and left out."""
    spec = function.find("spec") if function is not None and not _is_graph(function) else None
    if spec is None:
        return Request([])
    found: Data = {}
    for entry in spec.value.entries if isinstance(spec.value, Fields) else ():
        value = cast("Value", to_plain(entry.value))
        if entry.key not in _FIELDS:
            message = f"`{printable(entry.key)}` is not a field of a functionConfig's `spec`"
            hint = did_you_mean(entry.key, _FIELDS) or f"it takes {', '.join(_FIELDS)}"
            sink.report(Diagnostic(UNKNOWN_FIELD, message, entry.key_span, hint))
        elif not _FIELDS[entry.key][0](value):
            message = f"`{entry.key}` is not {_FIELDS[entry.key][1]}"
            sink.report(Diagnostic(WRONG_KIND, message, entry.value.span))
        else:
            found[entry.key] = value
    settings = cast("Mapping[str, Value]", found.get("settings", {}))
    return Request(
        cast("list[str]", found.get("files", [])),
        {name: str(each) for name, each in settings.items()},
        options=Options(cast("int", found.get("optimisation", 1))),
        target=cast("str | None", found.get("target")),
        profile=cast("str | None", found.get("profile")),
    )


def _is_level(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _GREATEST_LEVEL


def _are_texts(value: Value) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _are_settings(value: Value) -> bool:
    return isinstance(value, dict) and not any(isinstance(each, dict | list) for each in value.values())


_GREATEST_LEVEL: Final = 2
_FIELDS: Final[Mapping[str, tuple[Callable[[Value], bool], str]]] = {
    "files": (_are_texts, "a list of files"),
    "settings": (_are_settings, "a mapping of plain values"),
    "optimisation": (_is_level, "0, 1 or 2"),
    "target": (lambda value: isinstance(value, str), "the name of a target"),
    "profile": (lambda value: isinstance(value, str), "the name or the file of a profile"),
}
"""The fields of a functionConfig's `spec`: what each takes, as a test and in words."""


def _items(root: Fields) -> Iterator[Located]:
    items = root.find("items")
    if items is not None and isinstance(items.value, Items):
        yield from items.value.items


def _text(value: Fields, key: str) -> str:
    entry = value.find(key)
    found = to_plain(entry.value) if entry is not None else None
    return found if isinstance(found, str) else ""


def _is_graph(value: Fields) -> bool:
    return _text(value, "kind") == "InferenceGraph"


def _is_same(one: Fields, other: Fields) -> bool:
    """Say whether an item is the functionConfig itself, which runners of generators put among the items."""
    return _is_graph(other) and to_plain(_clean(one)) == to_plain(_clean(other))


def _compile(graph: Fields, request: Request, sink: Sink) -> list[Value]:
    return _take(compile_built(_clean(graph), Path(), replace(request, paths=())), sink)


def _compile_files(request: Request, sink: Sink) -> list[Value]:
    return _take(compile_files(request), sink)


def _take(done: Compilation, sink: Sink) -> list[Value]:
    for each in done.sink:
        sink.report(each)
    return [dict(each) for emission in done.emissions for each in emission.documents]


def _clean(graph: Fields) -> Fields:
    """Return a graph without the annotations that runners give it."""

    def without(value: Located) -> Located:
        if not isinstance(value, Fields):
            return value
        return replace(value, entries=tuple(it for it in value.entries if not it.key.startswith(_RUNNERS)))

    def metadata(value: Located) -> Located:
        if not isinstance(value, Fields):
            return value
        entries = [
            Entry(it.key, it.key_span, without(it.value)) if it.key == "annotations" else it
            for it in value.entries
        ]
        return Fields(tuple(entries), value.span)

    entries = [
        Entry(it.key, it.key_span, metadata(it.value)) if it.key == "metadata" else it for it in graph.entries
    ]
    return Fields(tuple(entries), graph.span)


def _write(root: Fields, items: list[Value], sink: Sink) -> str:
    written: Data = {"apiVersion": _text(root, "apiVersion") or API_VERSION, "kind": KIND, "items": items}
    config = root.find("functionConfig")
    if config is not None:
        written["functionConfig"] = cast("Value", to_plain(config.value))
    results = [_result(each) for each in sink]
    if results:
        written["results"] = list[Value](results)
    return write_yaml([written])


def _result(problem: Diagnostic) -> Data:
    result: Data = {
        "message": f"{problem.rule.code}: {problem.message}",
        "severity": "error" if problem.severity is Severity.ERROR else "warning",
    }
    tags: Mapping[str, str] = {"rule": problem.rule.name, **({"help": problem.help} if problem.help else {})}
    result["tags"] = dict[str, Value](tags)
    return result
