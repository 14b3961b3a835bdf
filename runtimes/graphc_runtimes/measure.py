"""`python -m graphc_runtimes.measure`: how long each node of a graph takes, in this process and without any server.

Reads `{"units": [{"unit": ..., "region": ..., "threads": ...}], "artifacts": ..., "request": ..., "seconds": ...}` from
standard input, and writes `{"runs": ..., "nodes": {name: [milliseconds, ...]}, "regions": {name: [...]}}`.
"""

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, cast

from graphc_components.datatypes import Array

from graphc_runtimes.choose import Call
from graphc_runtimes.environment import Environment
from graphc_runtimes.errors import LoadError, RegionError, ToldError
from graphc_runtimes.execute import Runner, execute
from graphc_runtimes.messages import Message
from graphc_runtimes.reading import read_message
from graphc_runtimes.unit import LoadedUnit, load_unit, take

_WARMUP: Final = 0.2
"""The share of the time that is not counted."""

_RUNS: Final = 10
"""At least so many runs, however long they take."""


@dataclass(slots=True)
class _Times:
    """Milliseconds of each run, by what ran."""

    by_name: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def add(self, name: str, seconds: float) -> None:
        self.by_name.setdefault(name, []).append(seconds * 1000)


@dataclass(frozen=True, slots=True)
class _Timed:
    """A runner with a clock."""

    name: str
    runner: Runner
    times: _Times

    def __call__(self, inputs: Mapping[str, Array], /) -> Mapping[str, Array]:
        start = time.perf_counter()
        try:
            return self.runner(inputs)
        finally:
            self.times.add(self.name, time.perf_counter() - start)


def measure(job: Mapping[str, object]) -> dict[str, object]:
    """Run all units in turn, each with what those before it gave, until the time is over."""
    units = [_load(each, str(job["artifacts"])) for each in cast("list[Mapping[str, object]]", job["units"])]
    message = read_message(json.dumps(job["request"]).encode(), {})
    seconds = float(cast("float", job["seconds"]))
    warm, counted = seconds * _WARMUP, seconds * (1 - _WARMUP)
    _repeat(units, message, warm, 1)
    nodes, regions, runs = _repeat(units, message, counted, _RUNS)
    return {"runs": runs, "nodes": nodes.by_name, "regions": regions.by_name}


def _load(fields: Mapping[str, object], artifacts: str) -> LoadedUnit:
    threads = fields.get("threads")
    name = str(fields["unit"])
    region = json.dumps(fields["region"])
    environment = Environment(
        region, name, Path(artifacts), "cpu", threads if isinstance(threads, int) else None
    )
    return asyncio.run(load_unit(environment))


def _repeat(
    units: list[LoadedUnit], message: Message, seconds: float, least: int
) -> tuple[_Times, _Times, int]:
    nodes, regions = _Times(), _Times()
    timed = [replace(each, runners=_time_runners(each, nodes)) for each in units]
    end, runs = time.perf_counter() + seconds, 0
    while runs < least or time.perf_counter() < end:
        _run_once(timed, message, regions)
        runs += 1
    return nodes, regions, runs


def _time_runners(unit: LoadedUnit, times: _Times) -> dict[str, Runner]:
    return {name: _Timed(name, runner, times) for name, runner in unit.runners.items()}


def _run_once(units: list[LoadedUnit], message: Message, times: _Times) -> None:
    call = Call(message.parameters, message.headers, None)
    first, *others = units
    known = _run(first, take(first.region, message), call, times)
    for unit in others:
        tensors = {spec.name: known[spec.name] for spec in unit.region.takes if spec.name in known}
        known |= _run(unit, tensors, call, times)


def _run(unit: LoadedUnit, tensors: Mapping[str, Array], call: Call, times: _Times) -> dict[str, Array]:
    start = time.perf_counter()
    made = execute(unit.region, unit.runners, tensors, call)
    times.add(unit.region.unit, time.perf_counter() - start)
    return dict(tensors) | {
        answer.name: made[answer.tensor] for answer in unit.region.answers if answer.tensor in made
    }


def main() -> None:
    """Read a job, do it, and write what it gave; a job that fails ends with its reason."""
    job = cast("Mapping[str, object]", json.load(sys.stdin))
    try:
        found = measure(job)
    except (RegionError, LoadError, ToldError) as error:
        raise SystemExit(f"error: {error}") from None
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
