"""Formats the text of a YAML file: its layout changes, and nothing that it says."""

from graphc.diagnostics import Sink
from graphc.layout.read_nodes import list_meaning, read_nodes
from graphc.layout.write_nodes import write_nodes
from graphc.source.yaml_reader import read_documents


class LayoutError(Exception):
    """A layout that says something else than the text: a bug, and no file is written."""


def format_text(text: str, file: str, sink: Sink) -> str | None:
    """Return a file's text in the one layout; None where a diagnostic says why it cannot be read.

    Raises UnwritableError for what graphc reads and the layout has no form for.
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    found = Sink()
    read_documents(lines, file, found)
    if found.has_errors:
        for each in found:
            sink.report(each)
        return None
    before = read_nodes(lines)
    formatted = write_nodes(before)
    after = read_nodes(formatted)
    comments = [sorted(each.text for each in text.comments) for text in (before, after)]
    if list_meaning(lines) != list_meaning(formatted) or comments[0] != comments[1]:
        raise LayoutError(f"the layout of {file} would change what it says; the file is as it was")
    return formatted
