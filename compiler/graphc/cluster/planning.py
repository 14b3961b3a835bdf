"""Says what applying a graph would change: the server itself tells, by applying without keeping it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from graphc.cluster.bundle import (
    CONFIG_MAP,
    DEPLOYMENT,
    MANAGED_BY,
    PART_OF,
    Bundle,
    is_content,
    is_ours,
    kinds_of,
    order_of_removal,
    strip,
)
from graphc.cluster.client import Cluster, Ref, ref_of, shorten
from graphc.cluster.dangers import Danger, find_dangers
from graphc.cluster.difference import Difference, find_changes
from graphc.cluster.problem import ClusterError, RefusedError
from graphc.cluster.records import Promotion, State, digest_of
from graphc.cluster.view import FindMap, view_document
from graphc.seldon.deployment import deployment_of
from graphc.unchecked import Data, text

Verb = Literal["create", "update", "delete", "keep"]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that the file decides and that somebody else decided otherwise."""

    ref: Ref
    manager: str
    field: str


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one object."""

    ref: Ref
    verb: Verb
    changes: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphPlan:
    """What becomes of a graph."""

    bundle: Bundle
    steps: tuple[Step, ...]
    dangers: tuple[Danger, ...]
    conflicts: tuple[Conflict, ...]
    state: State
    live: Mapping[Ref, Data] = field(default_factory=dict[Ref, Data])
    promoted: Promotion | None = None
    """A promotion that applying the file would undo."""
    foreign: tuple[Ref, ...] = ()
    """Objects that graphc remembers, and that somebody made their own."""

    @property
    def is_silent(self) -> bool:
        """Whether nothing would change."""
        return all(step.verb == "keep" for step in self.steps)

    @property
    def removals(self) -> list[Ref]:
        """What would be deleted."""
        return [step.ref for step in self.steps if step.verb == "delete"]


def plan_graph(cluster: Cluster, bundle: Bundle, state: State) -> GraphPlan:
    """Compare a graph's documents with what the cluster holds."""
    live = {ref: found for ref in bundle.refs if (found := cluster.get(ref)) is not None}
    conflicts: list[Conflict] = []
    results = {
        ref_of(each): _try(cluster, each, live.get(ref_of(each)), conflicts) for each in bundle.documents
    }
    steps = [_step(cluster, ref, live.get(ref), result, results) for ref, result in results.items()]
    removed, foreign = find_removals(cluster, bundle, state)
    steps += [Step(ref, "delete") for ref in removed]
    dangers = list(_dangers(cluster, live, results))
    dangers += [Danger("deleted", f"{ref} is deleted") for ref in removed if ref.kind != CONFIG_MAP]
    return GraphPlan(
        bundle,
        tuple(steps),
        tuple(dangers),
        tuple(conflicts),
        state,
        live,
        undone_promotion(bundle, state),
        tuple(foreign),
    )


def _try(cluster: Cluster, document: Data, live: Data | None, conflicts: list[Conflict]) -> Data:
    """Return what the server would make of a document."""
    if live is not None and is_content(document) and live.get("immutable") is True:
        if digest_of(live) != digest_of(document):
            name = text(document, "metadata", "name")
            raise ClusterError(
                f"ConfigMap {name} is there and holds something else than its name says; delete it, and plan again"
            )
        return live
    try:
        return cluster.apply(document, dry_run=True)
    except RefusedError as refused:
        found = read_conflicts(refused, ref_of(document))
        if not found:
            raise explain(refused, document) from refused
        conflicts += found
    return cluster.apply(document, dry_run=True, force=True)


def read_conflicts(refused: RefusedError, ref: Ref) -> list[Conflict]:
    """Return the fields for which the server refused a document, with their managers."""
    found: list[Conflict] = []
    for cause in refused.causes:
        if cause.reason == "FieldManagerConflict":
            manager = cause.message.partition('conflict with "')[2].partition('"')[0]
            found.append(Conflict(ref, manager or cause.message, cause.field.removeprefix(".")))
    return found


def explain(refused: RefusedError, document: Data) -> ClusterError:
    """Return a refusal in words that say what to do about it, where that is known."""
    ref = ref_of(document)
    if refused.is_missing and ref.kind == DEPLOYMENT and "resource" in str(refused):
        return ClusterError("the cluster does not know SeldonDeployments; Seldon Core is not installed there")
    if refused.is_missing and "namespaces" in str(refused):
        return ClusterError(f"the namespace `{ref.namespace}` does not exist")
    if refused.is_missing and "resource" in str(refused):
        return ClusterError(f"the cluster does not know {ref.kind.kind} of {ref.kind.api_version}")
    return ClusterError(f"the API server refuses {ref}: {shorten(str(refused), 600)}")


def _step(cluster: Cluster, ref: Ref, live: Data | None, result: Data, results: Mapping[Ref, Data]) -> Step:
    if live is None:
        return Step(ref, "create")
    changes = compare(
        live, result, _live_maps(cluster, ref.namespace), _new_maps(cluster, ref.namespace, results)
    )
    return Step(ref, "update" if changes else "keep", tuple(changes))


def compare(before: Data, after: Data, find_before: FindMap, find_after: FindMap) -> list[Difference]:
    """Return what differs between two documents, in the words of their graph."""
    return list(find_changes(view_document(before, find_before), view_document(after, find_after)))


def _live_maps(cluster: Cluster, namespace: str) -> FindMap:
    return lambda name: cluster.get(Ref(CONFIG_MAP, namespace, name)) if name else None


def _new_maps(cluster: Cluster, namespace: str, results: Mapping[Ref, Data]) -> FindMap:
    live = _live_maps(cluster, namespace)
    return lambda name: results.get(Ref(CONFIG_MAP, namespace, name)) or live(name)


def _dangers(cluster: Cluster, live: Mapping[Ref, Data], results: Mapping[Ref, Data]) -> Iterator[Danger]:
    for ref, before in live.items():
        if ref.kind == DEPLOYMENT:
            finders = (_live_maps(cluster, ref.namespace), _new_maps(cluster, ref.namespace, results))
            views = (view_document(before, finders[0]), view_document(results[ref], finders[1]))
            yield from find_dangers(deployment_of(strip(before)), deployment_of(strip(results[ref])), views)


def find_removals(cluster: Cluster, bundle: Bundle, state: State) -> tuple[list[Ref], list[Ref]]:
    """Return what this graph made before and has no use for, and what of it is not graphc's any more."""
    labelled = {PART_OF: bundle.name, MANAGED_BY: "graphc"}
    wanted = {*bundle.refs, *(Ref(CONFIG_MAP, bundle.namespace, name) for name in state.kept_contents)}
    found: dict[Ref, Data] = {}
    for kind in kinds_of([*bundle.refs, *state.refs]):
        for each in cluster.find(kind, bundle.namespace, labelled):
            found[ref_of(each)] = each
    foreign: list[Ref] = []
    for ref in state.refs:
        if ref not in found and ref not in wanted and (there := cluster.get(ref)) is not None:
            (foreign.append(ref) if not is_ours(there, bundle.name) else found.setdefault(ref, there))
    return order_of_removal(ref for ref in found if ref not in wanted), foreign


def traffic_of(documents: Iterable[Mapping[str, object]]) -> dict[str, int]:
    """Return the share of each predictor that answers clients."""
    found: dict[str, int] = {}
    for document in documents:
        if text(document, "kind") == "SeldonDeployment":
            for each in deployment_of(document).predictors:
                if not each.is_shadow:
                    found[each.name] = 100 if each.share is None else each.share
    return found


def undone_promotion(bundle: Bundle, state: State) -> Promotion | None:
    """Return the promotion that a file does not know of, whose traffic is still what it was before."""
    promotion = state.promotion
    if promotion is None or _shared(traffic_of(bundle.documents)) == _shared(promotion.moved):
        return None
    return promotion


def _shared(traffic: Mapping[str, int]) -> dict[str, int]:
    """Return the shares of those who get any: a file may drop who gets none."""
    return {name: share for name, share in traffic.items() if share}


def describe_steps(steps: Sequence[Step]) -> list[str]:
    """Return a plan's changes, a line each."""
    lines: list[str] = []
    for step in steps:
        if step.verb in {"create", "delete"}:
            lines.append(f"{step.verb} {step.ref}")
        lines += [change.words() for change in step.changes]
    return lines
