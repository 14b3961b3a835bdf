"""Carries a plan out under the user's eyes; the commands that change a graph share it."""

import click

from graphc.cli.cluster_options import INTERRUPTED, say
from graphc.cluster.change import Change, Orders, Outcome
from graphc.cluster.client import Cluster
from graphc.cluster.interrupt import Interrupted, stoppable
from graphc.cluster.ledger import Ledger
from graphc.cluster.planning import GraphPlan
from graphc.cluster.trouble import describe


def carry_out(cluster: Cluster, plan: GraphPlan, orders: Orders) -> bool:
    """Make a change and say what became of it; return whether it was made."""
    bundle = plan.bundle
    ledger = Ledger(cluster, bundle.namespace, bundle.name)
    try:
        with stoppable(say) as stopper:
            outcome = Change(cluster, ledger, plan, orders, say, stopper).make()
    except Interrupted:
        say(f"{bundle.name}: left unfinished; `graphc apply` completes it, `graphc rollback` takes it back")
        raise
    return tell(bundle.name, outcome)


def tell(name: str, outcome: Outcome) -> bool:
    """Say what became of a change; an interrupted one ends the command."""
    for trouble in outcome.troubles:
        for line in describe(trouble):
            say(line)
    if outcome.failure is None:
        click.echo(f"{name}: revision {outcome.revision} serves")
        return True
    say(f"Error: {name}: {outcome.failure}")
    if outcome.restored:
        say(f"{name}: {outcome.restored}")
    if outcome.was_interrupted:
        raise SystemExit(INTERRUPTED)
    return False
