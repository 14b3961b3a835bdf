"""Keeps a graph's documents away from objects that are somebody else's."""

from collections.abc import Mapping

from graphc.cluster.bundle import DEPLOYMENT, Bundle, find_maker, is_content, is_ours
from graphc.cluster.client import Ref, ref_of
from graphc.cluster.find_serving import serving_of_refs
from graphc.cluster.problem import ClusterError
from graphc.cluster.records import State
from graphc.engine_graph import MANAGED_BY, PART_OF
from graphc.ir.graph import Value
from graphc.unchecked import Data, texts


def check_target(bundle: Bundle, state: State) -> None:
    """Raise where a graph runs for another target: objects of both would have the same names."""
    new, old = (serving_of_refs(refs) for refs in (bundle.refs, state.refs))
    if new is not None and old is not None and new.target != old.target:
        raise ClusterError(
            f"`{bundle.name}` is there for the target `{old.target}`, and these files are for `{new.target}`: "
            f"`graphc delete {bundle.name}` makes room, or another namespace has some"
        )


def check_owners(bundle: Bundle, live: Mapping[Ref, Data]) -> None:
    """Raise where an object of a graph is there and graphc did not make it for this graph."""
    for document in bundle.documents:
        found = live.get(ref_of(document))
        if found is not None and not may_take(document, found, bundle.name):
            raise ClusterError(explain_owner(ref_of(document), found, bundle.name))


def may_take(document: Mapping[str, Value], live: Mapping[str, Value], graph: str) -> bool:
    """Say whether a document may be applied to an object.

    A SeldonDeployment of the graph's name is the graph, whoever wrote it. What never changes is not written to.
    """
    is_itself = ref_of(document).kind == DEPLOYMENT or is_content(document)
    return is_itself or is_ours(live, graph)


def explain_owner(ref: Ref, live: Mapping[str, Value], graph: str) -> str:
    """Say whose an object is, and what to do about it."""
    labels = texts(live, "metadata", "labels")
    maker, manager, part = find_maker(live), labels.get(MANAGED_BY), labels.get(PART_OF)
    if maker is not None:
        whose, rest = f"it belongs to {maker}", ""
    elif manager == "graphc" and part is not None:
        whose, rest = f"graphc made it for `{part}`", ""
    else:
        whose = f"`{manager}` manages it" if manager else "graphc did not make it"
        rest = f", or label it {MANAGED_BY}=graphc,{PART_OF}={graph} to let graphc have it"
    return f"{ref} is there already, and {whose}: name the graph or the predictor otherwise{rest}"
