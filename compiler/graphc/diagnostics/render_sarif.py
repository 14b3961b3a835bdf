"""Diagnostics as SARIF 2.1.0, which code scanning services read."""

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final
from urllib.parse import quote

from graphc.diagnostics.diagnostic import Diagnostic, Rule, Span

Json = str | int | list["Json"] | dict[str, "Json"]

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def render_sarif(diagnostics: Sequence[Diagnostic]) -> str:
    """Return a SARIF log with one run; its rules are those that were broken."""
    rules = sorted({each.rule for each in diagnostics}, key=lambda each: each.code)
    driver: dict[str, Json] = {
        "name": "graphc",
        "version": version("graphc-compiler"),
        "rules": [_rule(each) for each in rules],
    }
    run: dict[str, Json] = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(each, rules.index(each.rule)) for each in diagnostics],
    }
    log: Json = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2) + "\n"


def _rule(rule: Rule) -> Json:
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "defaultConfiguration": {"level": rule.severity.value},
    }


def _result(each: Diagnostic, rule_index: int) -> Json:
    result: dict[str, Json] = {
        "ruleId": each.rule.code,
        "ruleIndex": rule_index,
        "level": each.severity.value,
        "message": {"text": each.message + (f"\nhelp: {each.help}" if each.help else "")},
    }
    if each.at is not None:
        result["locations"] = [_location(each.at)]
    return result


def _location(at: Span) -> Json:
    region: Json = {
        "startLine": at.line,
        "startColumn": at.column,
        "endLine": at.end_line,
        "endColumn": at.end_column,
    }
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(at.file)}, "region": region}}


def _uri(file: str) -> str:
    path = Path(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
