"""Checks that references, and fallbacks, name one thing that there is."""

from graphc.artefacts.signature import Skipped
from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.artefacts import UNSUPPORTED_TENSOR
from graphc.diagnostics.codes.flow import AMBIGUOUS, BAD_FALLBACK, UNKNOWN_NODE, UNKNOWN_TENSOR
from graphc.diagnostics.suggest import nearest
from graphc.frontend.draft import Draft
from graphc.frontend.resolve import LostFallback, Resolved, Unresolved


def check_references(draft: Draft, resolved: Resolved, sink: Sink) -> None:
    """Report what could not be resolved."""
    for each in resolved.lost:
        is_fallback = isinstance(each, LostFallback)
        sink.report(_describe_fallback(draft, each) if is_fallback else _describe(draft, each))


def _describe(draft: Draft, lost: Unresolved) -> Diagnostic:
    owner, _, port = lost.reference.partition(".")
    match lost.why:
        case "input":
            message = f"{lost.reader} `{lost.reference}`, and `{owner}` is a graph input, one tensor"
            return Diagnostic(UNKNOWN_TENSOR, message, lost.at, f"write `{owner}`")
        case "node":
            return _describe_node(draft, lost, owner, port)
        case "several":
            return _describe_several(draft, lost, owner)
        case "tensor":
            return _describe_tensor(draft, lost, owner, port)
        case "skipped":
            assert isinstance(lost.skipped, Skipped)
            message = (
                f"{lost.reader} `{lost.reference}`, which no V2 message can carry: {lost.skipped.reason}"
            )
            return Diagnostic(UNSUPPORTED_TENSOR, message, lost.at, lost.skipped.cure or None)


def _describe_node(draft: Draft, lost: Unresolved, owner: str, port: str) -> Diagnostic:
    close = nearest(owner, [*draft.spec.fields.inputs, *draft.nodes])
    hint = f"did you mean `{close}{'.' if port else ''}{port}`?" if close else None
    message = f"{lost.reader} `{lost.reference}`, which is not a node"
    if port:
        message = f"{lost.reader} `{lost.reference}`, and `{owner}` is not a node"
    return Diagnostic(UNKNOWN_NODE, message, lost.at, hint)


def _describe_several(draft: Draft, lost: Unresolved, owner: str) -> Diagnostic:
    outputs = draft.nodes[owner].outputs or ()
    listed = ", ".join(f"`{owner}.{port}`" for port in outputs)
    message = f"{lost.reader} `{owner}`, which has {len(outputs)} tensors"
    return Diagnostic(AMBIGUOUS, message, lost.at, f"write one of {listed}" if outputs else None)


def _describe_tensor(draft: Draft, lost: Unresolved, owner: str, port: str) -> Diagnostic:
    outputs = draft.nodes[owner].outputs or ()
    close = nearest(port, outputs)
    listed = ", ".join(f"`{owner}.{each}`" for each in outputs)
    hint = f"did you mean `{owner}.{close}`?" if close else f"it has {listed}"
    message = f"{lost.reader} `{lost.reference}`, and `{owner}` has no tensor `{port}`"
    return Diagnostic(UNKNOWN_TENSOR, message, lost.at, hint)


def _describe_fallback(draft: Draft, lost: LostFallback) -> Diagnostic:
    name, other = lost.node, lost.other
    at = draft.spec.at("nodes", name, "on_error", "node")
    if lost.port is not None:
        message = f"the fallback of `{name}` is `{other}`, which has no tensor `{lost.port}`"
        return Diagnostic(BAD_FALLBACK, message, at)
    close = nearest(other, [each for each in draft.nodes if each != name])
    hint = f"did you mean `{close}`?" if close and other != name else None
    reason = "is itself" if other == name else "is not a node"
    return Diagnostic(BAD_FALLBACK, f"the fallback of `{name}` is `{other}`, which {reason}", at, hint)
