"""Judges a candidate by what was compared of it, and by the gates that its graph carries."""

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, cast

from graphc.cluster.bundle import Bundle
from graphc.cluster.judges import load
from graphc.cluster.problem import ClusterError
from graphc.cluster.promotion import Finding, Judgement
from graphc.cluster.read import objects, text

GATES: Final = "graphc.dev/promote-when"
"""The annotation in which a SeldonDeployment carries its gates."""

FINDINGS: Final[Mapping[str, Finding]] = {"passed": "passed", "failed": "failed"}


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


class _Reading(Protocol):
    def find_report(self, target: str | None, database: str) -> object: ...


class _Problems(Protocol):
    StoreError: type[Exception]


@dataclass(frozen=True, slots=True)
class ComparedAnswers:
    """Judges by compared answers, read anew each time.

    They are in what `graphc compare --json` wrote, in a database of runs, or behind the URL of a service.
    """

    place: str

    def judge(self, bundle: Bundle, candidate: str, baseline: str) -> Judgement:
        """Judge by the gates in the graph's annotation, or by the verdicts that were written."""
        del baseline
        if _is_json(self.place):
            return judge_written(load(self.place), candidate, self.place)
        return _judge_report(self.place, text(bundle.deployment, "metadata", "annotations", GATES), candidate)


def _is_json(place: str) -> bool:
    if "://" in place or not Path(place).is_file():
        return False
    with Path(place).open("rb") as file:
        return file.read(64).lstrip().startswith(b"{")


def judge_written(report: Mapping[str, object], candidate: str, place: str) -> Judgement:
    """Return the verdict on a candidate that a written report holds; one that says nothing decides nothing."""
    for verdict in objects(report, "verdicts"):
        if text(verdict, "candidate") == candidate:
            statements = tuple(f"gate: {text(each, 'statement')}" for each in objects(verdict, "gates"))
            return Judgement(FINDINGS.get(text(verdict, "outcome"), "undecided"), statements)
    return Judgement("undecided", (f"{place} has no verdict on `{candidate}`",))


def _judge_report(place: str, annotation: str, candidate: str) -> Judgement:
    # Numbers and databases are slow to import, and most promotions' commands never get here.
    reading = cast("_Reading", importlib.import_module("graphc.compare.reading"))
    gates = cast("_Gates", importlib.import_module("graphc.compare.gates"))
    verdicts = cast("_Verdicts", importlib.import_module("graphc.compare.verdict"))
    problems = cast("_Problems", importlib.import_module("graphc.compare.store_problem"))
    try:
        wanted = gates.read_annotation(annotation or None, candidate)
        found = verdicts.evaluate(wanted, reading.find_report(place, place), candidate)
    except (problems.StoreError, ValueError) as error:
        raise ClusterError(str(error)) from error
    statements = tuple(f"gate: {each.statement}" for each in found.judgements)
    return Judgement(FINDINGS.get(str(found.outcome), "undecided"), statements)


def has_gates(bundle: Bundle) -> bool:
    """Say whether the graph asks for a comparison before anything is promoted."""
    return bool(text(bundle.deployment, "metadata", "annotations", GATES))
