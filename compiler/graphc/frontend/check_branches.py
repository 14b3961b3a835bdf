"""Checks what a router decides by; inference calls it where the type of that is known."""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from graphc_components.tensors import INTEGERS, NUMERIC, TensorType, value_range

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.fields import BAD_BRANCH
from graphc.diagnostics.codes.flow import NO_OTHERWISE, UNREACHED_BRANCH, WRONG_DATATYPE, WRONG_SHAPE
from graphc.frontend.decisions import CONDITIONS, can_hold, condition_of
from graphc.frontend.draft import Draft, DraftNode
from graphc.spec.fields import Router
from graphc.spec.scalars import show

_OWN_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "threshold": ("in",),
    "equals": ("in",),
    "parameter": ("name",),
    "header": ("name",),
    "random": (),
}


_OWN_HINTS: Final[Mapping[str, str]] = {
    "threshold": "name the tensor that decides, as in `in: amount`",
    "equals": "name the tensor that decides, as in `in: region`",
    "parameter": "name the request's parameter, as in `name: tier`",
    "header": "name the request's header, as in `name: x-tier`",
}


def _named(router: Router) -> str:
    return f"{'an' if router.router == 'equals' else 'a'} `{router.router}` router"


def check_branches(draft: Draft, node: DraftNode, value: TensorType | None, sink: Sink) -> None:
    """Report conditions that a router cannot use, or that do not fit the tensor it decides by."""
    router = cast("Router", node.spec)
    _check_own_fields(draft, node, router, sink)
    field = CONDITIONS[router.router]
    _check_conditions(draft, node, router, field, value, sink)
    if value is None:
        return
    is_number = router.router != "threshold" or value.datatype in NUMERIC
    if is_number and not _is_one_per_row(value):
        message = f"`{node.name}` decides by `{router.in_}`, which is `{value}`, not one value for each row"
        hint = "pick one column with `select`"
        sink.report(Diagnostic(WRONG_SHAPE, message, draft.spec.at("nodes", node.name, "in"), hint))
    if router.router == "threshold" and value.datatype not in NUMERIC:
        message = f"`{node.name}` decides by thresholds on `{router.in_}`, which is `{value}`"
        sink.report(Diagnostic(WRONG_DATATYPE, message, draft.spec.at("nodes", node.name, "in")))
    elif router.router == "threshold":
        _check_limits(draft, node, router, value, sink)
    if router.router == "equals":
        _check_equals(draft, node, router, value, sink)


def _is_one_per_row(value: TensorType) -> bool:
    return value.rank == 1 or (value.rank == 2 and value.shape[1] in {1, None})


def _check_own_fields(draft: Draft, node: DraftNode, router: Router, sink: Sink) -> None:
    given = {"in": router.in_, "name": router.name, "key": router.key}
    wanted = _OWN_FIELDS[router.router]
    for field, found in given.items():
        if found is None and field in wanted:
            message = f"`{node.name}` has no `{field}`, by which {_named(router)} decides"
            at = draft.spec.at("nodes", node.name, "router")
            sink.report(Diagnostic(BAD_BRANCH, message, at, _OWN_HINTS[router.router]))
        if found is not None and field not in wanted and not (field == "key" and router.router == "random"):
            message = f"`{node.name}` has `{field}`, which {_named(router)} does not use"
            sink.report(Diagnostic(BAD_BRANCH, message, draft.spec.at("nodes", node.name, field, key=True)))


def _check_conditions(
    draft: Draft, node: DraftNode, router: Router, field: str, value: TensorType | None, sink: Sink
) -> None:
    last = len(router.branches) - 1
    for index, branch in enumerate(router.branches):
        others = [each for each in ("below", "equals", "weight") if each != field]
        wrong = [other for other in others if condition_of(branch, other) is not None]
        for other in wrong:
            message = f"a branch of `{node.name}` has `{other}`, and {_named(router)} decides by `{field}`"
            at = draft.spec.at("nodes", node.name, "branches", index, other, key=True)
            sink.report(Diagnostic(BAD_BRANCH, message, at))
        if not wrong and condition_of(branch, field) is None and (index != last or field == "weight"):
            message = f"a branch of `{node.name}` has no `{field}`"
            hint = None if field == "weight" else "only the last branch may have no condition"
            at = draft.spec.at("nodes", node.name, "branches", index)
            sink.report(Diagnostic(BAD_BRANCH, message, at, hint))
    values = [condition_of(branch, field) for branch in router.branches]
    _check_order(draft, node, field, values, sink)
    # A branch that lacks its condition, or has one that cannot be, is one fault, and not that values are left.
    fits = (
        field != "equals"
        or value is None
        or all(can_hold(value.datatype, each) for each in values if each is not None)
    )
    if fits and all(each is not None for each in values[:-1]):
        _check_otherwise(draft, node, router, values, sink)


def _check_order(draft: Draft, node: DraftNode, field: str, values: Sequence[object], sink: Sink) -> None:
    if field == "weight" and not any(values):
        at = draft.spec.at("nodes", node.name, "branches", key=True)
        sink.report(Diagnostic(BAD_BRANCH, f"the weights of `{node.name}` sum to 0", at))
        return
    for index, value in enumerate(values):
        reason = _why_unreached(field, value, [each for each in values[:index] if each is not None])
        if reason:
            message = f"a branch of `{node.name}` is never taken: {reason}"
            at = draft.spec.at("nodes", node.name, "branches", index, field)
            sink.report(Diagnostic(UNREACHED_BRANCH, message, at))


def _why_unreached(field: str, value: object, before: Sequence[object]) -> str | None:
    if field == "equals" and value is not None and show(value) in map(show, before):
        return f"an earlier one has {show(value)} too"
    if field == "below" and value is not None and any(_number(value) <= _number(each) for each in before):
        return f"an earlier one takes all below {_number(value):g}"
    return "its weight is 0" if field == "weight" and value == 0 else None


def _check_otherwise(
    draft: Draft, node: DraftNode, router: Router, values: Sequence[object], sink: Sink
) -> None:
    if values[-1] is None or router.router == "random" or {"`true`", "`false`"} <= set(map(show, values)):
        return
    left = "any other value"
    if router.router == "threshold":
        greatest = max(_number(value) for value in values if value is not None)
        left = f"a value of {greatest:g} and above, nor for NaN"
    message = f"`{node.name}` has no branch for {left}"
    hint = "let the last branch have no condition; as it is, such a request is refused"
    at = draft.spec.at("nodes", node.name, "branches", key=True)
    sink.report(Diagnostic(NO_OTHERWISE, message, at, hint))


def _number(value: object) -> float:
    return cast("float", value)


def _check_limits(draft: Draft, node: DraftNode, router: Router, value: TensorType, sink: Sink) -> None:
    """Report limits that no value of the tensor's datatype is below, and branches that come after every value."""
    least, greatest = value_range(value.datatype)
    taken: str | None = None
    for index, branch in enumerate(router.branches):
        limit = None if branch.below is None else _number(branch.below)
        reason = f"an earlier one takes every {value.datatype}, as {taken}" if taken else None
        if limit is not None and limit <= least and value.datatype in INTEGERS:
            reason = f"no {value.datatype} is below {show(branch.below)}"
        elif limit is not None and limit < least:
            reason = f"no number of {value.datatype} is below {show(branch.below)}"
        before = [_number(each.below) for each in router.branches[:index] if each.below is not None]
        if limit is not None and any(limit <= each for each in before):
            continue  # that it comes after those is reported already
        if reason:
            field = ("below",) if branch.below is not None else ()
            message = f"a branch of `{node.name}` is never taken: {reason}"
            at = draft.spec.at("nodes", node.name, "branches", index, *field)
            sink.report(Diagnostic(UNREACHED_BRANCH, message, at))
        elif limit is not None and limit > greatest and value.datatype in INTEGERS:
            taken = f"all are below {show(branch.below)}"


def _check_equals(draft: Draft, node: DraftNode, router: Router, value: TensorType, sink: Sink) -> None:
    for index, branch in enumerate(router.branches):
        if branch.equals is not None and not can_hold(value.datatype, branch.equals):
            shown = show(branch.equals)
            message = f"a branch of `{node.name}` compares {shown} with `{router.in_}`, which is `{value}`"
            at = draft.spec.at("nodes", node.name, "branches", index, "equals")
            sink.report(Diagnostic(WRONG_DATATYPE, message, at))
