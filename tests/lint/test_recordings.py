"""What a real cluster said of a manifest, and what the operator made of it, is what graphc says."""

import json
from functools import cache
from pathlib import Path
from typing import Final, TypedDict

import pytest
from graphc.diagnostics import Diagnostic, Severity, Sink
from graphc.lint.check import check_manifest
from graphc.seldon.documents import find_deployments
from graphc.source.yaml_reader import read_documents

RECORDINGS: Final = Path(__file__).parents[3] / "shared" / "seldon"


class Case(TypedDict):
    """A recorded manifest; the verdict is error, warning, sound or any."""

    id: str
    manifest: object
    verdict: str


@cache
def read_cases(name: str) -> list[Case]:
    path = RECORDINGS / name
    return json.loads(path.read_text())["cases"] if path.exists() else []


BROKEN_SINCE: Final = {"combiner-60": "warning"}
"""Verdicts that a run came to later than the recording: Linux refuses to start the executor of so many units."""


def diagnose(manifest: object) -> list[Diagnostic]:
    sink = Sink()
    for document in read_documents(json.dumps(manifest, indent=1), "manifest.json", sink):
        for deployment in find_deployments(document):
            check_manifest(deployment, sink)
    return list(sink)


def agrees(verdict: str, found: list[Diagnostic]) -> bool:
    has_errors = any(each.severity is Severity.ERROR for each in found)
    match verdict:
        case "error":
            return has_errors
        case "warning":
            return bool(found)
        case "sound":
            # Nobody reads the warnings of a tool that warns of what works.
            return not found
        case _:
            return verdict == "any"


@pytest.mark.parametrize("name", ["admission.json", "real-world.json"])
def test_every_verdict_agrees(name: str) -> None:
    cases = read_cases(name)
    if not cases:
        pytest.skip(f"{name} is not here: recordings of a real cluster are not shipped")
    judged = [(case, diagnose(case["manifest"])) for case in cases]
    disagreeing = [
        (case["id"], case["verdict"], [f"{each.rule.code} {each.message}" for each in found])
        for case, found in judged
        if not agrees(BROKEN_SINCE.get(case["id"], case["verdict"]), found)
    ]
    assert disagreeing == []


@pytest.mark.parametrize("name", ["admission.json", "real-world.json"])
def test_every_diagnostic_has_a_place(name: str) -> None:
    cases = read_cases(name)
    if not cases:
        pytest.skip(f"{name} is not here: recordings of a real cluster are not shipped")
    for case in cases:
        assert all(
            each.at and each.at.line >= 1 and each.at.column >= 1 for each in diagnose(case["manifest"])
        )
