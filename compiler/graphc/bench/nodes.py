"""How long each node takes by itself, and what that makes of the predicted critical path."""

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from graphc.bench.failure import BenchError
from graphc.compile.compile_files import Compilation, compile_files
from graphc.compile.request import Request
from graphc.ir.plan import Costs, NodeCost, Plan, Prediction, Unit
from graphc.lower.predict import predict_plan
from graphc.quantities import parse_quantity
from graphc.targets.region import describe_region
from graphc.trial.lay_out import link_files

_BEFORE: Final = frozenset({"MODEL", "ROUTER"})
"""Units that run before those below them."""


@dataclass(frozen=True, slots=True)
class NodeTime:
    """A node's time in milliseconds: as the plan had it, and as measured; NaN where it did not run."""

    node: str
    unit: str
    predicted_ms: float
    source: str
    measured_ms: float
    low_ms: float
    high_ms: float
    """The bounds between which 8 of 10 runs lie."""

    def to_json(self) -> dict[str, object]:
        """Return plain data."""
        numbers = (
            ("measured_ms", self.measured_ms),
            ("p10_ms", self.low_ms),
            ("p90_ms", self.high_ms),
        )
        fields: dict[str, object] = {
            "node": self.node,
            "unit": self.unit,
            "predicted_ms": self.predicted_ms,
            "source": self.source,
        }
        return fields | {name: None if math.isnan(value) else value for name, value in numbers}


@dataclass(frozen=True, slots=True)
class NodeTimes:
    """All nodes of a graph, and the way through its units that takes longest, in milliseconds.

    The path is the plan's: with its own costs, with the measured ones, and as one client sees it.
    """

    graph: str
    runs: int
    nodes: tuple[NodeTime, ...]
    predicted: Prediction
    measured: Prediction
    work_ms: float
    """All units' own time, one after another, what nodes take and what is between them."""
    seen_ms: float = math.nan
    """The median that a single client sees."""

    @property
    def costs(self) -> dict[str, dict[str, float]]:
        """What `graphc compile --costs` reads."""
        known = {
            each.node: round(each.measured_ms, 6) for each in self.nodes if not math.isnan(each.measured_ms)
        }
        return {self.graph: known}

    def to_json(self) -> dict[str, object]:
        """Return plain data."""
        return {
            "graph": self.graph,
            "runs": self.runs,
            "nodes": [each.to_json() for each in self.nodes],
            "way": list(self.measured.way),
            "predicted_ms": self.predicted.ms,
            "with_measured_nodes_ms": self.measured.ms,
            "work_ms": self.work_ms,
            "seen_ms": None if math.isnan(self.seen_ms) else self.seen_ms,
        }


def compile_apart(request: Request) -> Compilation:
    """Compile a graph for this machine with its models apart: a merged one has no times of its nodes."""
    level = min(request.options.level, 1)
    return compile_files(replace(request, options=replace(request.options, level=level), purpose="local"))


def measure_nodes(done: Compilation, body: Mapping[str, object], seconds: float) -> NodeTimes:
    """Run the graph's nodes in a process of their own, without a server; raises BenchError."""
    (graph,) = done.graphs
    name, plan = next(iter(graph.plans.items()))
    cpu = graph.spec.fields.resources.cpu if graph.spec.fields.resources else None
    with tempfile.TemporaryDirectory(prefix="graphc-nodes-") as folder:
        for predictor, shipment in done.emissions[0].local:
            if predictor == name:
                link_files(shipment.files, Path(folder) / shipment.node)
        job = {
            "units": [_describe(plan, unit, cpu) for unit in _in_turn(plan.root)],
            "artifacts": folder,
            "request": body,
            "seconds": seconds,
        }
        found = _run(json.dumps(job))
    return _read(plan, found)


def _in_turn(unit: Unit) -> list[Unit]:
    """Return units in an order in which each has what it takes: a router's branches one after another."""
    below = [each for child in unit.children for each in _in_turn(child)]
    return [unit, *below] if unit.type in _BEFORE else [*below, unit]


def _describe(plan: Plan, unit: Unit, cpu: str | None) -> dict[str, object]:
    resources = unit.region.placement.resources
    cpu = resources.cpu if resources else cpu
    threads = max(1, math.ceil(parse_quantity(cpu))) if cpu else None
    return {"unit": unit.name, "region": describe_region(plan, unit), "threads": threads}


def _run(job: str) -> Mapping[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "graphc_runtimes.measure"],
        input=job,
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise BenchError(f"the nodes cannot be measured: {lines[-1].removeprefix('error: ')}")
    return cast("Mapping[str, object]", json.loads(done.stdout.splitlines()[-1]))


def _read(plan: Plan, found: Mapping[str, object]) -> NodeTimes:
    assert plan.costs is not None
    assert plan.prediction is not None
    times = cast("Mapping[str, list[float]]", found["nodes"])
    regions = cast("Mapping[str, list[float]]", found["regions"])
    nodes = tuple(_node_times(plan, times))
    measured = predict_plan(plan, _with_measured(plan, plan.costs, nodes))
    work = sum(statistics.median(each) for each in regions.values())
    return NodeTimes(plan.graph, int(cast("int", found["runs"])), nodes, plan.prediction, measured, work)


def _node_times(plan: Plan, times: Mapping[str, list[float]]) -> list[NodeTime]:
    assert plan.costs is not None
    found: dict[str, NodeTime] = {}
    for unit in plan.root.walk():
        for node in unit.region.nodes:
            cost = plan.costs.nodes[node.name]
            before = found.get(node.origin)
            predicted = cost.ms + (before.predicted_ms if before else 0.0)
            low, mid, high = _spread(times.get(node.origin, []))
            found[node.origin] = NodeTime(node.origin, unit.name, predicted, cost.source, mid, low, high)
    return list(found.values())


def _spread(values: list[float]) -> tuple[float, float, float]:
    if not values:
        return math.nan, math.nan, math.nan
    cuts = statistics.quantiles(values, n=10) if len(values) > 1 else values * 9
    return cuts[0], statistics.median(values), cuts[-1]


def _with_measured(plan: Plan, costs: Costs, times: Sequence[NodeTime]) -> Costs:
    measured = {each.node: each.measured_ms for each in times if not math.isnan(each.measured_ms)}
    nodes = dict(costs.nodes)
    for unit in plan.root.walk():
        for node in unit.region.nodes:
            if node.origin in measured:
                nodes[node.name] = NodeCost(measured[node.origin], "measured")
    return replace(costs, nodes=nodes)


def pick_request(body: bytes) -> Mapping[str, object]:
    """Return the request of a load as the nodes' process reads it; raises BenchError."""
    try:
        found = cast("object", json.loads(body))
    except ValueError as error:
        raise BenchError("node times are measured with a request in JSON: leave out --binary") from error
    return cast("Mapping[str, object]", found)
