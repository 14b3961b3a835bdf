"""`graphc bench`: start what has to be started, put the load on it, and put together what was seen."""

import contextlib
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from graphc.bench.ask import Question, Subject, ask_target
from graphc.bench.compare import Comparison, compare_rounds, join_rounds
from graphc.bench.estimate import METHOD, PAIR_METHOD
from graphc.bench.expect import compare_answers
from graphc.bench.failure import BenchError
from graphc.bench.generate import Generators
from graphc.bench.job import Closed, Job, Open, Outcome
from graphc.bench.nodes import NodeTimes, compile_apart, measure_nodes, pick_request
from graphc.bench.serve import serve
from graphc.bench.summary import Summary, summarise
from graphc.compile.compile_files import Compilation
from graphc.compile.request import Request

_ALONE: Final = Closed(1)
_NODE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What the command line says of the load, times in seconds, and of how graph files are run."""

    load: Closed | Open
    duration: float
    warmup: float
    processes: int = 1
    rounds: int = 8
    is_direct: bool = False
    is_grpc: bool = False
    has_nodes: bool = False
    run: Sequence[str] = ()
    """Options of `graphc run` for graph files."""
    compiling: Request | None = None
    """How the graph file whose nodes are measured is compiled."""


@dataclass(frozen=True, slots=True)
class Result:
    """All that was measured."""

    summary: Summary
    comparison: Comparison | None = None
    nodes: NodeTimes | None = None
    warnings: tuple[str, ...] = field(default=())

    def to_json(self) -> Mapping[str, object]:
        """Return plain data."""
        fields: dict[str, object] = {"method": METHOD, "result": self.summary.to_json()}
        if self.comparison:
            fields = {"method": f"{METHOD}; {PAIR_METHOD}", "comparison": self.comparison.to_json()}
        if self.nodes:
            fields["nodes"] = self.nodes.to_json()
        return fields | {"warnings": list(self.warnings)}


Say = Callable[[str], None]
"""Tells the user what is being done."""


class Bench:
    """One run of the command; an interrupt ends the load, and what was measured until then is told."""

    def __init__(self, options: BenchOptions, question: Question, say: Say) -> None:
        self.generators = Generators()
        self._options, self._question, self._say = options, question, say

    def measure(self, target: str) -> Result:
        """Measure one target; raises BenchError."""
        with self._open(target) as subject:
            self._say(f"measuring {target} for {self._options.duration:g} s")
            summary = self._summarise(subject, self._load(subject, self._options.duration))
            seen = self._see_alone(subject) if self._options.has_nodes else math.nan
        return Result(summary, nodes=self._measure_nodes(seen, subject))

    def compare(self, first: str, second: str) -> Result:
        """Measure two targets in turns; raises BenchError."""
        with self._open(first) as one, self._open(second) as other:
            return self.compare_subjects(one, other, compare_answers(*other.readable, *one.readable))

    def compare_subjects(self, one: Subject, other: Subject, difference: str = "") -> Result:
        """Measure two targets that answer already in turns; raises BenchError."""
        rounds = self._run_rounds(one, other)
        pairs = [(self._summarise(one, a), self._summarise(other, b)) for a, b in rounds]
        whole = (
            self._summarise(one, join_rounds([a for a, _ in rounds])),
            self._summarise(other, join_rounds([b for _, b in rounds])),
        )
        # What an interrupt cut short is no pair.
        pairs = [pair for pair in pairs if not any(each.was_stopped for each in pair)]
        comparison = compare_rounds(whole, pairs, difference)
        warnings = (f"the answers of the two differ: {difference}",) if difference else ()
        return Result(whole[0], comparison, warnings=warnings)

    def _run_rounds(self, one: Subject, other: Subject) -> list[tuple[list[Outcome], list[Outcome]]]:
        seconds = self._options.duration / self._options.rounds
        rounds: list[tuple[list[Outcome], list[Outcome]]] = []
        while len(rounds) < self._options.rounds:
            self._say(f"round {len(rounds) + 1} of {self._options.rounds}")
            # Each goes first in every other round, so that neither always finds the machine as the other left it.
            pair = (one, other) if len(rounds) % 2 == 0 else (other, one)
            done = {id(each): self._load(each, seconds) for each in pair}
            rounds.append((done[id(one)], done[id(other)]))
            if self.generators.was_interrupted:
                break
        return rounds

    @contextlib.contextmanager
    def _open(self, target: str) -> Generator[Subject]:
        with contextlib.ExitStack() as stack:
            address = target
            if is_file_target(target):
                self._say(f"starting {target}")
                is_graph = self._options.compiling is not None and target in self._options.compiling.paths
                served = stack.enter_context(serve(target, self._options.run if is_graph else ()))
                options = self._options
                address = served.address(is_grpc=options.is_grpc, is_direct=options.is_direct)
            yield replace(ask_target(address, self._question), name=target)

    def _load(self, subject: Subject, seconds: float, load: Closed | Open | None = None) -> list[Outcome]:
        return self.generators.run(self._job(subject, seconds, load), self._options.processes)

    def _job(self, subject: Subject, seconds: float, load: Closed | Open | None = None) -> Job:
        return Job(
            subject.address,
            subject.body,
            load or self._options.load,
            seconds,
            self._options.warmup,
            self._question.timeout,
            subject.answer,
            subject.answer_json,
        )

    def _summarise(self, subject: Subject, outcomes: Sequence[Outcome]) -> Summary:
        return summarise(subject.name, self._job(subject, 0), subject.rows, outcomes)

    def _see_alone(self, subject: Subject) -> float:
        if self.generators.was_interrupted:
            return math.nan
        self._say("measuring one client alone")
        outcomes = self._load(subject, min(2.0, self._options.duration), _ALONE)
        return self._summarise(subject, outcomes).latency_ms[50.0].value

    def _measure_nodes(self, seen: float, subject: Subject) -> NodeTimes | None:
        if not self._options.has_nodes or self.generators.was_interrupted:
            return None
        assert self._options.compiling is not None
        self._say("measuring the nodes")
        done = compile_apart(self._options.compiling)
        _refuse_broken(done)
        times = measure_nodes(done, pick_request(subject.body), _NODE_SECONDS)
        return replace(times, seen_ms=seen)


def _refuse_broken(done: Compilation) -> None:
    if done.sink.has_errors or len(done.graphs) != 1:
        raise BenchError("node times are measured of one graph that compiles")


def is_file_target(text: str) -> bool:
    """Say whether a target is a graph file or manifest, and no address."""
    return "://" not in text and (
        Path(text).suffix in {".yaml", ".yml", ".json", ".py"} or Path(text).exists()
    )
