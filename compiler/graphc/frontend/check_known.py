"""Checks that the types of all tensors are known that are read."""

from collections.abc import Iterable

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.flow import UNDECLARED_OUTPUT
from graphc.frontend.infer import Inferred
from graphc.frontend.resolve import Resolved


def check_known(resolved: Resolved, inferred: Inferred, kept: Iterable[str], sink: Sink) -> None:
    """Report tensors that are read and whose type nothing tells."""
    read = {use.tensor: use.at for use in resolved.outputs}
    read |= {use.tensor: use.at for name in kept for use in resolved.every(name)}
    for tensor, at in read.items():
        node, _, port = tensor.partition(".")
        # What is made from a tensor of unknown type is not to blame.
        if tensor not in inferred.types and all(use.tensor in inferred.types for use in resolved.uses[node]):
            message = f"the type of `{tensor}` is not known"
            hint = f'declare it in `{node}`, as in `out: {{{port}: "FP32[batch, 3]"}}`'
            sink.report(Diagnostic(UNDECLARED_OUTPUT, message, at, hint))
