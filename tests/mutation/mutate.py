"""Measures what tests notice: breaks one place of a module at a time, and runs the tests that call its function.

    uv run python tests/mutation/mutate.py gpus http1
    uv run python tests/mutation/mutate.py lower --sample 150 --seed 1

It collects a part's tests once. Each mutant is a fork in which the function's code is replaced and its tests run, the
quickest first, until one fails. mutmut and cosmic-ray do not fit: mutmut 3 needs modules whose import names are their
paths, which a workspace of packages has not, and changes no constants; cosmic-ray starts a pytest for each mutant,
and that start takes longer than the tests.

Tests that start graphc as a process of its own run the sound code there, so that they notice nothing.
"""

import argparse
import ast
import gc
import os
import random
import resource
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, Final, Literal, TypeGuard

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from mutants import Mutant, find_mutants

ROOT: Final = Path(__file__).parents[2]
COMPILER: Final = ROOT / "compiler" / "graphc"


@dataclass(frozen=True)
class Part:
    """Source files or folders, and where the tests are that should notice their faults."""

    sources: Sequence[Path]
    tests: Sequence[str]


PARTS: Final[Mapping[str, Part]] = {
    "gpus": Part([COMPILER / "gpus"], ["gpus", "profiles", "reject/test_reject.py"]),
    "hardware": Part(
        [COMPILER / "hardware"],
        [
            "gpus",
            "profiles",
            "artefacts/test_onnx_operators.py",
            "changing/test_rollout_room.py",
            "reject/test_reject.py",
        ],
    ),
    "http1": Part([COMPILER / "http1.py"], ["bench/test_http1.py", "engine/test_pool.py"]),
    "lower": Part([COMPILER / "lower"], ["plans", "lower", "meaning", "reject/test_reject.py"]),
    "packed": Part(
        [ROOT / "runtimes" / "graphc_runtimes" / f"{name}.py" for name in ("packed", "lists")],
        [
            f"runtimes/test_{name}.py"
            for name in ("packed_requests", "wire_tensors", "strict_reading", "short_way", "region_json")
        ],
    ),
}

MOST_S: Final = 30.0
"""What the tests of one mutant may take together, by the times of the sound code; slower ones are left out."""
CPU_S: Final = 20.0
"""Processor time for one mutant beyond four times that of its tests: it loops."""
WALL_S: Final = 200.0
"""For a mutant that waits for ever."""

UNAPPLIED: Final = 3

Outcome = Literal["killed", "survived", "looped", "untested"]
Key = tuple[str, str, int]
"""A function: its file, its qualified name and its first line."""


@dataclass
class Seen:
    """For each function the tests that call it, and how many seconds each test takes."""

    callers: dict[Key, set[int]] = field(default_factory=dict[Key, set[int]])
    seconds: dict[int, float] = field(default_factory=dict[int, float])
    failed: set[int] = field(default_factory=set[int])

    def tests_of(self, mutant: Mutant, file: str) -> list[int]:
        """Return the tests to run, the quickest first; a constant has those of all functions of its module."""
        keys = [key for key in self.callers if key[0] == file and _holds(mutant, key)]
        found = {each for key in keys for each in self.callers[key]} - self.failed
        chosen, total = list[int](), 0.0
        for each in sorted(found, key=lambda index: (self.seconds[index], index)):
            total += self.seconds[each]
            if total <= MOST_S:
                chosen.append(each)
        return chosen


def _holds(mutant: Mutant, key: Key) -> bool:
    if not isinstance(mutant.statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return True
    return key[1] == mutant.owner or key[1].startswith(f"{mutant.owner}.<locals>.")


class Mutating:
    """A pytest plugin that takes the place of the loop over tests."""

    def __init__(self, part: Part, sample: int | None, seed: int) -> None:
        self._files = [path for each in part.sources for path in _files_of(each)]
        self._sample, self._seed = sample, seed
        self._on_failure: Callable[[pytest.TestReport], None] = lambda _: None
        self.outcomes: list[tuple[Outcome, str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell of a failure."""
        if report.failed:
            self._on_failure(report)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Look once at what calls what, and then run each mutant."""
        seen = self._watch(session.items)
        for path, mutant in self._choose():
            outcome = self._run(session.items, seen, str(path), mutant)
            where = f"{path.relative_to(ROOT)}:{mutant.line}"
            self.outcomes.append((outcome, f"{where}: {mutant.owner}: {mutant.change}"))
            if outcome in {"survived", "untested"}:
                print(f"{outcome}: {self.outcomes[-1][1]}", flush=True)
        return True

    def _choose(self) -> list[tuple[Path, Mutant]]:
        found = [(path, each) for path in self._files for each in find_mutants(path.read_text("utf-8"))]
        if self._sample is None or self._sample >= len(found):
            return found
        chosen = sorted(random.Random(self._seed).sample(range(len(found)), self._sample))
        return [found[index] for index in chosen]

    def _watch(self, items: Sequence[pytest.Item]) -> Seen:
        """Run the tests on the sound code; what they leave behind is what mutants find."""
        seen, files = Seen(), frozenset(str(path) for path in self._files)
        current = 0

        def note(report: pytest.TestReport) -> None:
            seen.failed.add(current)

        def call(frame: FrameType, event: str, argument: Any) -> None:
            code = frame.f_code
            if code.co_filename in files:
                key = (code.co_filename, code.co_qualname, code.co_firstlineno)
                seen.callers.setdefault(key, set()).add(current)

        self._on_failure = note
        with _traced(call):
            for index in range(len(items)):
                current, began = index, time.process_time()
                _run_test(items, [index], 0)
                seen.seconds[index] = time.process_time() - began
        for index in sorted(seen.failed):
            print(f"left out, as it fails with the sound code: {items[index].nodeid}", flush=True)
        return seen

    def _run(self, items: Sequence[pytest.Item], seen: Seen, file: str, mutant: Mutant) -> Outcome:
        tests = seen.tests_of(mutant, file)
        if not tests:
            return "untested"
        if child := os.fork():
            return _await(child)
        os.setsid()
        _limit(int(4 * sum(seen.seconds[each] for each in tests) + CPU_S))
        self._on_failure = lambda _: os._exit(1)
        try:
            _apply(mutant, file)
            for place in range(len(tests)):
                _run_test(items, tests, place)
        except BaseException:
            os._exit(1)
        os._exit(0)


class _traced:  # noqa: N801
    """Calls of functions in this thread, and in those that begin meanwhile."""

    def __init__(self, call: Callable[[FrameType, str, Any], None]) -> None:
        self._call = call

    def __enter__(self) -> None:
        threading.settrace(self._call)
        sys.settrace(self._call)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        threading.settrace(None)  # pyright: ignore[reportArgumentType]


def _run_test(items: Sequence[pytest.Item], tests: Sequence[int], place: int) -> None:
    item = items[tests[place]]
    following = items[tests[place + 1]] if place + 1 < len(tests) else None
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


def _limit(cpu_s: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _await(child: int) -> Outcome:
    until = time.monotonic() + WALL_S
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            _end_group(child)
            if os.WIFSIGNALED(status):
                return "looped"
            if os.WEXITSTATUS(status) == UNAPPLIED:
                raise LookupError("the function is nowhere to be found")
            return "killed" if os.WEXITSTATUS(status) else "survived"
        time.sleep(0.005)
    _end_group(child)
    os.waitpid(child, 0)
    return "looped"


def _end_group(child: int) -> None:
    """End what the tests of a mutant started."""
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        return


def _apply(mutant: Mutant, file: str) -> None:
    """Put a mutant in the place of what runs: a function's code, or a constant wherever it was imported."""
    if isinstance(mutant.statement, ast.FunctionDef | ast.AsyncFunctionDef):
        codes = {code.co_qualname: code for code in _codes(compile(mutant.tree, file, "exec"))}
        new = codes[mutant.owner]
        # What the command line froze would not be found.
        gc.unfreeze()
        found = [each for each in gc.get_objects() if _is_of(each, new)]
        for each in found:
            each.__code__ = new
        if not found:
            os._exit(UNAPPLIED)
        return
    module = next(each for each in list(sys.modules.values()) if getattr(each, "__file__", None) == file)
    name, old = mutant.owner, vars(module)[mutant.owner]
    space = dict(vars(module))
    exec(compile(ast.Module([mutant.statement], []), file, "exec"), space)
    for each in list(sys.modules.values()):
        if vars(each).get(name, each) is old:
            setattr(each, name, space[name])


def _is_of(found: object, new: CodeType) -> TypeGuard[FunctionType]:
    if not isinstance(found, FunctionType):
        return False
    code, name = found.__code__, new.co_qualname
    return (code.co_filename, code.co_qualname) == (new.co_filename, name) and (
        code.co_firstlineno == new.co_firstlineno
    )


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _codes(each)


def _files_of(path: Path) -> Iterable[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def measure(name: str, sample: int | None, seed: int) -> None:
    """Print the mutants of a part that no test notices, and the score."""
    part = PARTS[name]
    mutating = Mutating(part, sample, seed)
    tests = [str(ROOT / "tests" / each) for each in part.tests]
    with tempfile.TemporaryDirectory() as folder:
        plain = [
            "-q",
            "-s",
            "--no-header",
            "--no-summary",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:terminalreporter",
        ]
        options = ["-n", "0", "--hypothesis-seed=0", f"--basetemp={folder}/tests"]
        pytest.main([*plain, *options, *tests], plugins=[mutating])
    counts = Counter(outcome for outcome, _ in mutating.outcomes)
    noticed = counts["killed"] + counts["looped"]
    print(f"{name}: {noticed} of {len(mutating.outcomes)} mutants noticed: {dict(counts)}", flush=True)


def main() -> None:
    """Measure the parts of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="+", choices=sorted(PARTS))
    parser.add_argument("--sample", type=int, help="how many mutants of each part; all of them otherwise")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for each in arguments.parts:
        if child := os.fork():
            os.waitpid(child, 0)
        else:
            measure(each, arguments.sample, arguments.seed)
            os._exit(0)


if __name__ == "__main__":
    main()
