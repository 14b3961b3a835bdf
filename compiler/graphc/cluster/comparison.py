"""Judges a candidate by what was compared of it, and by the gates that its graph carries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from graphc.cluster.asking import Finding, Judgement
from graphc.cluster.bundle import Bundle
from graphc.cluster.find_serving import annotation_of
from graphc.cluster.judges import load
from graphc.cluster.problem import ClusterError
from graphc.unchecked import objects, text

GATES: Final = "graphc.dev/promote-when"
"""The annotation in which a graph carries its gates."""

FINDINGS: Final[Mapping[str, Finding]] = {"passed": "passed", "failed": "failed"}


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
        return _judge_report(self.place, bundle, candidate)


def _is_json(place: str) -> bool:
    if "://" in place or not Path(place).is_file():
        return False
    with Path(place).open("rb") as file:
        return file.read(64).lstrip().startswith(b"{")


def judge_written(report: Mapping[str, object], candidate: str, place: str) -> Judgement:
    """Return the verdict on a candidate that a written report holds; one that says nothing decides nothing."""
    for verdict in objects(report, "verdicts"):
        if text(verdict, "candidate") == candidate:
            outcome = text(verdict, "outcome")
            gates = [(text(each, "outcome"), text(each, "statement")) for each in objects(verdict, "gates")]
            return _judgement(outcome, gates)
    return Judgement("undecided", (f"{place} has no verdict on `{candidate}`",))


def _judge_report(place: str, bundle: Bundle, candidate: str) -> Judgement:
    # Numbers and databases are slow to import, and most promotions' commands never get here.
    from graphc.compare.gates import read_annotation
    from graphc.compare.reading import find_report_of
    from graphc.compare.store_problem import StoreError
    from graphc.compare.verdict import evaluate

    annotation = annotation_of(bundle.documents, GATES)
    names = (f"{bundle.namespace}/{bundle.name}", bundle.name)
    try:
        wanted = read_annotation(annotation or None, candidate)
        found = evaluate(wanted, find_report_of(names, place), candidate)
    except (StoreError, ValueError) as error:
        raise ClusterError(str(error)) from error
    gates = [(each.outcome.value, each.statement) for each in found.judgements]
    return _judgement(found.outcome.value, gates)


def _judgement(outcome: str, gates: Sequence[tuple[str, str]]) -> Judgement:
    statements = [(each, f"gate: {statement}") for each, statement in gates]
    reasons = tuple(statement for each, statement in statements if each == outcome)
    finding: Finding = FINDINGS.get(outcome, "undecided")
    return Judgement(finding, tuple(statement for _, statement in statements), reasons)


def has_gates(bundle: Bundle) -> bool:
    """Say whether the graph asks for a comparison before anything is promoted."""
    return bool(annotation_of(bundle.documents, GATES))
