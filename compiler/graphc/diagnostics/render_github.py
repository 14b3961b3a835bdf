"""Diagnostics as workflow commands, which GitHub shows beside the changed lines."""

from collections.abc import Iterable

from graphc.diagnostics.diagnostic import Diagnostic
from graphc.diagnostics.printable import printable


def render_github(diagnostics: Iterable[Diagnostic]) -> str:
    """Return one workflow command for each diagnostic, each on its line."""
    return "".join(_command(each) + "\n" for each in diagnostics)


def _command(each: Diagnostic) -> str:
    place = {"file": each.at.file, "line": each.at.line, "col": each.at.column} if each.at else {}
    properties = {**place, "title": each.rule.code}
    listed = ",".join(f"{name}={_escape_property(str(value))}" for name, value in properties.items())
    message = printable(each.message) + (f"\nhelp: {printable(each.help)}" if each.help else "")
    return f"::{each.severity.value} {listed}::{_escape(message)}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(printable(text)).replace(":", "%3A").replace(",", "%2C")
