"""What a node has to answer with: looked at before anybody reads it, so that a node's fault is told as that node's.

A node that is given no row is not run at all where all that it gives has its rows: the answer is empty.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import numpy as np
from graphc_components.datatypes import Array, to_numpy
from graphc_components.tensors import Dim

from graphc_runtimes.arrays import ArrayError, check_type
from graphc_runtimes.region import ComponentNode, Declared, PythonNode, RunnableNode, ServerNode

_MOST_KNOWN: Final = 64
"""The shapes of as many inputs are remembered."""

Arrays = Mapping[str, Array]
Run = Callable[[Arrays], Arrays]


class Counts(Protocol):
    """Counts what becomes of a node's tries."""

    def note(self, seconds: float, /) -> None:
        """Count a try, and how long it took."""
        ...

    def note_all(self, durations: Sequence[float], untimed: int, /) -> None:
        """Count tries: how long each took, and how many more there were."""
        ...

    def fail(self) -> None:
        """Count a try that failed."""
        ...

    def retry(self) -> None:
        """Count a try that follows one that failed."""
        ...

    def time_out(self) -> None:
        """Count a try that was given up."""
        ...

    def stand_in(self) -> None:
        """Count a request for which the node's policy stood in."""
        ...


class Books(Protocol):
    """Where the tries of a unit's nodes are counted."""

    def open(self, node: str, /) -> Counts:
        """Return what counts the tries of a node."""
        ...

    def ask(self, publish: Callable[[], None], /) -> None:
        """Have a method called before anybody looks, which tells what its owner still keeps to itself."""
        ...


class NoCounts:
    """Counts nothing."""

    def note(self, seconds: float, /) -> None:
        """Count nothing."""

    def note_all(self, durations: Sequence[float], untimed: int, /) -> None:
        """Count nothing."""

    def fail(self) -> None:
        """Count nothing."""

    def retry(self) -> None:
        """Count nothing."""

    def time_out(self) -> None:
        """Count nothing."""

    def stand_in(self) -> None:
        """Count nothing."""


class NoBooks:
    """Counts nothing."""

    def open(self, node: str, /) -> Counts:  # noqa: ARG002
        """Return what counts nothing."""
        return NoCounts()

    def ask(self, publish: Callable[[], None], /) -> None:
        """Ignore the question."""


class Contract:
    """What a node declares of its outputs, and where the sizes of named dimensions are found among its inputs."""

    def __init__(self, node: RunnableNode) -> None:
        given, self._bound = _read(node)
        self._declared = {name: given[name] for name in node.outputs if name in given}
        self.dtypes: Final = {name: to_numpy(each.datatype) for name, each in self._declared.items()}
        """The element types of the outputs that are looked at."""
        self.rows = self._find_rows(node)
        """The input whose rows all outputs have; None where the node is always asked."""
        self.known: Final = dict[object, object]()
        """The outputs' shapes that were last found sound for the inputs' shapes; of one input or output, its shape."""

    def __bool__(self) -> bool:
        """Say whether there is anything to look at."""
        return bool(self._declared)

    def _find_rows(self, node: RunnableNode) -> str | None:
        shapes = [each.shape for each in self._declared.values()]
        firsts = {shape[0] if shape else None for shape in shapes}
        first = firsts.pop() if len(firsts) == 1 and len(shapes) == len(node.outputs) else None
        bound = self._bound.get(first) if isinstance(first, str) else None
        if bound is None or bound[1] != 0:
            return None
        # A model here is not the user's own code: what it would give without rows it may say itself.
        is_known = isinstance(node, PythonNode | ServerNode) or all(map(self._is_known, shapes))
        return bound[0] if is_known else None

    def _is_known(self, shape: tuple[Dim, ...]) -> bool:
        return all(isinstance(dim, int) or dim in self._bound for dim in shape)

    def blank(self, inputs: Arrays) -> Arrays:
        """Return the outputs for inputs without rows; an unknown dimension is 0."""
        sizes = self._sizes(inputs)
        return {
            name: np.zeros([self._size(dim, sizes) for dim in each.shape], self.dtypes[name])
            for name, each in self._declared.items()
        }

    def _size(self, dim: Dim, sizes: Mapping[str, int]) -> int:
        return dim if isinstance(dim, int) else sizes.get(dim or "", 0)

    def _sizes(self, inputs: Arrays) -> dict[str, int]:
        return {
            dim: inputs[name].shape[axis]
            for dim, (name, axis) in self._bound.items()
            if name in inputs and axis < inputs[name].ndim
        }

    def check(self, inputs: Arrays, results: Arrays, given: object, found: object) -> None:
        """Raise ArrayError where an output is not as declared; else remember the shapes of inputs and outputs."""
        sizes = self._sizes(inputs)
        for name, each in self._declared.items():
            array = results.get(name)
            if array is None:
                raise ArrayError(f"gave no output `{name}`")
            try:
                check_type(array, each.datatype, each.shape, sizes)
            except ArrayError as error:
                raise ArrayError(f"gave an output `{name}` that {error}, as declared") from None
        if len(self.known) >= _MOST_KNOWN:
            self.known.clear()
        self.known[given] = found

    def check_all(self, inputs: Arrays, results: Arrays) -> None:
        """Raise ArrayError where an output is not as declared; shapes that were found sound are known by then."""
        try:
            is_sound = all(results[name].dtype is dtype for name, dtype in self.dtypes.items())
            given = tuple([each.shape for each in inputs.values()])
            shapes = tuple([results[name].shape for name in self.dtypes])
        except KeyError as error:
            raise ArrayError(f"gave no output `{error.args[0]}`") from None
        if not is_sound or self.known.get(given) != shapes:
            self.check(inputs, results, given, shapes)

    def lacks_rows(self, inputs: Arrays) -> bool:
        """Say whether a node need not run, as it is given no row and gives as many."""
        return self.rows is not None and not len(inputs[self.rows])


def _read(node: RunnableNode) -> tuple[Mapping[str, Declared], Mapping[str, tuple[str, int]]]:
    # Components are graphc's own, and what they read has been looked at.
    return ({}, {}) if isinstance(node, ComponentNode) else (node.declares, node.dims)


def hold(contract: Contract, run: Run, note: Callable[[float], None]) -> Run:
    """Return what runs a node and raises ArrayError where its answer is not as declared; each run is counted."""

    def checked(inputs: Arrays) -> Arrays:
        if contract.lacks_rows(inputs):
            return contract.blank(inputs)
        start = time.perf_counter()
        try:
            results = run(inputs)
        finally:
            note(time.perf_counter() - start)
        if contract:
            contract.check_all(inputs, results)
        return results

    return checked
