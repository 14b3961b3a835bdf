"""Tells the content of a node's local files from another: two files of one name are two models."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from graphc.ir.graph import Graph, ModelWork, Node, PythonWork, ServerWork
from graphc.regular_files import open_regular

_DIGITS: Final = 10
_AT_ONCE: Final = 1 << 20


def find_contents(graph: Graph) -> dict[str, str]:
    """Return, by node, the first digits of the SHA-256 of its local files; none for what has no files here."""
    found: dict[str, str] = {}
    for node in graph.nodes:
        files = sorted(_list_files(node))
        if files:
            found[node.name] = _digest(files)
    return found


def _list_files(node: Node) -> Iterator[tuple[str, Path]]:
    match node.work:
        case ModelWork(local=Path() as local) as work:
            yield "", local
            yield from (
                (each, local / each if local.is_dir() else local.parent / each) for each in work.files
            )
            if work.cpu is not None and work.cpu.local is not None:
                yield "cpu", work.cpu.local
        case PythonWork() as work:
            yield from work.files
        case ServerWork(host=host) if host is not None:
            yield from host.files
        case _:
            return


def _digest(files: list[tuple[str, Path]]) -> str:
    whole = hashlib.sha256()
    for name, path in files:
        if path.is_dir():
            continue
        whole.update(f"{name}\0".encode())
        try:
            with open_regular(path) as file:
                while part := file.read(_AT_ONCE):
                    whole.update(part)
        except OSError:
            # It was there a moment ago; what is not there now is another content.
            whole.update(b"gone")
    return whole.hexdigest()[:_DIGITS]
