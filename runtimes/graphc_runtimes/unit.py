"""A unit: a loaded region that turns messages into answers."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import numpy as np
from graphc_components.datatypes import Array, to_numpy

from graphc_runtimes.adapters import load_runner
from graphc_runtimes.arrays import ArrayError, check_type
from graphc_runtimes.choose import Call, check_choice
from graphc_runtimes.deadline import PARAMETER, read_deadline, stamp
from graphc_runtimes.environment import Environment
from graphc_runtimes.errors import RequestError, RunError
from graphc_runtimes.execute import Program, Runner
from graphc_runtimes.messages import FALLBACKS, WANTED, Message, WireTensor, decode, encode
from graphc_runtimes.metrics import NodeBooks
from graphc_runtimes.region import ChoiceNode, DecidingNode, Region, RegionOutput, TensorSpec, parse_region
from graphc_runtimes.shown import show

NO_CHILD: Final = -2
"""The executor's route for: call no child, the message is the answer."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class LoadedUnit:
    """A region whose nodes are loaded."""

    region: Region
    runners: Mapping[str, Runner]
    version: str | None = None
    """The version of the graph that answers to clients bear."""
    _program: Program = field(init=False)
    _dtypes: Mapping[str, np.dtype[np.generic]] = field(init=False)
    _shapes: Mapping[str, Sequence[int | None]] = field(init=False)
    """The shapes of the answers, where rows that a choice parted are fewer than their dimension's name says."""
    _known: frozenset[str] = field(init=False)
    _outputs: frozenset[str] = field(init=False)
    _is_entry: bool = field(init=False)

    def __post_init__(self) -> None:
        """Find out once what every message would ask for."""
        region = self.region
        known = frozenset(spec.name for spec in region.graph.inputs)
        found = {
            "_program": Program(region, self.runners, NodeBooks(region.unit)),
            "_dtypes": {each.name: to_numpy(each.datatype) for each in region.answers},
            "_shapes": {each.name: [_fixed(dim) for dim in each.shape] for each in region.answers},
            "_known": known,
            "_outputs": frozenset(spec.name for spec in region.graph.outputs),
            "_is_entry": all(spec.name in known for spec in region.takes),
        }
        for name, value in found.items():
            object.__setattr__(self, name, value)

    def accept(self, message: Message) -> Message:
        """Return the message with the deadline that its answer carries on; raises RequestError."""
        return stamp(message, self.region.graph.deadline_ms)

    def answer(self, message: Message) -> list[WireTensor]:
        """Run the region and return what it answers; raises RequestError, RunError and DeadlineError."""
        return self.give(message, self._run(message))

    def give(self, message: Message, tensors: Mapping[str, Array]) -> list[WireTensor]:
        """Return what the region answers out of its tensors; raises RunError."""
        answers = ((answer, tensors.get(answer.tensor)) for answer in self._wanted(message))
        # Over gRPC there are no texts between units: what the executor passes on are typed contents.
        is_as_is = message.is_for_arrays and (self._is_last or message.is_call)
        encode = self._pass_on if is_as_is else self._encode
        return [encode(answer, array) for answer, array in answers if not _left_out(answer, array)]

    def carry(self, message: Message) -> dict[str, object]:
        """Return the parameters of the answer; a client does not get those that are for units."""
        if not message.parameters and not message.fallbacks and not message.tags:
            return {}
        own = {WANTED, PARAMETER} if self._is_last else frozenset[str]()
        found = {name: value for name, value in message.carried.items() if name not in own} | message.tags
        if message.fallbacks:
            before = found.get(FALLBACKS)
            told = cast("list[str]", before) if isinstance(before, list) else []
            found[FALLBACKS] = list(dict.fromkeys([*told, *message.fallbacks]))
        return found

    @property
    def _is_last(self) -> bool:
        return self.region.wire == "plain"

    @property
    def told_version(self) -> str | None:
        """The version that an answer bears: those between units bear none."""
        return self.version if self._is_last else None

    def _wanted(self, message: Message) -> Sequence[RegionOutput]:
        wanted = message.wanted if self._is_last else ()
        if not wanted:
            return self.region.answers
        return [each for each in self.region.answers if each.name in wanted]

    def route(self, message: Message) -> int:
        """Run the region and return the child to call, or NO_CHILD; raises as `answer` does."""
        route = self.region.route
        if route is None:
            raise RequestError(f"unit `{self.region.unit}` does not route")
        choice = self._run(message).get(route.choice)
        if choice is None:
            return NO_CHILD
        # Without rows every branch runs, as it does inside a region, so that its tensors are there.
        taken = route.children if not choice.size else {int(branch) for branch in choice.flat}
        called = [child for branch, child in sorted(route.children.items()) if branch in taken]
        return called[0] if called else NO_CHILD

    def _run(self, message: Message) -> Mapping[str, Array]:
        return self.run(*self.read(message))

    def run(self, tensors: Mapping[str, Array], call: Call) -> dict[str, Array]:
        """Run the nodes; raises RequestError, RunError and DeadlineError."""
        return self._program.run(tensors, call)

    def read(self, message: Message) -> tuple[dict[str, Array], Call]:
        """Return the tensors that the region takes, and what else its nodes may look at; raises RequestError."""
        if self._is_entry:
            self._refuse_unknown(message)
        message = self.accept(message)
        tensors = take(self.region, message)
        deadline = read_deadline(message, self.region.graph.deadline_ms)
        return tensors, Call(
            message.parameters, message.headers, deadline, message.id or "", message.fallbacks, message.tags
        )

    def _refuse_unknown(self, message: Message) -> None:
        """Refuse a client's misspelt input; tensors of nodes (`node.tensor`) only pass by."""
        unit = self.region.unit
        for name in message.wanted:
            if name not in self._outputs:
                raise RequestError(f"unit `{unit}`: the graph has no output {show(name)}")
        for name in message.tensors:
            if name not in self._known and not _is_of_a_node(name):
                raise RequestError(f"unit `{unit}`: the graph has no input {show(name)}")

    def _encode(self, answer: RegionOutput, array: Array | None) -> WireTensor:
        try:
            return encode(answer.name, self._check(answer, array), self.region.wire)
        except ArrayError as error:
            raise RunError(f"unit `{self.region.unit}`: tensor `{answer.name}` {error}") from None

    def _pass_on(self, answer: RegionOutput, array: Array | None) -> WireTensor:
        checked = self.checked(answer, array)
        return WireTensor(answer.name, answer.datatype, checked.shape, (), array=checked)

    def checked(self, answer: RegionOutput, array: Array | None) -> Array:
        """Return what the nodes gave for an answer; raises RunError where it is not of the answer's type."""
        try:
            return self._check(answer, array)
        except ArrayError as error:
            raise RunError(f"unit `{self.region.unit}`: tensor `{answer.name}` {error}") from None

    def _check(self, answer: RegionOutput, array: Array | None) -> Array:
        if array is None:
            raise RunError(f"unit `{self.region.unit}`: no branch was taken that gives `{answer.name}`")
        expected = self._shapes[answer.name]
        if array.dtype != self._dtypes[answer.name] or not _has_shape(array.shape, expected):
            check_type(array, answer.datatype, expected)
        return array


def _left_out(answer: RegionOutput, array: Array | None) -> bool:
    return array is None and answer.optional


def take(region: Region, message: Message) -> dict[str, Array]:
    """Return the tensors that a region takes out of a message; raises RequestError."""
    sizes: dict[str, int] = {}
    tensors: dict[str, Array] = {}
    for spec in region.takes:
        tensor = message.tensors.get(spec.name)
        if tensor is not None:
            tensors[spec.name] = _take(region, spec, tensor, sizes)
        elif not spec.optional:
            raise RequestError(f"unit `{region.unit}`: the request has no tensor `{spec.name}`")
    return tensors


def _take(region: Region, spec: TensorSpec, tensor: WireTensor, sizes: dict[str, int]) -> Array:
    try:
        if tensor.datatype != spec.datatype:
            raise ArrayError(f"is {tensor.datatype}, not {spec.datatype}")
        array = decode(tensor)
        check_type(array, spec.datatype, spec.shape, sizes)
    except ArrayError as error:
        raise RequestError(f"unit `{region.unit}`: tensor `{spec.name}` {error}") from None
    return array


def _has_shape(actual: Sequence[int], expected: Sequence[int | None]) -> bool:
    if len(actual) != len(expected):
        return False
    for size, wanted in zip(actual, expected, strict=True):  # noqa: SIM110 - faster than all()
        if wanted is not None and wanted != size:
            return False
    return True


def _fixed(dim: int | str | None) -> int | None:
    return None if isinstance(dim, str) else dim


def _is_of_a_node(name: str) -> bool:
    """Say whether a tensor is a node's (`node.tensor`) or a choice's (`node:choice`), which pass by."""
    return "." in name or ":" in name


def named_version(unit: LoadedUnit) -> dict[str, object]:
    """Return the field of an answer that says the version, if it bears one."""
    return {} if unit.told_version is None else {"model_version": unit.told_version}


async def load_unit(environment: Environment) -> LoadedUnit:
    """Read the region and load its nodes, one after another; raises RegionError and LoadError."""
    region = parse_region(environment.region)
    runners: dict[str, Runner] = {}
    for node in region.nodes:
        if isinstance(node, ChoiceNode):
            check_choice(node)
        elif not isinstance(node, DecidingNode):
            runners[node.name] = await load_runner(node, environment)
    return LoadedUnit(region, runners, environment.version)


_LOADING: Final[dict[Environment, "asyncio.Task[LoadedUnit]"]] = {}


async def share_unit(environment: Environment) -> LoadedUnit:
    """Return the unit of an environment, loaded once per process, even where it has several names."""
    task = _LOADING.get(environment)
    if task is None:
        task = _LOADING[environment] = asyncio.create_task(load_unit(environment))
    return await task
