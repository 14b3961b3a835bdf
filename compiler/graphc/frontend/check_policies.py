"""Checks what nodes say of their failing: retries, quorums, and what stands for their outputs."""

from collections.abc import Iterable
from typing import cast

from graphc_components.component import Component as CatalogEntry
from graphc_components.component import Role, SignatureError
from graphc_components.tensors import TensorType

from graphc.diagnostics import Diagnostic, Rule, Sink
from graphc.diagnostics.codes.flow import (
    BAD_DEFAULT,
    BAD_FALLBACK,
    BAD_QUORUM,
    NOT_IDEMPOTENT,
    SKIPPED_NEEDED,
)
from graphc.frontend.draft import Draft, DraftNode
from graphc.frontend.infer import Inferred
from graphc.frontend.policies import make_default, read_outputs
from graphc.frontend.resolve import Resolved
from graphc.frontend.shapes import agree
from graphc.spec.fields import Component, Python, Working


def check_policies(draft: Draft, resolved: Resolved, inferred: Inferred, sink: Sink) -> None:
    """Report policies that cannot be kept, or that would change what the graph answers with."""
    for node in draft.nodes.values():
        _Checking(draft, resolved, inferred, sink, node).run()


class _Checking:
    """The check of one node."""

    def __init__(
        self, draft: Draft, resolved: Resolved, inferred: Inferred, sink: Sink, node: DraftNode
    ) -> None:
        self.draft, self.resolved, self.inferred, self.sink, self.node = draft, resolved, inferred, sink, node
        self.name = node.name

    def run(self) -> None:
        spec = self.node.spec
        if not isinstance(spec, Working):
            return
        if isinstance(spec, Python) and spec.retries and not spec.idempotent:
            message = f"`{self.name}` is retried, and nothing says that running it twice does no harm"
            self._report(NOT_IDEMPOTENT, message, "retries", hint="if so, add `idempotent: true`")
        if isinstance(spec, Component):
            self._check_quorum(spec)
        if spec.on_error.skip:
            self._check_skip()
        if spec.on_error.default is not None:
            self._check_defaults(spec.on_error.default)
        self._check_fallback()

    def _report(self, rule: Rule, message: str, *path: str, hint: str | None = None) -> None:
        self.sink.report(Diagnostic(rule, message, self.draft.spec.at("nodes", self.name, *path), hint))

    # Quorums

    def _check_quorum(self, spec: Component) -> None:
        if spec.quorum is None:
            if spec.wait == "quorum":
                message = f"`{self.name}` waits for a quorum, and has none"
                self._report(BAD_QUORUM, message, "wait", hint="say how many are enough, as in `quorum: 2`")
            return
        entry = self.node.component
        if entry is None:
            return  # reported already
        reason = self._why_no_quorum(entry, spec.quorum)
        if reason:
            self._report(BAD_QUORUM, f"`{self.name}` has a quorum of {spec.quorum}, and {reason}", "quorum")

    def _why_no_quorum(self, entry: CatalogEntry, quorum: int) -> str | None:
        if entry.role is not Role.COMBINER or entry.inputs is not None:
            return f"`{entry.name}` is not a combiner of any number of tensors"
        count = len(self.node.uses)
        if quorum > count:
            return f"is fed {count} tensor{'s' * (count != 1)}"
        types = [self.inferred.types.get(use.tensor) for use in self.inferred.uses[self.name]]
        known = [type_ for type_ in types if type_ is not None]
        if len(known) < count or self.name not in self.inferred.parameters:
            return None  # reported already
        if len({type_.datatype for type_ in known}) > 1:
            return "its tensors have several datatypes, so its answer would change with those that are there"
        return self._why_changed(entry, known, quorum)

    def _why_changed(self, entry: CatalogEntry, types: list[TensorType], quorum: int) -> str | None:
        """Say why fewer tensors of one datatype do not give what all give."""
        parameters = self.inferred.parameters[self.name]
        try:
            whole = entry.signature(tuple(types), parameters)
        except SignatureError:
            return None  # reported already
        for count in range(quorum, len(types)):
            try:
                fewer = entry.signature(tuple(types[:count]), parameters)
            except SignatureError as error:
                return f"with {count} of {len(types)} tensors `{entry.name}` {error.message}"
            for port, type_ in whole.items():
                if not _is_same(type_, fewer[port]):
                    return f"with {count} of {len(types)} tensors it answers `{fewer[port]}`, not `{type_}`"
        return None

    # What stands for the outputs

    def _check_skip(self) -> None:
        for reader, what in self._readers():
            spec = self.draft.nodes[reader].spec if reader in self.draft.nodes else None
            if not (isinstance(spec, Component) and spec.quorum is not None and what == "reads"):
                message = f"`{self.name}` may be skipped, and {_worded(reader, what)}"
                hint = f"give `{reader}` a `quorum`, or `{self.name}` a default"
                self._report(SKIPPED_NEEDED, message, "on_error", hint=hint if what == "reads" else None)

    def _readers(self) -> Iterable[tuple[str, str]]:
        for name in sorted(self.resolved.uses):
            if any(_owner(use.tensor) == self.name for use in self.resolved.uses[name]):
                yield name, "reads"
            if any(_owner(use.tensor) == self.name for use in self.resolved.fallbacks.get(name, ())):
                yield name, "falls back"
        for use in self.resolved.outputs:
            if _owner(use.tensor) == self.name and use.tensor not in self.draft.spec.fields.inputs:
                yield use.port, "output"

    def _check_defaults(self, given: object) -> None:
        outputs = read_outputs(self.node, self.resolved, self.inferred)
        for port, type_ in outputs.items():
            reason = make_default(self.draft, self.node, port, type_, self.inferred)
            if isinstance(reason, str):
                message = f"`{self.name}` has a default, and `{self.name}.{port}` {reason}"
                self._report(BAD_DEFAULT, message, "on_error", "default")
        if isinstance(given, dict) and self.node.outputs is not None:
            for port in sorted(cast("dict[str, object]", given).keys() - set(self.node.outputs)):
                message = f"`{self.name}` has a default for `{port}`, which it does not answer with"
                self._report(BAD_DEFAULT, message, "on_error", "default", port)

    def _check_fallback(self) -> None:
        types = self.inferred.types
        for use in self.resolved.fallbacks.get(self.name, ()):
            own, other = types.get(f"{self.name}.{use.port}"), types.get(use.tensor)
            if own and other and not _is_same(own, other):
                message = (
                    f"the fallback of `{self.name}` has `{use.tensor}`, "
                    f"which is `{other}`, not `{own}` as `{self.name}.{use.port}` is"
                )
                self._report(BAD_FALLBACK, message, "on_error", "node")


def _worded(reader: str, what: str) -> str:
    match what:
        case "output":
            return f"the output `{reader}` needs it"
        case "falls back":
            return f"`{reader}` falls back on it"
        case _:
            return f"`{reader}` needs it"


def _is_same(left: TensorType, right: TensorType) -> bool:
    return left.datatype == right.datatype and agree(left.shape, right.shape)


def _owner(tensor: str) -> str:
    return tensor.partition(".")[0]
