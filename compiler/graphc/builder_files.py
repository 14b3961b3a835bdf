"""Runs Python files that build graphs."""

import runpy
import sys
import traceback
from pathlib import Path

from graphc.builder import Graph, whole_line
from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.reading import BUILDER_FAILED, NO_GRAPH_BUILT


def run_builder_file(path: str, sink: Sink) -> list[Graph]:
    """Run a Python file, which the user vouches for by naming it, and return its graphs in their order."""
    sys.path.insert(0, str(Path(path).parent))
    try:
        variables = runpy.run_path(path)
    except (Exception, SystemExit) as error:
        sink.report(Diagnostic(BUILDER_FAILED, f"the file fails: {_describe(error)}", _place(error, path)))
        return []
    finally:
        sys.path.pop(0)
    graphs = list({id(each): each for each in variables.values() if isinstance(each, Graph)}.values())
    if not graphs:
        hint = "leave the `Graph` in a variable of the module"
        sink.report(Diagnostic(NO_GRAPH_BUILT, "the file builds no graph", Span(path, 1, 1, 1, 2), hint))
    return graphs


def _describe(error: BaseException) -> str:
    words = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {words}"


def _place(error: BaseException, path: str) -> Span:
    """Return the last line of the file itself that was running."""
    if isinstance(error, SyntaxError) and error.lineno:
        return Span(path, error.lineno, error.offset or 1, error.lineno, (error.offset or 1) + 1)
    lines = [
        frame.lineno or 1 for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path
    ]
    return whole_line(path, lines[-1] if lines else 1)
