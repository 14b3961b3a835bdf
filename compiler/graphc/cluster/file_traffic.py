"""Says what to change in a graph file so that it tells the traffic as it is."""

import difflib
from collections.abc import Iterator, Mapping, Sequence

from graphc.diagnostics import Sink, Span
from graphc.rollout.shares import ALL
from graphc.source.files import read_source
from graphc.source.located import Fields, Located, find_at
from graphc.source.yaml_reader import read_documents

Edit = tuple[Span, str]
"""What takes the place of a span; nothing takes the whole line, or the comma before it, with it."""


def write_difference(path: str, graph: str, shares: Mapping[str, int]) -> str | None:
    """Return the file's difference to one with these shares, as `patch` reads it; None where none can be written."""
    found = write_shares(path, graph, shares)
    if found is None or found[0] == found[1]:
        return None
    old, new = (each.splitlines(keepends=True) for each in found)
    return "".join(difflib.unified_diff(old, new, path, path, n=2))


def write_shares(path: str, graph: str, shares: Mapping[str, int]) -> tuple[str, str] | None:
    """Return a file's text, and the text with these shares; None where the graph is not in it once."""
    sink = Sink()
    source = read_source(path, sink)
    documents = list(read_documents(source.text, path, sink)) if source is not None else []
    own = [each for each in documents if _name(each) == graph]
    if source is None or len(own) != 1:
        return None
    return source.text, _apply(source.text, list(_edits(own[0], source.text, shares)))


def _name(document: Located) -> object:
    return getattr(find_at(document, "metadata", "name"), "value", None)


def _edits(document: Located, text: str, shares: Mapping[str, int]) -> Iterator[Edit]:
    for name, share in shares.items():
        predictor = find_at(document, "predictors", name)
        if not isinstance(predictor, Fields):
            continue
        traffic, shadow = predictor.find("traffic"), predictor.find("shadow")
        if traffic is not None:
            if getattr(traffic.value, "value", None) != share:
                yield traffic.value.span, str(share)
        elif shadow is not None and share:
            # What was a shadow is told by what it says still: its answers had counterparts, and were judged by them.
            is_own_line = not text.splitlines()[shadow.key_span.line - 1][
                : shadow.key_span.column - 1
            ].strip()
            between = "\n" + " " * (shadow.key_span.column - 1) if is_own_line else ", "
            written = f"traffic: {share}{between}shadow: false" if share < ALL else f"traffic: {share}"
            yield _join(shadow.key_span, shadow.value.span), written
            mirror = predictor.find("mirror")
            if mirror is not None:
                yield _join(mirror.key_span, mirror.value.span), ""


def _join(start: Span, end: Span) -> Span:
    return Span(start.file, start.line, start.column, end.end_line, end.end_column)


def _apply(text: str, edits: Sequence[Edit]) -> str:
    lines = text.splitlines(keepends=True)
    for span, written in sorted(edits, key=lambda edit: (edit[0].line, edit[0].column), reverse=True):
        if span.line != span.end_line:
            continue
        line = lines[span.line - 1]
        before, after = line[: span.column - 1], line[span.end_column - 1 :]
        lines[span.line - 1] = before + written + after if written else _cut(before, after)
    return "".join(lines)


def _cut(before: str, after: str) -> str:
    """Join what is left of a line; of a line of its own only a comment is."""
    if not before.strip():
        rest = after.strip()
        return f"{before}{rest}\n" if rest else ""
    if before.rstrip().endswith(","):
        return before.rstrip().removesuffix(",") + after
    return before + after.lstrip().removeprefix(",").lstrip()
