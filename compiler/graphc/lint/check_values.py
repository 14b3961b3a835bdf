"""Checks the values of pods' fields one by one, against a table of what Kubernetes demands."""

from collections.abc import Iterator

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.manifests import POD_CHOICE, POD_VALUE
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import did_you_mean
from graphc.lint.facts import CHOICES, EXCLUSIVE, NOT_EMPTY, RANGES, SHAPES, UNBOUNDED
from graphc.lint.parts import PodPart, pod_parts
from graphc.lint.schema import Record
from graphc.lint.visit import scalars_or_items, visit
from graphc.seldon.deployment import Deployment
from graphc.seldon.node import ManifestNode
from graphc.source.located import Items


def check_values(deployment: Deployment, sink: Sink) -> None:
    """Report values that Kubernetes refuses in what reaches a pod."""
    for part in pod_parts(deployment):
        for record, node in visit(part.node, part.record):
            for problem in _record(record, node, part):
                sink.report(problem)


def _record(record: Record, node: ManifestNode, part: PodPart) -> Iterator[Diagnostic]:
    yield from _exclusive(record, node)
    for name in record.fields:
        key = f"{_alias(record.name)}.{name}"
        found = node.find(name)
        if found is None:
            if key in NOT_EMPTY and not part.fills(record.name, name):
                yield Diagnostic(POD_VALUE, f"{record.noun} needs the field `{name}`", node.span)
            continue
        values = scalars_or_items(found)
        if not values and key in NOT_EMPTY:
            yield Diagnostic(POD_VALUE, f"`{name}` is empty", found.span)
        is_list = isinstance(found.value, Items)
        for value in values:
            yield from _value(key, f"`{name}` of {record.noun}", value, is_item=is_list)


def _alias(name: str) -> str:
    return "Container" if name == "EphemeralContainer" else name


def _value(key: str, what: str, value: ManifestNode, *, is_item: bool) -> Iterator[Diagnostic]:
    number, text, name = value.as_int, value.as_text, key.partition(".")[2]
    if number is not None and key in RANGES:
        low, high = RANGES[key]
        if not low <= number <= high:
            bounds = f"between {low} and {high}" if high < UNBOUNDED else f"{low} or more"
            yield Diagnostic(POD_VALUE, f"`{name}` is {number}, and must be {bounds}", value.span)
    if text == "" and key in NOT_EMPTY and not is_item:
        yield Diagnostic(POD_VALUE, f"`{name}` is empty", value.span)
    elif text and key in CHOICES and text not in CHOICES[key]:
        known = CHOICES[key]
        hint = did_you_mean(text, known) or f"write {' or '.join(f'`{each}`' for each in known)}"
        yield Diagnostic(POD_VALUE, f"{quoted(text)} cannot be the {what}", value.span, hint)
    elif text is not None and (text or is_item) and key in SHAPES and not SHAPES[key](text):
        yield Diagnostic(POD_VALUE, f"{quoted(text)} cannot be the {what}", value.span)


def _exclusive(record: Record, node: ManifestNode) -> Iterator[Diagnostic]:
    fields, is_needed = EXCLUSIVE.get(record.name, ((), False))
    found = [name for name in fields if node.has(name)]
    if len(found) > 1:
        words = " and ".join(f"`{name}`" for name in found)
        yield Diagnostic(
            POD_CHOICE, f"{record.noun} has {words}, and can have only one", node.key_at(found[1])
        )
    elif not found and is_needed:
        words = ", ".join(f"`{name}`" for name in fields if name in record.fields)
        yield Diagnostic(POD_CHOICE, f"{record.noun} needs one of {words}", node.span)
