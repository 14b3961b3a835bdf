"""Writes what a graph answered into the files of its cases."""

import json
from collections.abc import Mapping, Sequence

from graphc.cases.case import OK, Answer, Case, CaseFile, Data, Outcome
from graphc.cases.compare import read_outputs, write_table
from graphc.cases.payloads import place_file
from graphc.unchecked import items
from graphc.whole_files import write_whole


def update_cases(file: CaseFile, outcomes: Sequence[Outcome]) -> int:
    """Write the answers of cases that differ where these have them, and return how many did; raises CaseError."""
    changed = {each.case.number: each for each in outcomes if each.faults and each.case.path == file.path}
    values: list[Data] = []
    for case, value in zip(file.cases, file.values, strict=True):
        outcome = changed.get(case.number)
        values.append(value if outcome is None else _renew(case, value, outcome.answer))
    if changed and values != list(file.values):
        written = ",\n".join(json.dumps(value, ensure_ascii=False) for value in values)
        write_whole(file.path, f"[\n{written}\n]\n")
    return len(changed)


def _renew(case: Case, value: Data, answer: Answer) -> Data:
    if answer.status != OK:
        kept = {name: each for name, each in value.items() if name not in ("expected", "error")}
        return kept | {"status": answer.status, "error": answer.body.get("error", "")}
    if isinstance(case.expected, str):
        path = place_file(case, case.expected)
        is_json = path.suffix.lower() == ".json"
        text = f"{json.dumps(_expected(answer))}\n" if is_json else write_table(read_outputs(answer))
        write_whole(path, text)
        return value
    kept = {name: each for name, each in value.items() if name not in ("status", "error")}
    return kept | {"expected": _expected(answer)}


def _expected(answer: Answer) -> Mapping[str, object]:
    return {"outputs": items(answer.body, "outputs")}
