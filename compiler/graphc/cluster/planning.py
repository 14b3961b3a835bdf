"""Says what applying a graph would change: the server itself tells, by applying without keeping it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from graphc.cluster.adopting import KUBECTL, is_kubectls
from graphc.cluster.bundle import CONFIG_MAP, DEPLOYMENT, Bundle, is_content, is_ours, strip
from graphc.cluster.client import Cluster, Ref, ref_of, shorten
from graphc.cluster.dangers import Danger, find_dangers
from graphc.cluster.difference import Difference, find_changes
from graphc.cluster.find_serving import find_ours, serving_of
from graphc.cluster.owners import check_owners, check_target
from graphc.cluster.problem import ClusterError, RefusedError
from graphc.cluster.putting import REPLICAS, find_freed, put
from graphc.cluster.records import Promotion, State, digest_of
from graphc.cluster.removing import order_of_removal
from graphc.cluster.traffic import traffic_of
from graphc.cluster.view import FindMap, view_document
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
    ours: Mapping[Ref, Data] = field(default_factory=dict[Ref, Data])
    """All other objects that graphc made for the graph and that are live."""
    results: Mapping[Ref, Data] = field(default_factory=dict[Ref, Data])
    """What the server would make of the documents."""
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
    check_target(bundle, state)
    live = {ref: found for ref in bundle.refs if (found := cluster.get(ref)) is not None}
    check_owners(bundle, live)
    ours, foreign = _find_others(cluster, bundle, state)
    conflicts: list[Conflict] = []
    results = {
        ref_of(each): _try(cluster, each, bundle.documents, live.get(ref_of(each)), conflicts)
        for each in bundle.documents
    }
    freed = {ref_of(each) for each in bundle.documents if find_freed(each, ours)}
    conflicts = [each for each in conflicts if each.ref not in freed or each.field != REPLICAS]
    steps = [_step(cluster, ref, live.get(ref), result, results) for ref, result in results.items()]
    removed = find_unneeded(bundle, state, ours)
    steps += [Step(ref, "delete") for ref in removed]
    dangers = list(_dangers(cluster, bundle, [*live.values(), *ours.values()], results))
    dangers += [Danger("deleted", f"{ref} is deleted") for ref in removed if ref.kind != CONFIG_MAP]
    return GraphPlan(
        bundle,
        tuple(steps),
        tuple(dangers),
        tuple(conflicts),
        state,
        live,
        ours,
        results,
        undone_promotion(bundle, state),
        tuple(foreign),
    )


def _try(
    cluster: Cluster,
    document: Data,
    documents: Sequence[Data],
    live: Data | None,
    conflicts: list[Conflict],
) -> Data:
    """Return what the server would make of a document."""
    if live is not None and is_content(document) and live.get("immutable") is True:
        if digest_of(live) != digest_of(document):
            name = text(document, "metadata", "name")
            raise ClusterError(
                f"ConfigMap {name} is there and holds something else than its name says; delete it, and plan again"
            )
        return live
    try:
        result = put(cluster, document, documents, live=live, force=False, dry_run=True)
    except RefusedError as refused:
        found = read_conflicts(refused, ref_of(document))
        if not found:
            raise explain(refused, document) from refused
        conflicts += found
        result = put(cluster, document, documents, live=live, force=True, dry_run=True)
    if live is not None and adopts(documents) and is_kubectls(live):
        # What kubectl applied becomes graphc's, and then what the document no longer has goes.
        return put(cluster, document, documents, live=live, force=True, dry_run=True, manager=KUBECTL)
    return result


def adopts(documents: Sequence[Data]) -> bool:
    """Say whether a change takes over what kubectl applied: an operator's object is one whole anyway."""
    serving = serving_of(documents)
    return serving is not None and not serving.has_operator


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


def _dangers(
    cluster: Cluster, bundle: Bundle, before: Sequence[Data], results: Mapping[Ref, Data]
) -> Iterator[Danger]:
    serving = serving_of(bundle.documents)
    if serving is None or all(ref_of(each).kind != serving.main for each in before):
        return
    old = serving.read_whole([strip(each) for each in before], _live_maps(cluster, bundle.namespace))
    new = serving.read_whole(
        [strip(each) for each in results.values()], _new_maps(cluster, bundle.namespace, results)
    )
    yield from find_dangers(old, new)


def find_removals(cluster: Cluster, bundle: Bundle, state: State) -> list[Ref]:
    """Return what this graph made before and has no use for, in the order in which it can go."""
    return find_unneeded(bundle, state, _find_others(cluster, bundle, state)[0])


def find_unneeded(bundle: Bundle, state: State, ours: Mapping[Ref, Data]) -> list[Ref]:
    """Return which of a graph's other objects neither its documents nor a revision need."""
    kept = {Ref(CONFIG_MAP, bundle.namespace, name) for name in state.kept_contents}
    return order_of_removal(ref for ref in ours if ref not in kept)


def _find_others(cluster: Cluster, bundle: Bundle, state: State) -> tuple[dict[Ref, Data], list[Ref]]:
    """Return what graphc made for a graph beside its documents, and what of that is not graphc's any more."""
    wanted = set(bundle.refs)
    found = {
        ref: each
        for ref, each in find_ours(
            cluster, bundle.namespace, bundle.name, [*bundle.refs, *state.refs]
        ).items()
        if ref not in wanted
    }
    kept = {Ref(CONFIG_MAP, bundle.namespace, name) for name in state.kept_contents}
    foreign: list[Ref] = []
    for ref in state.refs:
        if ref not in found and ref not in wanted | kept and (there := cluster.get(ref)) is not None:
            (foreign.append(ref) if not is_ours(there, bundle.name) else found.setdefault(ref, there))
    return found, foreign


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
