"""Runs plans in the test process: the units of the runtime, called as the executor calls them."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from graphc.compile.pipeline import plan_graph, read_graph
from graphc.diagnostics import Sink
from graphc.gpus.pools import Gpus, Pool
from graphc.gpus.products import PRODUCTS
from graphc.ir.graph import Graph
from graphc.ir.limits import Limits
from graphc.ir.plan import Plan, Unit
from graphc.lower.options import Options
from graphc.profiles.profile import Profile
from graphc.source.yaml_reader import read_documents
from graphc.spec.read import read_graph_spec
from graphc.targets.find import DEFAULT, find_target
from graphc.targets.region import describe_region
from graphc.verify.graph import verify_graph
from graphc.verify.plan import verify_plan
from graphc_runtimes.environment import Environment
from graphc_runtimes.errors import RequestError, RunError
from graphc_runtimes.messages import write_tensor
from graphc_runtimes.reading import read_message, read_messages
from graphc_runtimes.unit import LoadedUnit as LoadedUnit
from graphc_runtimes.unit import load_unit

Json = dict[str, Any]


POOLS: Final = (Pool("gpus", 4, 64_000, 2**38, Gpus(PRODUCTS["A100-80GB"], 4, "mps", 2)),)
"""Nodes whose GPUs are parted, so that there is something to pool."""

SELDON: Final = find_target(DEFAULT).find_limits(Profile(), "cluster")


class FailedError(Exception):
    """A unit answered with an error status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def read_document(document: Json, folder: Path) -> Graph:
    """Read a sound document through the front end, as a file would be."""
    sink = Sink()
    (located,) = read_documents(yaml.safe_dump(document, sort_keys=False), "graph.yaml", sink)
    spec = read_graph_spec(located, sink)
    graph = read_graph(spec, folder, sink) if spec else None
    assert graph, "\n".join(f"{each.rule.code} {each.message}" for each in sink)
    return graph


class Verifying:
    """Looks at what each pass makes of a graph, and at every plan that is tried."""

    def __init__(self, limits: Limits = SELDON) -> None:
        self.limits = limits
        self.graphs: list[Graph] = []
        self.plans = 0

    def __call__(self, made: Graph | Plan) -> None:
        if isinstance(made, Graph):
            self.graphs.append(made)
            faults = verify_graph(made)
        else:
            self.plans += 1
            faults = verify_plan(made, self.graphs[-1], self.limits)
        assert not faults, "\n".join(faults)


def lower(graph: Graph, level: int, limits: Limits = SELDON) -> Plan | list[str]:
    """Return the plan of a graph, sound after every pass, or the codes of the rules that forbid it."""
    sink = Sink()
    watch = Verifying(limits)
    watch(graph)
    plan = plan_graph(graph, Options(level, limits=limits, pools=POOLS, watch=watch), sink)
    return plan if plan else [each.rule.code for each in sink]


@dataclass(frozen=True, slots=True)
class InProcess:
    """A plan with its units loaded."""

    plan: Plan
    units: dict[str, LoadedUnit]

    def infer(self, body: Json) -> Json:
        """Answer a V2 request; raises FailedError."""
        return self._walk(self.plan.root, body)

    def _walk(self, unit: Unit, message: Json) -> Json:
        loaded = self.units[unit.name]
        if unit.type == "MODEL":
            message = _answer(loaded, read_message(_dump(_chain(message)), {}))
        if unit.type == "ROUTER":
            route: int = _guarded(lambda: loaded.route(read_message(_dump(message), {})))
            message = message if route == -2 else self._walk(unit.children[route], message)
        elif unit.type == "COMBINER":
            answers = [self._walk(child, message) for child in unit.children]
            message = _answer(loaded, read_messages(_dump(answers), {}))
        elif unit.children:
            message = self._walk(unit.children[0], message)
        if unit.type == "OUTPUT_TRANSFORMER":
            message = _answer(loaded, read_message(_dump(_chain(message)), {}))
        return message


def _dump(message: object) -> bytes:
    return json.dumps(message).encode()


def _guarded(call: Any) -> Any:
    try:
        return call()
    except RequestError as error:
        raise FailedError(400, str(error)) from error
    except RunError as error:
        raise FailedError(500, str(error)) from error


def _chain(message: Json) -> Json:
    if "inputs" in message:
        return message
    message = {key: value for key, value in message.items() if key != "outputs"} | {
        "inputs": message["outputs"]
    }
    # The executor decodes and encodes again here: numbers go through float64.
    return json.loads(json.dumps(message), parse_int=lambda digits: int(float(digits)))


def _answer(unit: LoadedUnit, read: Any) -> Json:
    message = _guarded(lambda: unit.accept(read))
    tensors = _guarded(lambda: [write_tensor(each) for each in unit.answer(message)])
    return json.loads(json.dumps({"outputs": tensors, "parameters": unit.carry(message)}))


def load_plans(plans: Sequence[Plan], artefacts: Path) -> list[InProcess]:
    """Load every unit of some plans; artefacts lie under the folder as they would be mounted."""

    async def load(plan: Plan, unit: Unit) -> LoadedUnit:
        region = json.dumps(describe_region(plan, unit))
        return await load_unit(Environment(region, unit.name, artefacts, "cpu", 1))

    async def load_all() -> list[InProcess]:
        return [
            InProcess(plan, {unit.name: await load(plan, unit) for unit in plan.root.walk()})
            for plan in plans
        ]

    return asyncio.run(load_all())
