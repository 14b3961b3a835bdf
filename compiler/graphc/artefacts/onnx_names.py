"""Checks that the names in an ONNX graph lead somewhere: onnxruntime loads no graph in which one does not."""

from collections.abc import Iterable, Sequence

from graphc.artefacts.onnx_nodes import Operator
from graphc.artefacts.source import MalformedError
from graphc.diagnostics.printable import quoted


def check_names(operators: Sequence[Operator], known: Iterable[str], outputs: Iterable[str]) -> None:
    """Raise MalformedError where a name is given twice, or nothing gives one that is read; inner graphs are not judged.

    `known` are the names of inputs and initializers.
    """
    given = set(known)
    outer = [each for each in operators if each.depth == 0]
    for each in outer:
        for name in filter(None, each.outputs):
            if name in given:
                raise MalformedError(f"{quoted(name)} is given twice in it")
            given.add(name)
    for each in outer:
        for name in filter(None, each.inputs):
            if name not in given:
                raise MalformedError(
                    f"its operator {quoted(each.name)} reads {quoted(name)}, which nothing gives"
                )
    for name in outputs:
        if name not in given:
            raise MalformedError(f"nothing gives its output {quoted(name)}")
