"""Diagnostics as JSON, one object each."""

import json
from collections.abc import Iterable

from graphc.diagnostics.diagnostic import Diagnostic


def render_json(diagnostics: Iterable[Diagnostic]) -> str:
    """Return a JSON list with one object for each diagnostic; what has no place has null there."""
    return json.dumps([_as_object(each) for each in diagnostics], indent=2) + "\n"


def _as_object(each: Diagnostic) -> dict[str, str | int | None]:
    return {
        "code": each.rule.code,
        "name": each.rule.name,
        "severity": each.severity.value,
        "message": each.message,
        "help": each.help,
        "file": each.at and each.at.file,
        "line": each.at and each.at.line,
        "column": each.at and each.at.column,
        "end_line": each.at and each.at.end_line,
        "end_column": each.at and each.at.end_column,
    }
