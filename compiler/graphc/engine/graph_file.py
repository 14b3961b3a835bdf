"""The file that graphc's engine reads in a pod: the units that it walks, and what it tells clients of their graph."""

import os

from graphc.engine.reports import Receiver
from graphc.engine.service import ServedGraph
from graphc.engine.tree import TreeProblem, check_endpoints, read_predictor_tree
from graphc.engine_graph import KIND, NAMESPACE
from graphc.records import record
from graphc.seldon.node import ManifestNode
from graphc.seldon.unit import SeldonUnit
from graphc.source.located import Plain


@record
class EngineGraph:
    """A tree of units with their endpoints, the graph as clients know it, and the seconds that a call may take."""

    root: SeldonUnit
    graph: ServedGraph
    timeout_s: float | None
    report: Receiver | None = None


def read_engine_graph(document: ManifestNode) -> EngineGraph | TreeProblem:
    """Read the document; what it lacks is a problem with its place."""
    name = document.text("name")
    if document.text("kind") != KIND or not name:
        return TreeProblem("document", f"is not an {KIND} with a name")
    root = read_predictor_tree(document, "document")
    problem = root if isinstance(root, TreeProblem) else check_endpoints(root)
    if isinstance(root, TreeProblem) or problem is not None:
        return root if isinstance(root, TreeProblem) else problem or TreeProblem("graph", "cannot be read")
    milliseconds = document.number("timeout_ms")
    if document.has("timeout_ms") and not (milliseconds and milliseconds > 0):
        return TreeProblem("timeout_ms", "is not a positive whole number")
    served = ServedGraph(name, _describe(name, document))
    seconds = milliseconds / 1000 if milliseconds else None
    return EngineGraph(root, served, seconds, _read_receiver(name, document.child("report")))


def _read_receiver(graph: str, node: ManifestNode) -> Receiver | None:
    """Return who is told of answers; the pod says in which namespace they are given."""
    url, predictor = node.text("url"), node.text("predictor")
    return Receiver(url, graph, predictor, os.environ.get(NAMESPACE, "")) if url and predictor else None


def _describe(name: str, document: ManifestNode) -> dict[str, Plain]:
    """Return the V2 metadata of the graph."""
    return {
        "name": name,
        "platform": "graphc",
        "versions": list[Plain](document.strings("versions")),
        "inputs": [each.plain for each in document.items("inputs")],
        "outputs": [each.plain for each in document.items("outputs")],
    }
