"""Goes back: to a recorded revision, to what served before an unfinished change, or to nothing at all."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from graphc.cluster.bundle import DEPLOYMENT, Bundle
from graphc.cluster.change import restore
from graphc.cluster.client import Cluster, Ref
from graphc.cluster.find_serving import find_ours
from graphc.cluster.interrupt import Stopper
from graphc.cluster.ledger import Ledger, identify, now
from graphc.cluster.problem import ClusterError
from graphc.cluster.records import Entry, Pending, Promotion, State, add_entry, state_ref
from graphc.cluster.removing import order_of_removal, remove
from graphc.cluster.traffic import traffic_of


def find_revision(state: State, asked: int | None) -> Entry:
    """Return the revision to go back to: the one asked for, or the one before that which serves."""
    if asked is not None:
        entry = state.entry(asked)
        if entry is None:
            raise ClusterError(
                f"`{state.graph}` has no revision {asked}; `graphc history {state.graph}` lists them"
            )
        if not entry.is_kept:
            raise ClusterError(f"revision {asked} of `{state.graph}` is not kept: {entry.outcome}")
        return entry
    before = [each for each in state.entries if each.is_kept and each.revision < (state.current or 0)]
    if not before:
        raise ClusterError(f"`{state.graph}` has no revision before the one that serves")
    return before[-1]


def bundle_of(ledger: Ledger, revision: int) -> Bundle:
    """Return the documents of a revision."""
    return Bundle(ledger.graph, ledger.namespace, tuple(ledger.read(revision)))


def promotion_after(state: State, bundle: Bundle) -> Promotion | None:
    """Return the promotion that is so once a revision serves again: none where the file is right again."""
    promotion, shares = state.promotion, traffic_of(bundle.documents)
    if promotion is None or shares == dict(promotion.filed):
        return None
    return replace(promotion, moved=shares, is_done=shares.get(promotion.target) == 100)


def take_back(cluster: Cluster, ledger: Ledger, state: State, stopper: Stopper) -> str:
    """Undo a change that was left unfinished, and return what was done."""
    pending = state.pending
    assert pending is not None
    latest = state

    def save(new: State) -> State:
        nonlocal latest
        latest = ledger.save(new)
        return latest

    stopper.be_patient()
    if pending.step == "pruning":
        save(replace(state, pending=None))
        return f"it was complete, and only old objects were left to delete; revision {state.current} serves"
    restored = restore(cluster, ledger, state, save)
    entry = Entry(
        revision=pending.revision,
        at=now(),
        who=pending.holder.who,
        what=pending.what,
        outcome="failed: left unfinished",
        changes=(),
        traffic={},
        contents=(),
        is_kept=False,
    )
    save(replace(add_entry(latest, entry), pending=None))
    ledger.forget_all_but(each.revision for each in latest.entries if each.is_kept)
    return restored


def find_all(cluster: Cluster, state: State) -> tuple[list[Ref], list[Ref]]:
    """Return all that graphc made of a graph, in the order in which it can go, and what is not its own any more."""
    found = find_ours(cluster, state.namespace, state.graph, state.refs)
    foreign = [ref for ref in state.refs if ref not in found and cluster.get(ref) is not None]
    return order_of_removal(found), foreign


def delete_all(
    cluster: Cluster, ledger: Ledger, state: State, refs: Sequence[Ref], say: Callable[[str], None]
) -> None:
    """Delete a graph and what is remembered of it; the memory goes last, so that a killed delete is seen."""
    if state.version:
        pending = state.pending
        deleting = Pending(
            revision=pending.revision if pending else state.next,
            what="delete",
            step="deleting",
            base=pending.base if pending else state.current,
            made=pending.made if pending else (),
            started=now(),
            holder=identify(cluster),
            digest="",
        )
        ledger.save(replace(state, pending=deleting))
    for ref in refs:
        if remove(cluster, ref, state.graph):
            say(f"deleted {ref}")
        if ref.kind == DEPLOYMENT:
            _await_gone(cluster, ref)
    ledger.forget_all_but(())
    cluster.delete(state_ref(state.namespace, state.graph))


def _await_gone(cluster: Cluster, ref: Ref, seconds: int = 60) -> None:
    """Wait for finalizers: pods still mount the config maps that go next."""
    for _ in range(seconds):
        if cluster.get(ref) is None:
            return
        cluster.sleep(1.0)
    raise ClusterError(f"{ref} is not gone after {seconds} s; something holds it (its finalizers say what)")
