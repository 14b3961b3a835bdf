"""Changes a graph in a cluster as a whole: what cannot be completed is taken back.

The order makes it safe to be killed between any two requests. First the state says that a change is under way and to
which revision a failure goes back; then the new revision is recorded; then config maps are applied, which nobody
reads yet; then the SeldonDeployment, or Services and Deployments; then, once those serve, what routes to them. Only
when all of that is done is anything deleted.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from graphc.cluster.adopting import hand_over
from graphc.cluster.bundle import CONFIG_MAP, Bundle, is_content, is_route, order_documents, strip
from graphc.cluster.client import Cluster, ref_of
from graphc.cluster.find_serving import serving_of
from graphc.cluster.interrupt import Interrupted, Stopper
from graphc.cluster.ledger import BEAT_SECONDS, Ledger, identify, now
from graphc.cluster.marks import find_mark, is_as_marked
from graphc.cluster.owners import explain_owner, may_take
from graphc.cluster.planning import (
    GraphPlan,
    adopts,
    describe_steps,
    explain,
    find_removals,
    read_conflicts,
)
from graphc.cluster.problem import ClusterError, RefusedError, UnreachableError
from graphc.cluster.putting import REPLICAS, find_freed, leave_replicas, put
from graphc.cluster.records import Entry, Pending, Promotion, State, add_entry, contents_of
from graphc.cluster.removing import Drain, remove, remove_all
from graphc.cluster.rollout import Rollout, RolloutError
from graphc.cluster.route_status import RouteWait
from graphc.cluster.serving import Serving
from graphc.cluster.traffic import traffic_of
from graphc.cluster.trouble import Trouble
from graphc.unchecked import Data

MOST_CHANGES: Final = 20
"""Lines of a change that the history keeps."""


@dataclass(frozen=True, slots=True)
class Orders:
    """How to make a change."""

    what: str
    """What it is, as the history calls it."""
    force: bool = False
    wait: bool = True
    seconds: float = 600.0
    promotion: Promotion | None = None
    """The promotion that is so once the change is made; None ends one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a change."""

    revision: int | None
    """The revision that serves; None where there is none."""
    failure: str | None = None
    restored: str | None = None
    """What was done about a failure."""
    troubles: tuple[Trouble, ...] = ()
    was_interrupted: bool = False


@dataclass(slots=True)
class Change:
    """One change of one graph, from its announcement to its end."""

    cluster: Cluster
    ledger: Ledger
    plan: GraphPlan
    orders: Orders
    say: Callable[[str], None]
    stopper: Stopper
    _state: State = field(init=False)
    _beat_at: float = field(init=False, default=0.0)

    def make(self) -> Outcome:
        """Make the change; in every case the graph is left whole, or what is left undone is said."""
        self._state = self.plan.state
        try:
            self._begin()
            self._apply()
            self._finish()
        except UnreachableError as error:
            return self._leave(str(error))
        except RolloutError as error:
            return self._take_back(str(error), tuple(error.troubles))
        except ClusterError as error:
            return self._take_back(str(error), ())
        except Interrupted:
            return replace(self._take_back("interrupted", ()), was_interrupted=True)
        return Outcome(self._state.current)

    def _begin(self) -> None:
        """Announce the change, and record what it makes and what was there before."""
        state, bundle = self.plan.state, self.plan.bundle
        left = state.pending
        made = [ref for ref in bundle.refs if ref not in self.plan.live]
        if left is not None:
            # A change that was killed: what it made is still to be taken back if this one fails.
            made += [ref for ref in left.made if ref not in made]
        base = left.base if left is not None else state.current
        found = None if left is not None else self._find_foreign(state)
        number_ = state.next if found is None else state.next + 1
        if left is not None and left.digest == bundle.digest:
            number_ = left.revision
        pending = Pending(
            revision=number_,
            what=self.orders.what,
            step="recording",
            base=base if found is None else state.next,
            made=tuple(made),
            started=now(),
            holder=identify(self.cluster),
            digest=bundle.digest,
        )
        refs = tuple(dict.fromkeys([*state.refs, *bundle.refs]))
        following = max(state.next, number_ + 1)
        self._state = self.ledger.save(replace(state, pending=pending, refs=refs, next=following))
        if found is not None:
            self._record_found(found, number_ - 1)
        self.ledger.record(bundle, number_)

    def _find_foreign(self, state: State) -> Bundle | None:
        """Return what is live and was not left by graphc's last change: it is what a failure goes back to."""
        bundle, there = self.plan.bundle, {**self.plan.live, **self.plan.ours}
        told = [ref for ref in there if self._serving is not None and self._serving.tells(ref)]
        if self._serving is None or not any(ref.kind == self._serving.main for ref in told):
            return None
        if state.current is not None and all(is_as_marked(there[ref], state.generations) for ref in told):
            return None
        # What is live may need other contents than the new version.
        kept = [strip(each) for ref, each in there.items() if ref.kind != CONFIG_MAP or is_content(each)]
        return Bundle(bundle.name, bundle.namespace, order_documents(leave_replicas(kept)))

    def _record_found(self, found: Bundle, revision: int) -> None:
        self.ledger.record(found, revision)
        entry = Entry(
            revision=revision,
            at=now(),
            who="",
            what="found in the cluster, as somebody else left it",
            outcome="found",
            changes=(),
            traffic=traffic_of(found.documents),
            contents=contents_of(found.documents),
            is_kept=True,
        )
        self._save(replace(add_entry(self._state, entry), current=revision))

    def _apply(self) -> None:
        documents, serving = self.plan.bundle.documents, self._serving
        self._step("applying")
        routes = [each for each in documents if is_route(ref_of(each))]
        if routes and serving is not None and serving.has_operator and self._only_removes():
            # No request may be sent to a predictor that is about to go.
            self._put(routes, force=self.orders.force)
        self._free_replicas()
        self._put([each for each in documents if each not in routes], force=self.orders.force)
        if serving is not None and self.orders.wait:
            self._step("waiting")
            waiting = Rollout(self.cluster, serving, self.plan.bundle, self.say, self._beat)
            waiting.wait(self.orders.seconds)
        self._put(routes, force=self.orders.force)
        if routes and serving is not None and self.orders.wait and not serving.has_operator:
            # What they led to before may end only now.
            self._step("routing")
            refs = [ref_of(each) for each in routes]
            new = [ref for ref in refs if ref not in self.plan.live]
            RouteWait(self.cluster, self.say, self._beat).wait(refs, new, self.orders.seconds)

    def _free_replicas(self) -> None:
        """Delete what scales Deployments that now have their replicas from the file: it would set them back."""
        for document in self.plan.bundle.documents:
            for ref in find_freed(document, self.plan.ours):
                remove(self.cluster, ref, self.plan.bundle.name)
                self._beat()

    @property
    def _serving(self) -> Serving | None:
        return serving_of(self.plan.bundle.documents)

    def _only_removes(self) -> bool:
        new = traffic_of(self.plan.bundle.documents)
        old = traffic_of(self.plan.live.values())
        return bool(old.keys() - new.keys()) and not new.keys() - old.keys()

    def _put(self, documents: Iterable[Data], *, force: bool) -> None:
        bundle = self.plan.bundle
        for document in documents:
            ref = ref_of(document)
            live = self.cluster.get(ref)
            if live is not None and not may_take(document, live, bundle.name):
                raise ClusterError(explain_owner(ref, live, bundle.name))
            if live is not None and not is_content(document) and adopts(bundle.documents):
                hand_over(self.cluster, ref, live)
            freed = bool(find_freed(document, self.plan.ours))
            try:
                put(self.cluster, document, bundle.documents, live=live, force=force)
            except RefusedError as refused:
                conflicts = read_conflicts(refused, ref)
                if freed and conflicts and all(each.field == REPLICAS for each in conflicts):
                    put(self.cluster, document, bundle.documents, live=live, force=True)
                elif conflicts:
                    owners = ", ".join(f"{each.field} ({each.manager})" for each in conflicts)
                    raise ClusterError(f"{ref} was changed meanwhile: {owners}") from refused
                else:
                    raise explain(refused, document) from refused
            self._beat()

    def _finish(self) -> None:
        """Make the new revision the current one, and only then delete what it no longer needs."""
        pending = self._state.pending
        assert pending is not None
        entry = self._entry(pending, "serving")
        replaced = [
            replace(each, outcome="replaced") if each.outcome == "serving" else each
            for each in self._state.entries
        ]
        done = replace(
            add_entry(replace(self._state, entries=tuple(replaced), current=pending.revision), entry),
            pending=replace(pending, step="pruning", base=pending.revision, made=()),
            generations=self._generations(),
            promotion=self.orders.promotion,
        )
        self._save(done)
        removed = find_removals(self.cluster, self.plan.bundle, done)
        remove_all(self.cluster, removed, self.plan.bundle.name, self._drain())
        self.ledger.forget_all_but(entry.revision for entry in done.entries if entry.is_kept)
        refs = tuple(ref for ref in self._state.refs if ref not in removed)
        self._save(replace(self._state, pending=None, refs=refs))

    def _entry(self, pending: Pending, outcome: str) -> Entry:
        documents = self.plan.bundle.documents
        lines = describe_steps(self.plan.steps)
        if len(lines) > MOST_CHANGES:
            lines = [*lines[: MOST_CHANGES - 1], f"and {len(lines) - MOST_CHANGES + 1} more"]
        return Entry(
            revision=pending.revision,
            at=now(),
            who=pending.holder.who,
            what=pending.what,
            outcome=outcome,
            changes=tuple(lines),
            traffic=traffic_of(documents),
            contents=contents_of(documents),
            is_kept=True,
        )

    def _generations(self) -> dict[str, int]:
        serving = self._serving
        told = [
            each
            for each in self.plan.bundle.documents
            if is_route(ref_of(each)) or (serving is not None and serving.tells(ref_of(each)))
        ]
        return find_marks(self.cluster, told)

    def _drain(self) -> Drain | None:
        """Return the wait for what goes, where graphc itself ends pods and somebody waits for it."""
        serving, bundle = self._serving, self.plan.bundle
        if serving is None or serving.has_operator or not self.orders.wait:
            return None
        return Drain(self.cluster, bundle.namespace, bundle.name, self.say, self._beat)

    def _step(self, step: str) -> None:
        pending = self._state.pending
        assert pending is not None
        self._save(replace(self._state, pending=replace(pending, step=step)))

    def _beat(self) -> None:
        """Tell others that this change lives, if it is time."""
        pending = self._state.pending
        if pending is not None and time.monotonic() - self._beat_at > BEAT_SECONDS:
            self._save(replace(self._state, pending=replace(pending, beat=pending.beat + 1)))

    def _save(self, state: State) -> None:
        self._state = self.ledger.save(state)
        self._beat_at = time.monotonic()

    def _leave(self, problem: str) -> Outcome:
        """Say that nothing can be said: the server does not answer."""
        return Outcome(
            self._state.current,
            problem,
            f"what was begun is unfinished; once the cluster answers, `graphc apply` completes it and "
            f"`graphc rollback {self.plan.bundle.name}` takes it back",
        )

    def _take_back(self, problem: str, troubles: tuple[Trouble, ...]) -> Outcome:
        """Return to what served before."""
        self.stopper.be_patient()
        try:
            restored = self._restore(problem)
        except UnreachableError as error:
            return replace(self._leave(f"{problem}; then {error}"), troubles=troubles)
        except ClusterError as error:
            words = (
                f"and could not be taken back: {error}; `graphc rollback {self.plan.bundle.name}` tries again"
            )
            return Outcome(self._state.current, problem, words, troubles)
        return Outcome(self._state.current, problem, restored, troubles)

    def _restore(self, problem: str) -> str:
        # An interrupted request may have been carried out: only the cluster knows.
        state = self.ledger.load()
        pending, me = state.pending, identify(self.cluster)
        if pending is None and state.current is not None and state.current == _revision(self._state):
            self._state = state
            return f"the change was complete already: revision {state.current} serves"
        if pending is None or pending.holder != me:
            self._state = state
            return "nothing was changed"
        if pending.step == "pruning":
            self._state = state
            self._finish()
            return f"the new version served already: revision {state.current} stays"
        self.say("taking the change back")
        self._state = state
        restored = restore(self.cluster, self.ledger, state, self._save_and_return)
        failed = replace(self._entry(pending, f"failed: {problem}"), is_kept=False)
        self._save(replace(add_entry(self._state, failed), pending=None))
        self.ledger.forget(pending.revision)
        return restored

    def _save_and_return(self, state: State) -> State:
        self._save(state)
        return self._state


def _revision(state: State) -> int | None:
    return state.pending.revision if state.pending is not None else state.current


def find_marks(cluster: Cluster, documents: Iterable[Data]) -> dict[str, int]:
    """Return what to remember of live objects, by the documents that they came of."""
    found: dict[str, int] = {}
    for document in documents:
        live = cluster.get(ref_of(document))
        found |= {} if live is None else find_mark(live, document)
    return found


def restore(cluster: Cluster, ledger: Ledger, state: State, save: Callable[[State], State]) -> str:
    """Put back what served before the pending change, delete what that made, and return what was done."""
    pending = state.pending
    assert pending is not None
    state = save(replace(state, pending=replace(pending, step="restoring", holder=identify(cluster))))
    documents = [] if pending.base is None else ledger.read(pending.base)
    # Routes first: they may lead to predictors that are about to go.
    routes = [each for each in documents if is_route(ref_of(each))]
    contents = [each for each in documents if is_content(each)]
    others = [each for each in documents if each not in routes and each not in contents]
    for document in [*contents, *routes, *others]:
        put(cluster, document, documents, live=cluster.get(ref_of(document)), force=True)
    kept = {ref_of(each) for each in documents}
    removed = [ref for ref in pending.made if ref not in kept and ref.name not in state.kept_contents]
    remove_all(cluster, removed, state.graph)
    left = tuple(ref for ref in state.refs if ref not in removed)
    known = [each for each in documents if str(ref_of(each)) in state.generations]
    generations = {**state.generations, **find_marks(cluster, known)}
    save(replace(state, pending=replace(pending, step="restoring"), refs=left, generations=generations))
    if pending.base is None:
        return "nothing served before; what was made is deleted"
    return f"revision {pending.base} serves again"
