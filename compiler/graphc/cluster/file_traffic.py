"""Says what to change in a graph file so that it tells the traffic as it is."""

import difflib
from collections.abc import Iterator, Mapping, Sequence

from graphc.diagnostics import Sink, Span
from graphc.source.files import read_source
from graphc.source.located import Entry, Fields, Located
from graphc.source.yaml_reader import read_documents

Edit = tuple[Span, str]


def write_difference(path: str, graph: str, shares: Mapping[str, int]) -> str | None:
    """Return the file's difference to one with these shares, as `patch` reads it; None where none can be written."""
    sink = Sink()
    source = read_source(path, sink)
    documents = list(read_documents(source.text, path, sink)) if source is not None else []
    own = [each for each in documents if _name(each) == graph]
    if source is None or len(own) != 1:
        return None
    edits = list(_edits(own[0], shares))
    if not edits:
        return None
    old = source.text.splitlines(keepends=True)
    new = _apply(source.text, edits).splitlines(keepends=True)
    return "".join(difflib.unified_diff(old, new, path, path, n=2))


def _name(document: Located) -> object:
    name = _find(document, "metadata", "name")
    return getattr(name.value, "value", None) if name is not None else None


def _find(value: Located, *path: str) -> Entry | None:
    entry = None
    for step in path:
        entry = value.find(step) if isinstance(value, Fields) else None
        if entry is None:
            return None
        value = entry.value
    return entry


def _edits(document: Located, shares: Mapping[str, int]) -> Iterator[Edit]:
    for name, share in shares.items():
        predictor = _find(document, "predictors", name)
        if predictor is None or not isinstance(predictor.value, Fields):
            continue
        traffic, shadow = predictor.value.find("traffic"), predictor.value.find("shadow")
        if traffic is not None:
            if getattr(traffic.value, "value", None) != share:
                yield traffic.value.span, str(share)
        elif shadow is not None:
            yield _join(shadow.key_span, shadow.value.span), f"traffic: {share}"


def _join(start: Span, end: Span) -> Span:
    return Span(start.file, start.line, start.column, end.end_line, end.end_column)


def _apply(text: str, edits: Sequence[Edit]) -> str:
    lines = text.splitlines(keepends=True)
    for span, written in sorted(edits, key=lambda edit: (edit[0].line, edit[0].column), reverse=True):
        if span.line != span.end_line:
            continue
        line = lines[span.line - 1]
        lines[span.line - 1] = line[: span.column - 1] + written + line[span.end_column - 1 :]
    return "".join(lines)
