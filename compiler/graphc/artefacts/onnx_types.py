"""Infers the element types in an ONNX model, and finds operators that onnxruntime has no kernel for with theirs.

Only what is sure is told. An operator is passed over where a type in it is not known, and where onnxruntime may make it
of others. A half-precision float may be widened: onnxruntime casts it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from graphc.artefacts.onnx_nodes import Operator
from graphc.artefacts.signature import Opset
from graphc.records import record

LETTERS: Final[Mapping[int, str]] = {
    1: "f",
    2: "B",
    3: "b",
    4: "W",
    5: "w",
    6: "i",
    7: "l",
    8: "s",
    9: "o",
    10: "h",
    11: "d",
    12: "I",
    13: "L",
    16: "r",
}
"""Element types of onnx.proto3, as letters of the table."""
_HALF, _FLOAT = "h", "f"
_ONNX: Final = "ai.onnx"
_TYPED_BY_ATTRIBUTE: Final = frozenset({"Cast", "Constant", "ConstantOfShape"})


@record
class Form:
    """What an operator takes and gives since a version; `kernels` are None where it may run without one."""

    since: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    kernels: tuple[Mapping[str, str], ...] | None


@record
class Unrun:
    """An operator without a kernel for the types that it meets, which are letters."""

    operator: Operator
    types: tuple[str, ...]


def find_unrun(
    operators: Iterable[Operator], given: Mapping[str, int], imports: Iterable[Opset]
) -> Unrun | None:
    """Return the first operator that surely cannot run; `given` are the elements of inputs and initializers."""
    versions = {_domain(each.domain): each.version for each in imports}
    types = {name: LETTERS[element] for name, element in given.items() if element in LETTERS}
    for each in operators:
        form = _find_form(each, versions)
        bound = _bind(form.inputs, each.inputs, types) if form else {}
        if form and not _may_run(form, bound):
            return Unrun(each, tuple(sorted({letter for letters in bound.values() for letter in letters})))
        for name in each.outputs:
            types.pop(name, None)
        types |= dict(_type_outputs(each, form, bound))
    return None


def _domain(word: str) -> str:
    return "" if word == _ONNX else word


def _find_form(operator: Operator, versions: Mapping[str, int]) -> Form | None:
    domain = _domain(operator.domain)
    version = versions.get(domain, 0)
    forms = reversed(_read_forms().get((domain, operator.name), ()))
    return next((form for form in forms if form.since <= version), None)


def _bind(words: Sequence[str], names: Sequence[str], types: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the types that each type of an operator's form stands for, as far as they are known."""
    bound: dict[str, set[str]] = {}
    for word, name in zip(_spread(words, len(names)), names, strict=False):
        if name in types and word.isidentifier():
            bound.setdefault(word, set()).add(types[name])
    return bound


def _spread(words: Sequence[str], count: int) -> Iterator[str]:
    """Yield the word of each input or output: the last one may stand for any number."""
    for index in range(count):
        word = words[min(index, len(words) - 1)] if words else ""
        if index < len(words) or word.endswith("..."):
            yield word.removesuffix("...")


def _may_run(form: Form, bound: Mapping[str, set[str]]) -> bool:
    if any(len(found) > 1 for found in bound.values()):
        return False
    one = {word: letter for word, found in bound.items() for letter in found}
    return form.kernels is None or any(
        all(_takes(kernel.get(word), letter) for word, letter in one.items()) for kernel in form.kernels
    )


def _takes(letters: str | None, letter: str) -> bool:
    return letters is None or letter in letters or (letter == _HALF and _FLOAT in letters)


def _type_outputs(
    operator: Operator, form: Form | None, bound: Mapping[str, set[str]]
) -> Iterator[tuple[str, str]]:
    if form is None:
        return
    for word, name in zip(_spread(form.outputs, len(operator.outputs)), operator.outputs, strict=False):
        if operator.domain in {"", _ONNX} and operator.name in _TYPED_BY_ATTRIBUTE:
            element = operator.element or (1 if operator.name == "ConstantOfShape" else 0)
            letter = LETTERS.get(element)
        else:
            letter = word[1:] if word.startswith("=") else None
            if len(bound.get(word, ())) == 1:
                (letter,) = bound[word]
        if letter:
            yield name, letter


@cache
def _read_forms() -> Mapping[tuple[str, str], Sequence[Form]]:
    """Return the forms of operators, by domain and name, in the order of their versions."""
    text = Path(__file__).with_name("onnx_types.txt").read_text("utf-8")
    forms: dict[tuple[str, str], list[Form]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            domain, name, since, inputs, outputs, kernels = line.split()
            form = Form(int(since), _words(inputs), _words(outputs), _kernels(kernels))
            forms.setdefault((_domain(domain), name), []).append(form)
    return forms


def _words(text: str) -> tuple[str, ...]:
    return () if text == "-" else tuple(text.split(","))


def _kernels(text: str) -> tuple[Mapping[str, str], ...] | None:
    if text == "-":
        return None
    return tuple(
        {word: letters for word, _, letters in (each.partition(":") for each in kernel.split(";"))}
        for kernel in text.replace("any", "").split("|")
    )
