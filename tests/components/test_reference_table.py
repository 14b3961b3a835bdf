"""The table of the components' reference says what the signatures do; `--update` writes it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from drawn_components import Fit, find_fits
from graphc_components.catalog import CATALOG, Component, Role
from graphc_components.signatures import float_datatype
from graphc_components.tensors import DATATYPES, FLOATS, INTEGERS, NUMERIC

PAGE: Final = Path(__file__).parents[2] / "components" / "README.md"
HEADER: Final = "| component | outputs | takes | answers in |\n|---|---|---|---|"

OWN_FLOAT: Final = "its float datatype, FP64 for integers"
WIDEST_FLOAT: Final = "the widest float datatype, FP64 where an input holds integers"
ANSWERS: Final[dict[str, Callable[[Fit, int], str]]] = {
    "its datatype": lambda fit, position: fit.datatypes[position % len(fit.datatypes)],
    OWN_FLOAT: lambda fit, _: float_datatype(fit.types()),
    "as `datatype` says": lambda fit, _: str(fit.values.get("datatype")),
}
"""Sentences on an output, each with the datatype that it foretells."""


def test_the_table_is_what_the_signatures_say(update: bool) -> None:
    page = PAGE.read_text("utf-8")
    start = page.index(HEADER)
    stated, found = page[start : page.index("\n\n", start)], "\n".join([HEADER, *table_rows()])
    if update:
        PAGE.write_text(page.replace(stated, found), encoding="utf-8")
    else:
        assert stated == found, "`pytest tests/components --update` rewrites the table"


def table_rows() -> list[str]:
    """Return a row for all components of a role that take and answer alike."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for component in sorted(CATALOG.values(), key=lambda each: list(Role).index(each.role)):
        rows.setdefault((component.role, *describe(component)), []).append(f"`{component.name}`")
    return [f"| {', '.join(names)} | {' | '.join(row[1:])} |" for row, names in rows.items()]


def describe(component: Component) -> tuple[str, str, str]:
    fits = find_fits(component)
    outputs = ", ".join(f"`{name}`" for name in component.outputs or ()) or "as the inputs are called"
    takes = describe_datatypes({each.datatypes[0] for each in fits})
    if component.inputs is None and not any(each.is_mixed for each in fits):
        takes += " of one datatype"
    answers = [describe_answer(component, fits, index) for index in range(len(component.outputs or [""]))]
    return outputs, takes, ", and ".join(answers)


def describe_datatypes(found: set[str]) -> str:
    if found == set(DATATYPES):
        return "anything"
    words = {"numbers": NUMERIC} if found >= NUMERIC else {"integers": INTEGERS, "floats": FLOATS}
    groups = {word: group for word, group in words.items() if group <= found}
    others = found.difference(*groups.values())
    *firsts, last = [*groups, *(each for each in DATATYPES if each in others)]
    return f"{', '.join(firsts)} or {last}" if firsts else last


def describe_answer(component: Component, fits: Sequence[Fit], position: int) -> str:
    """Return the one sentence that holds for an output; the last output where names are those of the inputs."""
    found = [(fit, [each.datatype for each in fit.infer(component).values()]) for fit in fits]
    answered = {outputs[position] for _, outputs in found}
    if len(answered) == 1:
        return answered.pop()
    sentence = next(
        sentence
        for sentence, foretell in ANSWERS.items()
        if all(outputs[position] == foretell(fit, position) for fit, outputs in found)
    )
    if component.inputs is None:
        sentence = sentence.replace(OWN_FLOAT, WIDEST_FLOAT)
    default = {each.name: each.default for each in component.parameters}.get("datatype")
    return f"{default}, or {sentence}" if default and "`datatype`" in sentence else sentence


def test_datatypes_are_put_into_words() -> None:
    assert describe_datatypes({*INTEGERS, "BOOL", "BYTES"}) == "integers, BOOL or BYTES"
    assert describe_datatypes({*FLOATS, "BYTES"}) == "floats or BYTES"
    assert describe_datatypes({"BOOL"}) == "BOOL"
