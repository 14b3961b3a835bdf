"""Rendering diagnostics: one list of them, written as text, JSON, GitHub annotations or SARIF."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from graphc.diagnostics.diagnostic import Diagnostic
from graphc.diagnostics.printable import conceal


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
    found = [without_passwords(each) for each in diagnostics]
    # Most runs find nothing to render, and none renders in two formats.
    match Format(format):
        case Format.TEXT:
            from graphc.diagnostics.render_text import render_text

            return render_text(found, sources, color=color)
        case Format.JSON:
            from graphc.diagnostics.render_json import render_json

            return render_json(found)
        case Format.GITHUB:
            from graphc.diagnostics.render_github import render_github

            return render_github(found)
        case Format.SARIF:
            from graphc.diagnostics.render_sarif import render_sarif

            return render_sarif(found)


def render_one(diagnostic: Diagnostic, sources: Mapping[str, str]) -> str:
    """Return a diagnostic as text that nobody counts, without colours; `sources` are those of `render`."""
    from graphc.diagnostics.render_text import render_block

    return render_block(without_passwords(diagnostic), sources)


def without_passwords(each: Diagnostic) -> Diagnostic:
    """Return what may go into the log of a build, which many read."""
    hint = each.help and conceal(each.help)
    return Diagnostic(each.rule, conceal(each.message), each.at, hint, each.tolerated)
