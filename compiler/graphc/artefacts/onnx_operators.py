"""Judges the operators of ONNX models by the table of what the runtime image's onnxruntime runs on processors."""

from collections.abc import Container, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from graphc.artefacts.onnx_nodes import Operator
from graphc.artefacts.signature import ArtefactFault, Opset
from graphc.diagnostics.codes.artefacts import MISSING_LOCALE, NEWER_MODEL, UNKNOWN_OPERATOR
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import did_you_mean
from graphc.records import record

ONNX: Final = "ai.onnx"
"""What the domain without a name is called."""
LOCALES: Final = ("en_US.UTF-8", "C.UTF-8", "C", "POSIX", "")
"""The locales that the runtime images have."""
_NO_KERNEL: Final = "-"
_TAKEN_AWAY: Final = "x"


@record
class Table:
    """What one onnxruntime loads: `operators` has, by domain and name, the versions in order with their marks."""

    runtime: str
    ir_version: int
    opsets: Mapping[str, int]
    operators: Mapping[tuple[str, str], Sequence[tuple[int, str]]]


@record
class Judged:
    """What is wrong with a model's operators, and those that only a GPU may have a kernel for."""

    fault: ArtefactFault | None
    only_gpu: tuple[str, ...] = ()


@cache
def read_table() -> Table:
    """Return the table that comes with graphc."""
    text = Path(__file__).with_name("onnx_operators.txt").read_text("utf-8")
    rows = [line.split() for line in text.splitlines() if not line.startswith("#")]
    single = {row[0]: row[1] for row in rows if len(row) == 2 and row[0] in {"onnxruntime", "ir"}}
    opsets = {_domain(row[1]): int(row[2]) for row in rows if row[0] == "opset"}
    operators = {
        (_domain(row[0]), row[1]): tuple(map(_version, row[2:])) for row in rows if _domain(row[0]) in opsets
    }
    return Table(single["onnxruntime"], int(single["ir"]), opsets, operators)


def _domain(word: str) -> str:
    return "" if word == ONNX else word


def _version(word: str) -> tuple[int, str]:
    mark = word[-1] if word[-1] in {_NO_KERNEL, _TAKEN_AWAY} else ""
    return int(word.removesuffix(mark) if mark else word), mark


def check_versions(called: str, ir_version: int, opsets: Iterable[Opset]) -> ArtefactFault | None:
    """Return why the runtime image's onnxruntime is too old for a model."""
    table = read_table()
    if ir_version > table.ir_version:
        message = (
            f"`{called}` has IR version {ir_version}, and onnxruntime {table.runtime} of the runtime image loads "
            f"up to {table.ir_version}"
        )
        return ArtefactFault(NEWER_MODEL, message, f"export it with `ir_version={table.ir_version}` or older")
    for each in opsets:
        newest = table.opsets.get(_domain(each.domain))
        if newest is not None and each.version > newest:
            message = (
                f"`{called}` takes version {each.version} of the operators of `{each.domain or ONNX}`, and "
                f"onnxruntime {table.runtime} of the runtime image has them up to {newest}"
            )
            return ArtefactFault(NEWER_MODEL, message, f"export it with opset {newest} or older")
    return None


def judge_operators(
    called: str, operators: Iterable[Operator], imports: Iterable[Opset], local: Container[tuple[str, str]]
) -> Judged:
    """Judge a graph's or function's operators; `local` are the functions that the model brings along."""
    table = read_table()
    versions = {_domain(each.domain): each.version for each in imports}
    only_gpu: dict[str, None] = {}
    for operator in operators:
        key = (_domain(operator.domain), operator.name)
        if key in local:
            continue
        # Known domains need no import: onnxruntime takes the newest version then.
        version = versions.get(key[0], table.opsets.get(key[0], 0))
        reason = _why_not(key, version, table)
        if reason is not None:
            shown = quoted(operator.name)
            message = f"`{called}` has the operator {shown} of `{operator.domain or ONNX}`, {reason}"
            return Judged(ArtefactFault(UNKNOWN_OPERATOR, message, _advice(key, table)))
        fault = _check_locale(called, operator)
        if fault is not None:
            return Judged(fault)
        if _mark_of(key, version, table) == _NO_KERNEL:
            only_gpu[f"{operator.domain or ONNX}.{operator.name}"] = None
    return Judged(None, tuple(only_gpu))


def refuse_on_processors(called: str, operators: Sequence[str]) -> ArtefactFault:
    """Return the fault of a model with operators that no processor runs, for a node without a GPU."""
    operator, _, datatypes = operators[0].partition(" ")
    domain, _, name = operator.rpartition(".")
    message = (
        f"`{called}` has the operator {quoted(name)} of `{domain}`, which onnxruntime {read_table().runtime} of the "
        "runtime image does not run on processors "
    )
    if datatypes:
        hint = "export the model in FP32, or convert what the operator reads by `Cast`"
        return ArtefactFault(UNKNOWN_OPERATOR, f"{message}with {' and '.join(datatypes.split('/'))}", hint)
    hint = "export it with another opset, or without that operator"
    return ArtefactFault(UNKNOWN_OPERATOR, f"{message}at that version", hint)


def _mark_of(key: tuple[str, str], version: int, table: Table) -> str | None:
    """Return the mark of the version of an operator that an operator set has; None before its first."""
    return next((mark for since, mark in reversed(table.operators[key]) if since <= version), None)


def _why_not(key: tuple[str, str], version: int, table: Table) -> str | None:
    runtime = f"onnxruntime {table.runtime} of the runtime image"
    if key[0] not in table.opsets:
        return f"and {runtime} has no operators of that domain"
    if key not in table.operators:
        return f"which {runtime} does not have"
    mark = _mark_of(key, version, table)
    if mark is None:
        return f"which came with version {table.operators[key][0][0]}, and the model takes version {version}"
    if mark == _TAKEN_AWAY:
        return f"which version {version} has no more"
    return None


def _advice(key: tuple[str, str], table: Table) -> str | None:
    if key in table.operators:
        return "export it with another opset"
    return did_you_mean(key[1], [name for domain, name in table.operators if domain == key[0]])


def _check_locale(called: str, operator: Operator) -> ArtefactFault | None:
    if operator.name != "StringNormalizer":
        return None
    wanted = operator.texts.get("locale", LOCALES[0])
    if wanted in LOCALES:
        return None
    message = (
        f"`{called}` changes texts by the rules of {quoted(wanted)}, a locale that the runtime image lacks"
    )
    return ArtefactFault(MISSING_LOCALE, message, f"export it with the locale `{LOCALES[0]}`")
