"""Judges a candidate by what was compared of it, and by the gates that its graph carries."""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol, cast

from graphc.cluster.bundle import Bundle
from graphc.cluster.judges import load
from graphc.cluster.problem import ClusterError
from graphc.cluster.promotion import Finding, Judgement
from graphc.cluster.read import text

GATES: Final = "graphc.dev/promote-when"
"""The annotation in which a SeldonDeployment carries its gates."""


class _Statement(Protocol):
    statement: str


class _Verdict(Protocol):
    @property
    def outcome(self) -> str: ...
    @property
    def judgements(self) -> Iterable[_Statement]: ...


class _Gates(Protocol):
    def read_annotation(self, text: str | None, predictor: str) -> object: ...


class _Verdicts(Protocol):
    def evaluate(self, gates: object, report: object, candidate: str) -> _Verdict: ...


class _Reports(Protocol):
    Report: "_Report"


class _Report(Protocol):
    def of_plain(self, plain: object) -> object: ...


@dataclass(frozen=True, slots=True)
class ComparedAnswers:
    """Judges by a report of compared answers, read anew each time: a file, or the URL that a service shows it at."""

    place: str

    def judge(self, bundle: Bundle, candidate: str, baseline: str) -> Judgement:
        """Judge by the gates in the graph's annotation."""
        del baseline
        written = text(bundle.deployment, "metadata", "annotations", GATES)
        return judge_report(load(self.place), written, candidate, self.place)


def judge_report(report: object, annotation: str, candidate: str, place: str) -> Judgement:
    """Judge a candidate by a report in the form that `graphc compare` writes."""
    gates = cast("_Gates", importlib.import_module("graphc.compare.gates"))
    reports = cast("_Reports", importlib.import_module("graphc.compare.report"))
    verdicts = cast("_Verdicts", importlib.import_module("graphc.compare.verdict"))
    try:
        found = verdicts.evaluate(
            gates.read_annotation(annotation or None, candidate), reports.Report.of_plain(report), candidate
        )
    except (ValueError, TypeError, KeyError) as error:
        raise ClusterError(f"{place} is no report to judge `{candidate}` by: {error}") from error
    findings: dict[str, Finding] = {"passed": "passed", "failed": "failed"}
    statements = tuple(f"gate: {each.statement}" for each in found.judgements)
    return Judgement(findings.get(str(found.outcome), "undecided"), statements)


def has_gates(bundle: Bundle) -> bool:
    """Say whether the graph asks for a comparison before anything is promoted."""
    return bool(text(bundle.deployment, "metadata", "annotations", GATES))
