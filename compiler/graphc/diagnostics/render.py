"""Rendering diagnostics: one list of them, written as text, JSON, GitHub annotations or SARIF."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from graphc.diagnostics.model import Diagnostic
from graphc.diagnostics.render_github import render_github
from graphc.diagnostics.render_json import render_json
from graphc.diagnostics.render_sarif import render_sarif
from graphc.diagnostics.render_text import render_text


class Format(StrEnum):
    """A form that diagnostics can be written in."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"


def render(diagnostics: Iterable[Diagnostic], format: str, sources: Mapping[str, str], color: bool) -> str:  # noqa: A002
    """Return the diagnostics, in the order given, in one of the formats; ValueError for no such format.

    `sources` holds the text of each file by the name in the diagnostics' places; only text shows it, and only
    text has colours.
    """
    found = list(diagnostics)
    match Format(format):
        case Format.TEXT:
            return render_text(found, sources, color=color)
        case Format.JSON:
            return render_json(found)
        case Format.GITHUB:
            return render_github(found)
        case Format.SARIF:
            return render_sarif(found)
