"""Resolves references to tensors: `input`, `node` or `node.tensor`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Literal

from graphc.artefacts.signature import Skipped
from graphc.diagnostics import Span
from graphc.frontend.draft import Draft, DraftNode
from graphc.ir.graph import Use
from graphc.records import record
from graphc.spec.fields import Working

Why = Literal["input", "node", "several", "tensor", "skipped"]
"""An input has no tensors of its own; no node is so called; which of several; no tensor; none that travels."""


@record
class Unresolved:
    """A reference that names nothing or too much, and who reads it, in words that begin a sentence."""

    reference: str
    at: Span
    reader: str
    why: Why
    skipped: Skipped | None = None
    """The tensor that no message can carry."""


@record
class LostFallback:
    """A fallback that is no other node of the graph, or one that lacks a tensor."""

    node: str
    other: str
    port: str | None = None


@record
class Resolved:
    """The uses of each node in the order of its draft, and of the graph's outputs; unresolved ones left out.

    `fallbacks` are the tensors that stand for a node's outputs where it fails, by their ports; `read` are all tensors
    that anything reads.
    """

    uses: Mapping[str, tuple[Use, ...]]
    outputs: tuple[Use, ...]
    fallbacks: Mapping[str, tuple[Use, ...]] = field(default_factory=dict[str, tuple[Use, ...]])
    lost: tuple[Unresolved | LostFallback, ...] = ()
    """What was left out, but for what something that could not be read is to blame for."""
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


def resolve_references(draft: Draft) -> Resolved:
    """Resolve every reference of the graph; those that name nothing or too much are told in what is returned."""
    scope = _Scope(draft, [])
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
    fallbacks = _resolve_fallbacks(scope, uses, outputs)
    return Resolved(uses, tuple(outputs), fallbacks, tuple(scope.lost))


def _resolve_fallbacks(
    scope: "_Scope", uses: Mapping[str, Sequence[Use]], outputs: Iterable[Use]
) -> dict[str, tuple[Use, ...]]:
    """Find the tensors that stand for those of a node that are read; a fallback may have one in its turn."""
    nodes = scope.draft.nodes
    others = {name: other for name in nodes if (other := scope.find_fallback(name))}
    read = {use.tensor for use in outputs} | {use.tensor for each in uses.values() for use in each}
    pending = list(others)
    while pending:
        name = pending.pop(0)
        ports = [port for port in nodes[name].outputs or () if f"{name}.{port}" in read]
        new = {f"{others[name]}.{port}" for port in ports} - read
        read |= new
        pending += [others[name]] if new and others[name] in others and others[name] != name else []
    return {name: scope.list_fallback(name, other, read) for name, other in others.items()}


@record
class _Scope:
    """What references may name; `lost` gathers those that name nothing."""

    draft: Draft
    lost: list[Unresolved | LostFallback]

    def find(self, reference: str, at: Span, reader: str) -> str | None:
        """Return the tensor that a reference means."""
        owner, dot, port = reference.partition(".")
        if self._is_misnamed(reference):
            return None
        if owner in self.draft.spec.fields.inputs:
            return self._lose(reference, at, reader, "input") if port else owner
        if owner in self.draft.spec.broken:
            return None
        node = self.draft.nodes.get(owner)
        if node is None:
            return self._lose(reference, at, reader, "node")
        if not dot:
            return self._find_only(owner, node, at, reader)
        if node.outputs is None or port in node.outputs:
            return reference
        skipped = node.signature.find_output(port) if node.signature else None
        if isinstance(skipped, Skipped):
            return self._lose(reference, at, reader, "skipped", skipped)
        return self._lose(reference, at, reader, "tensor")

    def _is_misnamed(self, reference: str) -> bool:
        """Say whether a reference is to what has a dot in its name, which is that name's fault."""
        names = (*self.draft.spec.fields.inputs, *self.draft.nodes) if "." in reference else ()
        return any("." in name and f"{reference}.".startswith(f"{name}.") for name in names)

    def _find_only(self, owner: str, node: DraftNode, at: Span, reader: str) -> str | None:
        outputs = node.outputs
        if outputs is None:
            return None
        skipped = node.signature.skipped if node.signature else ()
        if not outputs and len(skipped) == 1:
            # What is written is right but for what the model gives.
            return self._lose(f"{owner}.{skipped[0].name}", at, reader, "skipped", skipped[0])
        return f"{owner}.{outputs[0]}" if len(outputs) == 1 else self._lose(owner, at, reader, "several")

    def _lose(self, reference: str, at: Span, reader: str, why: Why, skipped: Skipped | None = None) -> None:
        self.lost.append(Unresolved(reference, at, reader, why, skipped))

    def find_fallback(self, name: str) -> str | None:
        """Return the node that stands for another where it fails."""
        spec = self.draft.nodes[name].spec
        other = spec.on_error.node if isinstance(spec, Working) else None
        if other is None or other in self.draft.spec.broken:
            return None
        if other != name and other in self.draft.nodes:
            return other
        self.lost.append(LostFallback(name, other))
        return None

    def list_fallback(self, name: str, other: str, read: set[str]) -> tuple[Use, ...]:
        """Return the fallback's tensors for those of the node that are read."""
        at = self.draft.spec.at("nodes", name, "on_error", "node")
        has = self.draft.nodes[other].outputs
        found: list[Use] = []
        for port in self.draft.nodes[name].outputs or ():
            if f"{name}.{port}" not in read or has is None:
                continue
            if port in has:
                found.append(Use(port, f"{other}.{port}", at))
            else:
                self.lost.append(LostFallback(name, other, port))
        return tuple(found)
