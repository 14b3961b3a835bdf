"""Runs the nodes of a region over the tensors of one message; nothing here knows how they travelled."""

import logging
import time
import weakref
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from operator import length_hint
from typing import Final, NamedTuple, Protocol, runtime_checkable

import numpy as np
from graphc_components.component import ComponentError
from graphc_components.datatypes import Array

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.attempt import attempt, stand_in, start_thread
from graphc_runtimes.choose import Call, choose
from graphc_runtimes.contracts import Books, Contract, Counts, NoBooks, hold
from graphc_runtimes.errors import (
    BadInputError,
    DeadlineError,
    RequestError,
    RunError,
    ServerFaultError,
    StatedError,
)
from graphc_runtimes.faults import describe, trace
from graphc_runtimes.region import (
    ChoiceNode,
    ComponentNode,
    DecidingNode,
    EitherNode,
    MergeNode,
    Node,
    Policy,
    Read,
    Region,
    RunnableNode,
    ServerNode,
    made_by,
)
from graphc_runtimes.rows import either, find_rows, gather, holds, place, scatter, select
from graphc_runtimes.timings import START, Timings

# Below MLServer's own logger, whose format and level it then has.
_LOG: Final = logging.getLogger("mlserver.graphc")
_LONGEST: Final = 1000
"""As much of what the user's own code says of an input is passed on."""
_FAULT: Final = 500
"""From this status on it is not the request that is at fault."""


class Runner(Protocol):
    """A loaded node: named input tensors to its outputs; it may compute only those in use."""

    def __call__(self, inputs: Mapping[str, Array], /) -> Mapping[str, Array]:
        """Run once."""
        ...


@runtime_checkable
class SingleRunner(Runner, Protocol):
    """A loaded node of one output, which it can give without a name."""

    def give(self, inputs: Mapping[str, Array], /) -> Array:
        """Run once."""
        ...


@runtime_checkable
class CallRunner(Runner, Protocol):
    """A loaded node that looks at what travels beside tensors, too, or adds to it."""

    def bind(self, call: Call) -> Runner:
        """Return what runs the node for one call."""
        ...


class Ready(NamedTuple):
    """What runs a node, looks at its answer and counts its tries."""

    run: Runner
    counts: Counts
    bare: Runner
    """Runs the node only."""
    contract: Contract
    caller: CallRunner | None = None
    """What runs the node only, where it asks for more than tensors."""


def execute(
    region: Region, runners: Mapping[str, Runner], tensors: Mapping[str, Array], call: Call
) -> dict[str, Array]:
    """Return every tensor there is once the nodes ran; what a branch not taken gives is absent.

    Raises RequestError, RunError and DeadlineError.
    """
    return Program(region, runners).run(tensors, call)


Gathered = Mapping[str, Array | None]
"""What a node reads, by the name of its input."""
_Step = Callable[[dict[str, Array], Call], bool]
"""Runs a node; False where it had nothing to do, and so is not to be counted."""


class Program:
    """A region made ready to run: what can be known beforehand is not found out again for each message."""

    def __init__(
        self,
        region: Region,
        runners: Mapping[str, Runner],
        books: Books | None = None,
    ) -> None:
        books = books or NoBooks()
        self._region, self._runners = region, _make_ready(region, runners, books)
        self._is_threaded = bool(_find_threaded(region))
        straight = {node.name for node in region.nodes if _is_straight(node, self._runners)}
        self._steps = [_prepare_step(node, self._runners, straight) for node in region.nodes]
        self._names = [node.name for node in region.nodes]
        self._timings = Timings(
            [self._runners[name].counts.note_all if name in straight else None for name in self._names]
        )
        books.ask(self._timings.publish)
        # What this program still keeps when it goes is told, too.
        weakref.finalize(self, self._timings.publish).atexit = False

    def run(self, tensors: Mapping[str, Array], call: Call) -> dict[str, Array]:
        """Return every tensor there is once the nodes ran; raises as `execute` does."""
        if self._is_threaded:
            execution = _Execution(self._region, self._runners, call, dict(tensors))
            execution.run()
            return execution.environment
        environment = dict(tensors)
        if call.deadline is not None or self._timings.is_due():
            self._run_timed(environment, call)
            return environment
        # Most runs are of this kind, and most of those end here, with as little as possible done for each node.
        left = iter(self._steps)
        try:
            for step in left:
                if not step(environment, call):
                    break
            else:
                self._timings.count_usual()
                return environment
        except (RequestError, RunError):
            self._timings.pass_over([True] * (len(self._steps) - length_hint(left)))
            raise
        self._go_on(left, environment, call)
        return environment

    def _go_on(self, left: Iterator[_Step], environment: dict[str, Array], call: Call) -> None:
        """Run what is left after the first node that had nothing to do."""
        ran = [True] * (len(self._steps) - length_hint(left))
        ran[-1] = False
        try:
            for step in left:
                ran.append(step(environment, call))
        except (RequestError, RunError):
            ran.append(True)
            raise
        finally:
            self._timings.pass_over(ran)

    def _run_timed(self, environment: dict[str, Array], call: Call) -> None:
        # One look at the clock a node: two in each would cost as much as the smallest nodes do.
        clock = time.perf_counter
        times = [START, clock()]
        try:
            if call.deadline is None:
                for step in self._steps:
                    times.append(clock() if step(environment, call) else -clock())
            else:
                for name, step in zip(self._names, self._steps, strict=True):
                    call.deadline.check(name)
                    times.append(clock() if step(environment, call) else -clock())
        except (RequestError, RunError):
            times.append(clock())
            raise
        finally:
            self._timings.add(times)


def _make_ready(region: Region, runners: Mapping[str, Runner], books: Books) -> dict[str, Ready]:
    found: dict[str, Ready] = {}
    for node in region.nodes:
        if not isinstance(node, DecidingNode) and node.name in runners:
            counts, contract, bare = books.open(node.name), Contract(node), runners[node.name]
            caller = bare if isinstance(bare, CallRunner) else None
            found[node.name] = Ready(hold(contract, bare, counts.note), counts, bare, contract, caller)
    return found


def _prepare_step(node: Node, runners: Mapping[str, Ready], straight: Container[str]) -> _Step:
    if not isinstance(node, DecidingNode) and node.name in straight:
        return _straight_step(node, runners[node.name])

    def step(environment: dict[str, Array], call: Call) -> bool:
        if holds(node.when, environment):
            environment.update(_guarded(node, call, lambda: _evaluate(node, runners, environment, call)))
        # It counts its own tries.
        return True

    return step


def _is_straight(node: Node, runners: Mapping[str, Ready]) -> bool:
    """Say whether a node always runs once, over whole tensors and nothing else, and fails where it fails."""
    if isinstance(node, DecidingNode) or node.name not in runners:
        return False
    if runners[node.name].caller is not None:
        return False
    is_quorum = isinstance(node, ComponentNode) and node.quorum is not None
    return (
        node.policy == Policy()
        and not node.when
        and not is_quorum
        and not any(read.gather for read in node.inputs.values())
    )


def _straight_step(node: RunnableNode, ready: Ready) -> _Step:
    run, contract = ready.bare, ready.contract
    reads = tuple((name, read.tensor) for name, read in node.inputs.items())
    gives = tuple(node.outputs.items())
    has_checks = bool(contract)

    def step(environment: dict[str, Array], call: Call) -> bool:
        try:
            inputs = {name: environment[tensor] for name, tensor in reads}
        except KeyError as error:
            raise _absent(node, error.args[0]) from None
        is_blank = contract.lacks_rows(inputs)
        try:
            results = contract.blank(inputs) if is_blank else run(inputs)
            if has_checks:
                contract.check_all(inputs, results)
        except BaseException as error:
            raise tell_failure(node, call, error, ready.counts) from None
        try:
            for name, tensor in gives:
                environment[tensor] = results[name]
        except KeyError as error:
            raise _not_given(node, error) from None
        return not is_blank

    return _single_step(node, ready, reads[0], gives[0]) if len(reads) == len(gives) == 1 else step


def _single_step(node: RunnableNode, ready: Ready, read: tuple[str, str], give: tuple[str, str]) -> _Step:
    """Return the step of a node that reads one tensor and gives one, as most do: there is nothing to loop over."""
    contract = ready.contract
    (name, tensor), (output, made) = read, give
    known, dtype, has_rows = contract.known, contract.dtypes.get(output), contract.rows is not None
    run = _single_run(ready.bare, output)

    def step(environment: dict[str, Array], call: Call) -> bool:
        try:
            array = environment[tensor]
            shape = array.shape
            if has_rows and not shape[0]:
                environment[made] = contract.blank({name: array})[output]
                return False
            found = run({name: array})
            if dtype is not None and (found.dtype is not dtype or known.get(shape) != found.shape):
                contract.check({name: array}, {output: found}, shape, found.shape)
        except BaseException as error:
            if tensor not in environment:
                raise _absent(node, tensor) from None
            raise tell_failure(node, call, error, ready.counts) from None
        environment[made] = found
        return True

    return step


def _single_run(runner: Runner, output: str) -> Callable[[Mapping[str, Array]], Array]:
    """Return what runs a node for its one output; it raises ArrayError where the node gives none of that name."""
    if isinstance(runner, SingleRunner):
        return runner.give

    def give(inputs: Mapping[str, Array]) -> Array:
        found = runner(inputs).get(output)
        if found is None:
            raise ArrayError(f"gave no output `{output}`")
        return found

    return give


def _absent(node: RunnableNode, tensor: str) -> RunError:
    return RunError(f"node `{node.name}` reads `{tensor}`, which is absent")


def _not_given(node: RunnableNode, error: KeyError) -> RunError:
    return RunError(f"node `{node.name}` gave no output `{error.args[0]}`")


def _evaluate(
    node: Node, runners: Mapping[str, Ready], environment: Mapping[str, Array], call: Call
) -> Mapping[str, Array]:
    """Return the tensors that a node gives."""
    match node:
        case ChoiceNode():
            results = _choose(node, environment, call)
        case MergeNode():
            results = _merge(node, environment)
        case EitherNode():
            rows = either(node.cases, environment)
            results = {} if rows is None else {"rows": rows}
        case _:
            return _prepare_run(node, runners[node.name], environment, call)()
    return {node.outputs[name]: array for name, array in results.items()}


def _prepare_run(
    node: RunnableNode, ready: Ready, environment: Mapping[str, Array], call: Call
) -> Callable[[], Mapping[str, Array]]:
    """Read a node's inputs, as they are now, and return the work that is left."""
    inputs = {name: gather(read, environment) for name, read in node.inputs.items()}
    if ready.caller is not None:
        ready = ready._replace(run=hold(ready.contract, ready.caller.bind(call), ready.counts.note))
    guards = [(environment[choice], branches) for choice, branches in node.when]
    placed = ready._replace(run=_placing(ready.run, guards)) if guards else ready
    return lambda: _run_by_policy(node, placed, inputs, call)


def _placing(run: Runner, guards: Sequence[tuple[Array, Sequence[int]]]) -> Runner:
    """Return a runner that says which row of the request, not of the branch, the user's own code refuses."""

    def placed(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        try:
            return run(inputs)
        except BadInputError as error:
            rows = find_rows(guards)
            known = error.row is not None and any(len(each) == len(rows) for each in inputs.values())
            error.row = int(rows[error.row]) if known and 0 <= (error.row or 0) < len(rows) else None
            raise

    return placed


class _Execution:
    """One run of a region some of whose nodes may take their time, side by side in threads."""

    def __init__(
        self, region: Region, runners: Mapping[str, Ready], call: Call, environment: dict[str, Array]
    ) -> None:
        self.environment = environment
        self._runners, self._call = runners, call
        self._wanted = {answer.tensor for answer in region.answers}
        self._wanted |= {region.route.choice} if region.route else set()
        self._settled = {spec.name for spec in region.takes}
        self._waiting = list(region.nodes)
        self._threaded = _find_threaded(region)
        self._running: dict[Future[Mapping[str, Array]], Node] = {}

    def run(self) -> None:
        """Run all nodes; of those in threads, wait for the ones whose tensors are still needed."""
        while self._waiting:
            ready = self._find_ready()
            for node in ready:
                # What runs in this thread may make others ready, which should not wait for more of it.
                if self._start(node):
                    break
            if not ready:
                self._harvest()
        while any(self._is_needed(node) for node in self._running.values()):
            self._harvest()

    def _find_ready(self) -> list[Node]:
        """Return the nodes that can run, those in threads first."""
        ready = [node for node in self._waiting if self._is_ready(node)]
        return sorted(ready, key=lambda node: node.name not in self._threaded)

    def _is_ready(self, node: Node) -> bool:
        open_ = {name for name in _reads(node) if name not in self._settled}
        if not open_ or not (isinstance(node, ComponentNode) and node.quorum and node.wait == "quorum"):
            return not open_
        there = sum(read.tensor in self.environment for read in node.inputs.values())
        return there >= node.quorum and open_ <= {read.tensor for read in node.inputs.values()}

    def _start(self, node: Node) -> bool:
        """Run a node, or start its thread; say whether it is done."""
        self._waiting.remove(node)
        if self._call.deadline:
            self._call.deadline.check(node.name)
        if not holds(node.when, self.environment):
            self._settle(node, {})
        elif isinstance(node, DecidingNode) or node.name not in self._threaded:
            self._settle(
                node,
                _guarded(
                    node,
                    self._call,
                    lambda: _evaluate(node, self._runners, self.environment, self._call),
                ),
            )
        else:
            work = _prepare_run(node, self._runners[node.name], self.environment, self._call)
            self._running[start_thread(lambda: _guarded(node, self._call, work))] = node
            return False
        return True

    def _settle(self, node: Node, tensors: Mapping[str, Array]) -> None:
        self.environment.update(tensors)
        self._settled.update(made_by(node))

    def _harvest(self) -> None:
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        # In the order of the nodes, so that of several failures the same one is told.
        for future in [each for each in self._running if each in done]:
            node = self._running.pop(future)
            failure = future.exception()
            if failure is None:
                self._settle(node, future.result())
            elif self._is_needed(node):
                raise failure

    def _is_needed(self, node: Node) -> bool:
        """Say whether anything still reads what a node gives: combiners may have gone on without it."""
        wanted = self._wanted.union(*(_reads(each) for each in self._waiting))
        return not wanted.isdisjoint(made_by(node))


def _find_threaded(region: Region) -> set[str]:
    """Return the nodes that run beside others: those with a timeout, those that a quorum combiner reads, and servers.

    One server alone has nothing to be asked beside.
    """
    working = [node for node in region.nodes if not isinstance(node, DecidingNode)]
    quorums = [node for node in working if isinstance(node, ComponentNode) and node.quorum]
    read = {read.tensor for node in quorums for read in node.inputs.values()}
    servers = [node.name for node in working if isinstance(node, ServerNode)]
    return {
        node.name for node in working if node.policy.timeout_ms or not read.isdisjoint(node.outputs.values())
    }.union(servers if len(servers) > 1 else ())


def _reads(node: Node) -> set[str]:
    """Return the tensors that have to be settled before a node runs."""
    names = {choice for choice, _ in node.when}
    if isinstance(node, ChoiceNode) and node.among:
        names.add(node.among[0])
    for read in node.reads:
        names |= {read.tensor, *(choice for choice, _ in read.gather)}
    return names


def _guarded(
    node: Node, call: Call, work: Callable[[], Mapping[str, Array]], counts: Counts | None = None
) -> Mapping[str, Array]:
    """Work, and name the node in every error."""
    try:
        return work()
    # Models and the user's own Python raise what they like, `SystemExit` too, and the client must learn which node
    # it was.
    except BaseException as error:
        raise tell_failure(node, call, error, counts) from None


def tell_failure(node: Node, call: Call, error: BaseException, counts: Counts | None = None) -> Exception:
    """Return what the client is told of an error; what is not foreseen goes to the log, too."""
    if isinstance(error, RequestError | RunError | DeadlineError):
        return error
    if isinstance(error, BadInputError):
        return RequestError(_say_bad_input(node, error))
    if isinstance(error, StatedError) and error.status < _FAULT:
        return RequestError(f"node `{node.name}`: {error}"[:_LONGEST], error.status)
    if counts is not None:
        counts.fail()
    match error:
        case StatedError():
            found = RunError(f"node `{node.name}`: {error}"[:_LONGEST], error.status)
        case ArrayError():
            found = RunError(f"node `{node.name}` {error}")
        case ServerFaultError():
            _LOG.error("node `%s`: its server %s%s", node.name, error.logged, _of_request(call))
            return RunError(f"node `{node.name}`: its server {error}")
        case ComponentError():
            found = RunError(f"node `{node.name}` failed: {error}")
        case _:
            found = RunError(f"node `{node.name}` failed: {describe(error)}")
            _LOG.error("%s%s\n%s", found, _of_request(call), trace(error))
            return found
    _LOG.error("%s%s", found, _of_request(call))
    return found


def _say_bad_input(node: Node, error: BadInputError) -> str:
    where = f"node `{node.name}`" if error.row is None else f"node `{node.name}`, row {error.row}"
    return f"{where}: {error}"[:_LONGEST]


def _of_request(call: Call) -> str:
    # Quoted: a client may write what it likes there.
    identity = call.identity or call.header("Seldon-Puid")
    return f" (request {identity!r})" if identity else ""


def _run_by_policy(node: RunnableNode, ready: Ready, inputs: Gathered, call: Call) -> dict[str, Array]:
    """Return the tensors that a node gives, or those that its policy has for a failure."""
    present, counts = _check_present(node, inputs), ready.counts
    failed = False
    try:
        results = attempt(
            node,
            lambda: _guarded(node, call, lambda: _run_once(node, ready.run, present), counts),
            call.deadline,
            counts,
        )
    except RunError as error:
        if node.policy.on_error == "fail":
            raise
        _LOG.warning("%s; `%s` is used%s", error, node.policy.on_error, _of_request(call))
        counts.stand_in()
        call.fallbacks.append(node.name)
        results, failed = stand_in(node, present), True
    tensors = {node.outputs[name]: array for name, array in results.items()}
    if node.policy.failed is not None:
        tensors[node.policy.failed] = np.array([failed], np.int32)
    return tensors


def _run_once(node: RunnableNode, runner: Runner, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
    quorum = node.quorum if isinstance(node, ComponentNode) else None
    if quorum is not None and len(inputs) < quorum:
        raise RunError(f"node `{node.name}` failed: it has {len(inputs)} tensors of a quorum of {quorum}")
    results = runner(inputs)
    for name in node.outputs:
        if name not in results:
            raise RunError(f"node `{node.name}` gave no output `{name}`")
    return {name: results[name] for name in node.outputs}


def _check_present(node: RunnableNode, inputs: Gathered) -> dict[str, Array]:
    """Return the inputs that are there; raises RunError where one is not, and the node needs all."""
    if not (isinstance(node, ComponentNode) and node.quorum):
        for name, array in inputs.items():
            if array is None:
                raise RunError(f"node `{node.name}` reads `{node.inputs[name].tensor}`, which is absent")
    return {name: array for name, array in inputs.items() if array is not None}


def _choose(node: ChoiceNode, environment: Mapping[str, Array], call: Call) -> dict[str, Array]:
    read = node.inputs.get("value")
    value = None if read is None else _gather(node, read, environment)
    choice = choose(node, value, call)
    return {"choice": place(choice, node.among, environment) if node.among else choice}


def _merge(node: MergeNode, environment: Mapping[str, Array]) -> dict[str, Array]:
    choice = gather(node.choice, environment)
    if choice is None:
        return {}
    join = scatter if node.per == "row" else select
    return {
        name: join(choice, [gather(branch[name], environment) for branch in node.branches])
        for name in node.outputs
    }


def _gather(node: Node, read: Read, environment: Mapping[str, Array]) -> Array:
    array = gather(read, environment)
    if array is None:
        raise RunError(f"node `{node.name}` reads `{read.tensor}`, which is absent")
    return array
