"""Runs a component of the catalog."""

from collections.abc import Callable, Mapping
from typing import cast

from graphc_components.catalog import CATALOG, check_parameters
from graphc_components.datatypes import Array
from graphc_components.late import settle

from graphc_runtimes.errors import LoadError
from graphc_runtimes.execute import Runner
from graphc_runtimes.region import ComponentNode


def load_component(node: ComponentNode) -> Runner:
    """Return the runner of a component node; raises LoadError."""
    component = CATALOG.get(node.component)
    if component is None:
        raise LoadError(f"there is no component `{node.component}` in this image")
    parameters, problems = check_parameters(component, node.parameters)
    if problems:
        raise LoadError("; ".join(problem.message for problem in problems))
    function = settle(component.function)
    order = _in_order(node)
    outputs = component.output_names(order)

    def run(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        # Under a quorum not all of them are there.
        result = function(*(inputs[name] for name in order if name in inputs), **parameters)
        arrays = cast("tuple[Array, ...]", result if isinstance(result, tuple) else (result,))
        return dict(zip(outputs, arrays, strict=True))

    # Where nothing can be absent, and there is one thing to give, less is to be done each time.
    return run if node.quorum or len(outputs) != 1 else _One(function, parameters, order, outputs[0])


class _One:
    """Runs a component that gives one tensor for tensors that all are there."""

    __slots__ = ("_function", "_order", "_output", "_parameters")

    def __init__(
        self,
        function: Callable[..., Array | tuple[Array, ...]],
        parameters: Mapping[str, object],
        order: list[str],
        output: str,
    ) -> None:
        self._function, self._parameters, self._order, self._output = function, parameters, order, output

    def give(self, inputs: Mapping[str, Array], /) -> Array:
        """Run once."""
        result = self._function(*[inputs[name] for name in self._order], **self._parameters)
        # What gives as many tensors as it takes gives a tuple of one for one.
        return result[0] if isinstance(result, tuple) else result

    def __call__(self, inputs: Mapping[str, Array], /) -> Mapping[str, Array]:
        """Run once; the output by its name."""
        return {self._output: self.give(inputs)}


def _in_order(node: ComponentNode) -> list[str]:
    # JSON that was sorted on the way has "10" before "2".
    names = list(node.inputs)
    return sorted(names, key=int) if all(name.isdigit() for name in names) else names
