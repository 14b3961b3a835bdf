"""Runs the cases of one graph on its plans, and judges the answers."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path

from graphc.cases.case import Answer, Case, Outcome
from graphc.cases.compare import find_faults
from graphc.cases.payloads import Types, make_request
from graphc.cases.rows import find_row_faults, split_rows
from graphc.cases.run_cases import Ask, choose_version, run_cases
from graphc.compile.pipeline import CheckedGraph


def try_cases(
    graph: CheckedGraph,
    cases: Sequence[Case],
    pythons: Mapping[str, Path],
    variables: Mapping[str, str],
    *,
    each_row: bool,
) -> list[Outcome]:
    """Return what comes of each case; raises CaseError and NotRunError.

    `pythons` are the interpreters of the graph's versions. With `each_row` every row of a request is asked alone too.
    """
    found: dict[int, Outcome] = {}
    for version, asked in _by_version(graph, cases).items():
        plan = graph.plans[version]
        asks = [list(_ask(case, dict(plan.inputs), each_row=each_row)) for case in asked]
        answers = iter(run_cases(graph, version, list(chain(*asks)), pythons[version], variables))
        for case, of_case in zip(asked, asks, strict=True):
            given = list(islice(answers, len(of_case)))
            found[id(case)] = _judge(case, given, dict(plan.outputs))
    return [found[id(case)] for case in cases]


def _by_version(graph: CheckedGraph, cases: Sequence[Case]) -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(choose_version(graph, case), []).append(case)
    return found


def _ask(case: Case, inputs: Types, *, each_row: bool) -> Iterator[Ask]:
    request = make_request(case, inputs)
    yield Ask(case, request)
    if each_row:
        yield from (Ask(case, alone) for alone in split_rows(request))


def _judge(case: Case, given: Sequence[Answer], outputs: Types) -> Outcome:
    whole, *rows = given
    faults = list(find_faults(case, whole, outputs))
    if rows and whole.status == case.status:
        faults += find_row_faults(case, whole, rows)
    return Outcome(case, whole, tuple(faults))
