"""A unit: a loaded region that turns messages into answers."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from graphc_components.datatypes import Array

from graphc_runtimes.adapters import load_runner
from graphc_runtimes.arrays import ArrayError, check_type
from graphc_runtimes.choose import Call, check_choice
from graphc_runtimes.deadline import PARAMETER, read_deadline, stamp
from graphc_runtimes.environment import Environment
from graphc_runtimes.errors import RequestError, RunError
from graphc_runtimes.execute import Runner, execute
from graphc_runtimes.messages import WANTED, Message, WireTensor, decode, encode
from graphc_runtimes.region import Answer, ChoiceNode, MergeNode, Region, TensorSpec, parse_region

NO_CHILD: Final = -2
"""The executor's route for: call no child, the message is the answer."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Unit:
    """A region whose nodes are loaded."""

    region: Region
    runners: Mapping[str, Runner]

    def accept(self, message: Message) -> Message:
        """Return the message with the deadline that its answer carries on; raises RequestError."""
        return stamp(message, self.region.graph.deadline_ms)

    def answer(self, message: Message) -> list[WireTensor]:
        """Run the region and return what it answers; raises RequestError, RunError and DeadlineError."""
        return self.give(message, self._run(message))

    def give(self, message: Message, tensors: Mapping[str, Array]) -> list[WireTensor]:
        """Return what the region answers out of its tensors; raises RunError."""
        answers = ((answer, tensors.get(answer.tensor)) for answer in self._wanted(message))
        return [self._encode(answer, array) for answer, array in answers if not _left_out(answer, array)]

    def carry(self, message: Message) -> dict[str, object]:
        """Return the parameters of the answer; a client does not get those that are for units."""
        carried = message.carried
        own = {WANTED, PARAMETER}
        return {name: carried[name] for name in carried if name not in own} if self._is_last else carried

    @property
    def _is_last(self) -> bool:
        return self.region.wire == "plain"

    def _wanted(self, message: Message) -> Sequence[Answer]:
        wanted = message.wanted if self._is_last else ()
        return [each for each in self.region.answers if not wanted or each.name in wanted]

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
        return execute(self.region, self.runners, *self.read(message))

    def read(self, message: Message) -> tuple[dict[str, Array], Call]:
        """Return the tensors that the region takes, and what else its nodes may look at; raises RequestError."""
        _refuse_unknown(self.region, message)
        message = self.accept(message)
        tensors = take(self.region, message)
        deadline = read_deadline(message, self.region.graph.deadline_ms)
        return tensors, Call(message.parameters, message.headers, deadline)

    def _encode(self, answer: Answer, array: Array | None) -> WireTensor:
        if array is None:
            raise RunError(f"unit `{self.region.unit}`: no branch was taken that gives `{answer.name}`")
        try:
            # Rows that a choice parted are fewer than the name of their dimension says.
            check_type(
                array, answer.datatype, [None if isinstance(dim, str) else dim for dim in answer.shape]
            )
            return encode(answer.name, array, self.region.wire)
        except ArrayError as error:
            raise RunError(f"unit `{self.region.unit}`: tensor `{answer.name}` {error}") from None


def _left_out(answer: Answer, array: Array | None) -> bool:
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


def _refuse_unknown(region: Region, message: Message) -> None:
    """Refuse a client's misspelt input; tensors of nodes (`node.tensor`) only pass by."""
    known = {spec.name for spec in region.graph.inputs}
    if not all(spec.name in known for spec in region.takes):
        return
    outputs = {spec.name for spec in region.graph.outputs}
    for name in message.wanted:
        if name not in outputs:
            raise RequestError(f"unit `{region.unit}`: the graph has no output `{name}`")
    for name in message.tensors:
        if name not in known and not _is_of_a_node(name):
            raise RequestError(f"unit `{region.unit}`: the graph has no input `{name}`")


def _is_of_a_node(name: str) -> bool:
    """Say whether a tensor is a node's (`node.tensor`) or a choice's (`node:choice`), which pass by."""
    return "." in name or ":" in name


async def load_unit(environment: Environment) -> Unit:
    """Read the region and load its nodes, one after another; raises RegionError and LoadError."""
    region = parse_region(environment.region)
    runners: dict[str, Runner] = {}
    for node in region.nodes:
        if isinstance(node, ChoiceNode):
            check_choice(node)
        elif not isinstance(node, MergeNode):
            runners[node.name] = await load_runner(node, environment)
    return Unit(region, runners)


_LOADING: Final[dict[Environment, "asyncio.Task[Unit]"]] = {}


async def share_unit(environment: Environment) -> Unit:
    """Return the unit of an environment, loaded once per process whatever the number of names it has."""
    task = _LOADING.get(environment)
    if task is None:
        task = _LOADING[environment] = asyncio.create_task(load_unit(environment))
    return await task
