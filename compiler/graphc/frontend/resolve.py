"""Resolves references to tensors: `input`, `node` or `node.tensor`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field

from graphc.artefacts.model import Skipped
from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.artefacts import UNSUPPORTED_TENSOR
from graphc.diagnostics.codes.flow import AMBIGUOUS, BAD_FALLBACK, UNKNOWN_NODE, UNKNOWN_TENSOR
from graphc.diagnostics.suggest import nearest
from graphc.frontend.draft import Draft, DraftNode
from graphc.ir.graph import Use
from graphc.records import record
from graphc.spec.model import Working


@record
class Resolved:
    """The uses of each node in the order of its draft, and of the graph's outputs; unresolved ones left out.

    `fallbacks` are the tensors that stand for a node's outputs where it fails, by their ports; `read` are all tensors
    that anything reads.
    """

    uses: Mapping[str, tuple[Use, ...]]
    outputs: tuple[Use, ...]
    fallbacks: Mapping[str, tuple[Use, ...]] = field(default_factory=dict[str, tuple[Use, ...]])
    read: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        every = [self.outputs, *self.uses.values(), *self.fallbacks.values()]
        # Asked for by every node: found once.
        object.__setattr__(self, "read", frozenset(use.tensor for uses in every for use in uses))

    def reads(self, inputs: Iterable[str]) -> dict[str, set[str]]:
        """For each node, the nodes that it reads."""
        known = set(inputs)
        return {
            name: {
                _owner(use.tensor)
                for use in (*uses, *self.fallbacks.get(name, ()))
                if use.tensor not in known
            }
            for name, uses in self.uses.items()
        }

    def every(self, name: str) -> list[Use]:
        """Return all uses of a node, those of its fallback among them."""
        return [*self.uses[name], *self.fallbacks.get(name, ())]


def _owner(tensor: str) -> str:
    return tensor.partition(".")[0]


def resolve_references(draft: Draft, sink: Sink) -> Resolved:
    """Resolve every reference of the graph, reporting those that name nothing or too much."""
    scope = _Scope(draft, sink)
    uses = {
        name: tuple(
            Use(use.port, tensor, use.at)
            for use in node.uses
            if (tensor := scope.find(use.reference, use.at, f"`{name}` reads"))
        )
        for name, node in draft.nodes.items()
    }
    fields = draft.spec.fields
    outputs = [
        Use(name, tensor, draft.spec.at("outputs", name))
        for name, reference in fields.outputs.items()
        if (tensor := scope.find(reference, draft.spec.at("outputs", name), f"output `{name}` is"))
    ]
    return Resolved(uses, tuple(outputs), _resolve_fallbacks(draft, uses, outputs, sink))


def _resolve_fallbacks(
    draft: Draft, uses: Mapping[str, Sequence[Use]], outputs: Iterable[Use], sink: Sink
) -> dict[str, tuple[Use, ...]]:
    """Find the tensors that stand for those of a node that are read; a fallback may have one in its turn."""
    others = {name: other for name in draft.nodes if (other := _find_fallback(draft, name, sink))}
    read = {use.tensor for use in outputs} | {use.tensor for each in uses.values() for use in each}
    pending = list(others)
    while pending:
        name = pending.pop(0)
        ports = [port for port in draft.nodes[name].outputs or () if f"{name}.{port}" in read]
        new = {f"{others[name]}.{port}" for port in ports} - read
        read |= new
        pending += [others[name]] if new and others[name] in others and others[name] != name else []
    return {name: _fallback_uses(draft, name, other, read, sink) for name, other in others.items()}


def _find_fallback(draft: Draft, name: str, sink: Sink) -> str | None:
    spec = draft.nodes[name].spec
    other = spec.on_error.node if isinstance(spec, Working) else None
    if other is None or other in draft.spec.broken:
        return None
    reason = "is itself" if other == name else "is not a node" if other not in draft.nodes else None
    if reason is None:
        return other
    close = nearest(other, [each for each in draft.nodes if each != name])
    hint = f"did you mean `{close}`?" if close and other != name else None
    message = f"the fallback of `{name}` is `{other}`, which {reason}"
    sink.report(Diagnostic(BAD_FALLBACK, message, draft.spec.at("nodes", name, "on_error", "node"), hint))
    return None


def _fallback_uses(draft: Draft, name: str, other: str, read: set[str], sink: Sink) -> tuple[Use, ...]:
    at = draft.spec.at("nodes", name, "on_error", "node")
    has = draft.nodes[other].outputs
    found: list[Use] = []
    for port in draft.nodes[name].outputs or ():
        if f"{name}.{port}" not in read or has is None:
            continue
        if port in has:
            found.append(Use(port, f"{other}.{port}", at))
        else:
            message = f"the fallback of `{name}` is `{other}`, which has no tensor `{port}`"
            sink.report(Diagnostic(BAD_FALLBACK, message, at))
    return tuple(found)


@record
class _Scope:
    draft: Draft
    sink: Sink

    def find(self, reference: str, at: Span, reader: str) -> str | None:
        if self._is_misnamed(reference):
            return None
        owner, dot, port = reference.partition(".")
        if owner in self.draft.spec.fields.inputs:
            return self._find_input(owner, port, at, reader)
        node = self.draft.nodes.get(owner)
        if owner in self.draft.spec.broken:
            return None
        if node is None:
            return self._report_unknown(reference, owner, port, at, reader)
        if not dot:
            return self._find_only(owner, node, at, reader)
        if node.outputs is None or port in node.outputs:
            return reference
        skipped = node.signature.find_output(port) if node.signature else None
        if isinstance(skipped, Skipped):
            self._report_skipped(reference, skipped, at, reader)
        else:
            self._report_tensor(reference, owner, port, node.outputs, at, reader)
        return None

    def _is_misnamed(self, reference: str) -> bool:
        """Say whether a reference is to what has a dot in its name, which is that name's fault."""
        names = (*self.draft.spec.fields.inputs, *self.draft.nodes) if "." in reference else ()
        return any("." in name and f"{reference}.".startswith(f"{name}.") for name in names)

    def _report_skipped(self, reference: str, skipped: Skipped, at: Span, reader: str) -> None:
        message = f"{reader} `{reference}`, which no V2 message can carry: {skipped.reason}"
        self.sink.report(Diagnostic(UNSUPPORTED_TENSOR, message, at, skipped.cure or None))

    def _find_input(self, owner: str, port: str, at: Span, reader: str) -> str | None:
        if not port:
            return owner
        message = f"{reader} `{owner}.{port}`, and `{owner}` is a graph input, one tensor"
        self.sink.report(Diagnostic(UNKNOWN_TENSOR, message, at, f"write `{owner}`"))
        return None

    def _find_only(self, owner: str, node: DraftNode, at: Span, reader: str) -> str | None:
        outputs = node.outputs
        if outputs is None:
            return None
        skipped = node.signature.skipped if node.signature else ()
        if not outputs and len(skipped) == 1:
            # What is written is right but for what the model gives.
            self._report_skipped(f"{owner}.{skipped[0].name}", skipped[0], at, reader)
            return None
        if len(outputs) == 1:
            return f"{owner}.{outputs[0]}"
        listed = ", ".join(f"`{owner}.{port}`" for port in outputs)
        message = f"{reader} `{owner}`, which has {len(outputs)} tensors"
        self.sink.report(Diagnostic(AMBIGUOUS, message, at, f"write one of {listed}" if outputs else None))
        return None

    def _report_unknown(self, reference: str, owner: str, port: str, at: Span, reader: str) -> None:
        names = [*self.draft.spec.fields.inputs, *self.draft.nodes]
        close = nearest(owner, names)
        hint = f"did you mean `{close}{'.' if port else ''}{port}`?" if close else None
        message = f"{reader} `{reference}`, which is not a node"
        if port:
            message = f"{reader} `{reference}`, and `{owner}` is not a node"
        self.sink.report(Diagnostic(UNKNOWN_NODE, message, at, hint))

    def _report_tensor(
        self, reference: str, owner: str, port: str, outputs: tuple[str, ...], at: Span, reader: str
    ) -> None:
        close = nearest(port, outputs)
        listed = ", ".join(f"`{owner}.{each}`" for each in outputs)
        hint = f"did you mean `{owner}.{close}`?" if close else f"it has {listed}"
        message = f"{reader} `{reference}`, and `{owner}` has no tensor `{port}`"
        self.sink.report(Diagnostic(UNKNOWN_TENSOR, message, at, hint))
