"""Reads, lowers and runs graphs in the test process; every pass is looked at."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from graphc.cases.run_cases import describe_plan
from graphc.compile.pipeline import plan_graph, read_graph
from graphc.diagnostics import Sink
from graphc.gpus.pools import Gpus, Pool
from graphc.gpus.products import PRODUCTS
from graphc.ir.graph import Graph
from graphc.ir.limits import Limits
from graphc.ir.plan import Plan
from graphc.lower.options import Options
from graphc.profiles.profile import Profile
from graphc.source.yaml_reader import read_documents
from graphc.spec.read_spec import read_graph_spec
from graphc.targets.find import DEFAULT, find_target
from graphc.verify.graph import verify_graph
from graphc.verify.plan import verify_plan
from graphc_runtimes.session import FailedError as FailedError
from graphc_runtimes.session import Session

Json = dict[str, Any]


POOLS: Final = (Pool("gpus", 4, 64_000, 2**38, Gpus(PRODUCTS["A100-80GB"], 4, "mps", 2)),)
"""Nodes whose GPUs are parted, so that there is something to pool."""

SELDON: Final = find_target(DEFAULT).find_limits(Profile(), "cluster")


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


def load_plans(plans: Sequence[Plan], artefacts: Path) -> list[Session]:
    """Load every unit of some plans; artefacts lie under the folder as they would be mounted."""
    return [Session(describe_plan(plan), artefacts) for plan in plans]
