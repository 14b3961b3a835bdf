"""A unit that answers in parts: all nodes but the last run as ever, and what that one gives is given on as it comes."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, Protocol, runtime_checkable

from graphc_components.datatypes import Array

from graphc_runtimes.attempt import stand_in
from graphc_runtimes.choose import Call
from graphc_runtimes.contracts import Contract
from graphc_runtimes.deadline import Deadline, Limit
from graphc_runtimes.errors import DeadlineError, RunError
from graphc_runtimes.execute import Program, Runner, tell_failure
from graphc_runtimes.messages import Message, WireTensor
from graphc_runtimes.metrics import NodeBooks
from graphc_runtimes.region import RegionOutput, ServerNode
from graphc_runtimes.servers.streamed_http import Stop
from graphc_runtimes.unit import LoadedUnit


@runtime_checkable
class StreamRunner(Runner, Protocol):
    """A loaded node that can give its answer in parts."""

    def stream(
        self, inputs: Mapping[str, Array], stop: Stop, deadline: Limit | None = None
    ) -> Iterator[Mapping[str, Array]]:
        """Yield the parts, at least one, each as it has come; `stop` ends the wait for the next."""
        ...


def find_stream(unit: LoadedUnit) -> "Stream | None":
    """Return how a unit answers in parts: its last node does, and all that it answers is that node's."""
    region = unit.region
    node = region.nodes[-1] if region.nodes else None
    if not isinstance(node, ServerNode) or node.when or any(read.gather for read in node.inputs.values()):
        return None
    runner = unit.runners.get(node.name)
    given = set(node.outputs.values())
    is_last = region.wire == "plain" and all(answer.tensor in given for answer in region.answers)
    return Stream(unit, node, runner) if is_last and isinstance(runner, StreamRunner) else None


class Stream:
    """Answers messages in parts."""

    def __init__(self, unit: LoadedUnit, node: ServerNode, runner: StreamRunner) -> None:
        self.unit: Final = unit
        self._node, self._runner, self._contract = node, runner, Contract(node)
        books, region = NodeBooks(unit.region.unit), unit.region
        self._counts = books.open(node.name)
        reads = [
            RegionOutput(read.tensor, read.tensor, "BYTES", (None,), optional=True)
            for read in node.inputs.values()
        ]
        before = replace(region, nodes=region.nodes[:-1], answers=tuple(reads), batch=None)
        self._before = Program(before, unit.runners, books)

    def answer(self, message: Message, stop: Stop) -> Iterator[list[WireTensor]]:
        """Yield what the unit answers part by part; raises as a unit's `answer` does, with any part."""
        tensors, call = self.unit.read(message)
        found = self._before.run(tensors, call)
        inputs: dict[str, Array] = {}
        for name, read in self._node.inputs.items():
            if read.tensor not in found:
                raise RunError(f"node `{self._node.name}` reads `{read.tensor}`, which is absent")
            inputs[name] = found[read.tensor]
        for part in self._run(inputs, call, stop):
            named = {self._node.outputs[port]: array for port, array in part.items()}
            yield self.unit.give(message, named)

    def _run(self, inputs: Mapping[str, Array], call: Call, stop: Stop) -> Iterator[Mapping[str, Array]]:
        """Yield the node's parts; what its policy says of failures holds until there is a first one."""
        policy = self._node.policy
        for left in range(policy.retries, -1, -1):
            parts = self._guard(inputs, call, stop)
            try:
                first = next(parts)
            except RunError:
                if left and not stop.is_set:
                    self._counts.retry()
                    continue
                if policy.on_error == "fail" or stop.is_set:
                    raise
                self._counts.stand_in()
                call.fallbacks.append(self._node.name)
                yield stand_in(self._node, inputs)
                return
            yield first
            yield from parts
            return

    def _guard(self, inputs: Mapping[str, Array], call: Call, stop: Stop) -> Iterator[Mapping[str, Array]]:
        """Yield the parts of one try; errors name the node."""
        node, start = self._node, time.perf_counter()
        if call.deadline is not None:
            call.deadline.check(node.name)
        try:
            for part in self._runner.stream(inputs, stop, call.deadline):
                self._contract.check_all(inputs, part)
                yield part
        except GeneratorExit:
            raise
        except BaseException as error:
            deadline = call.deadline
            if isinstance(deadline, Deadline) and deadline.left_s <= 0 and not stop.is_set:
                raise DeadlineError(f"{deadline.limit} passed within node `{node.name}`") from None
            if stop.is_set:
                # The client has left: no failure of the server's.
                raise RunError(f"node `{node.name}`: its client has left") from None
            raise tell_failure(node, call, error, self._counts) from None
        finally:
            self._counts.note(time.perf_counter() - start)
