"""Moves a graph's traffic to one of its predictors, step by step, each through gates."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from graphc.cluster.asking import Judge, Judgement, Question, Silent, Waiting, ask
from graphc.cluster.bundle import Bundle, is_route
from graphc.cluster.change import Change, Orders, Outcome
from graphc.cluster.client import Cluster, ref_of
from graphc.cluster.interrupt import Stopper
from graphc.cluster.ledger import Ledger
from graphc.cluster.planning import plan_graph
from graphc.cluster.problem import ClusterError
from graphc.cluster.records import Promotion, State
from graphc.cluster.reverting import bundle_of, take_back
from graphc.cluster.route_shares import find_left_out
from graphc.cluster.share_moves import Moves
from graphc.cluster.traffic import move, shadows_of, share_out, traffic_of
from graphc.unchecked import text

WORD: Final = "promote"
"""What the history calls a step; a change that was killed and is called so is taken up again."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to promote, and how carefully."""

    target: str | None
    steps: tuple[int, ...] | None
    pause: float
    """Seconds that a step has to stand before the next."""
    patience: float
    """Seconds to wait for gates that are not decided yet."""
    seconds: float
    """How long a step may take to be ready."""
    force: bool = False


SHARING: Final = frozenset({"HTTPRoute", "GRPCRoute", "VirtualService"})

DEFAULT_STEPS: Final = (10, 50, 100)


@dataclass(frozen=True, slots=True)
class Promoted:
    """How far a promotion came."""

    shares: Mapping[str, int]
    unshadowed: tuple[str, ...]
    """Predictors that were shadows and answer clients now."""
    failure: str | None = None
    is_unfinished: bool = False
    """Whether running it again goes on."""


@dataclass(slots=True)
class Promoting:
    """One promotion, from wherever it stands."""

    cluster: Cluster
    ledger: Ledger
    wish: Wish
    judges: Sequence[Judge]
    say: Callable[[str], None]
    stopper: Stopper
    waiting: Waiting = field(default_factory=Silent)
    _state: State = field(init=False)
    _bundle: Bundle = field(init=False)

    def find(self) -> Promotion:
        """Return what is to be done; raises where the graph is in no state for it."""
        self._state = self.ledger.take_over(self.say)
        if self._state.pending is not None:
            self._settle(self._state)
        self._state = self.ledger.load()
        if self._state.current is None:
            raise ClusterError(f"graphc serves no `{self.ledger.graph}` in `{self.ledger.namespace}`")
        self._bundle = bundle_of(self.ledger, self._state.current)
        plan = plan_graph(self.cluster, self._bundle, self._state)
        if not plan.is_silent or plan.conflicts:
            raise ClusterError(
                f"`{self.ledger.graph}` is not as revision {self._state.current} left it; somebody changed it: "
                "apply its file, or roll back, first"
            )
        return self._plan()

    @property
    def bundle(self) -> Bundle:
        """What serves now."""
        return self._bundle

    def _settle(self, state: State) -> None:
        pending = state.pending
        assert pending is not None
        if not pending.what.startswith(WORD):
            raise ClusterError(
                f"`{state.graph}` has an unfinished change ({pending.what}); apply or roll back first"
            )
        self.say(f"an interrupted step is taken back first ({pending.what})")
        take_back(self.cluster, self.ledger, state, self.stopper)

    def _plan(self) -> Promotion:
        shares, shadows = traffic_of(self._bundle.documents), shadows_of(self._bundle.documents)
        before = self._state.promotion
        resumed = before is not None and not before.is_done and self.wish.target in {None, before.target}
        wished = self.wish.target or (before.target if before and resumed else None)
        target = choose_candidate(wished, shares, shadows, self.ledger.graph)
        steps = self.wish.steps or (before.steps if before and resumed else DEFAULT_STEPS)
        filed = before.filed if before else shares
        unshadowed = before.shadows if before else ()
        if target in shadows:
            unshadowed = (*unshadowed, target)
        due = tuple(each for each in steps if each > shares.get(target, 0))
        return Promotion(filed, shares, unshadowed, target, due, not due)

    def carry_out(self, promotion: Promotion) -> Promoted:
        """Move the traffic; a failed gate takes all of it back."""
        judged = self._judge(promotion)
        if judged.finding != "passed":
            return self._stop(promotion, judged, moved=False)
        for step in promotion.steps:
            shares = share_out(
                {**dict.fromkeys(promotion.shadows, 0), **promotion.moved}, promotion.target, step
            )
            left = tuple(each for each in promotion.steps if each > step)
            promotion = replace(promotion, moved=shares, is_done=not left)
            outcome = self._move(promotion, f"{WORD} {promotion.target} to {step} %")
            if outcome.failure is not None:
                return Promoted(self._shares(), promotion.shadows, outcome.failure, is_unfinished=True)
            self.say(f"`{promotion.target}` gets {step} % (revision {outcome.revision})")
            self._pause()
            judged = self._judge(promotion)
            if judged.finding == "failed" or (judged.finding == "undecided" and left):
                return self._stop(promotion, judged, moved=True)
        return Promoted(promotion.moved, promotion.shadows)

    def _judge(self, promotion: Promotion) -> Judgement:
        """Ask all judges, until they are decided or the patience is over."""
        baseline = next((name for name in promotion.filed if name != promotion.target), promotion.target)
        question = Question(promotion.target, baseline, self.wish.patience)
        verdict, said = ask(self.judges, self._bundle, question, self.waiting, self.cluster.sleep)
        for statement in dict.fromkeys(said):
            self.say(statement)
        return verdict

    def _stop(self, promotion: Promotion, judged: Judgement, *, moved: bool) -> Promoted:
        reason = "; ".join(judged.statements) or judged.finding
        if judged.finding == "undecided":
            words = f"`{promotion.target}` stays where it is: {reason}"
            return Promoted(promotion.moved, promotion.shadows if moved else (), words, is_unfinished=True)
        was_moved = moved or traffic_of(self._bundle.documents) != dict(promotion.filed)
        if not was_moved:
            return Promoted(promotion.moved, (), f"`{promotion.target}` is not promoted: {reason}")
        outcome = self._give_back(promotion)
        words = f"`{promotion.target}` is not promoted: {reason}; "
        words += outcome.failure or "its traffic is as the file says again"
        return Promoted(self._shares(), (), words)

    def _give_back(self, promotion: Promotion) -> Outcome:
        """Return to the traffic that the file says, shadows included."""
        ledger, state = self.ledger, self.ledger.load()
        first = next(
            (
                each.revision
                for each in reversed(state.entries)
                if each.is_kept
                and not each.what.startswith(WORD)
                and dict(each.traffic) == dict(promotion.filed)
            ),
            None,
        )
        if first is None:
            self._bundle = move(self._bundle, promotion.filed)
            return self._change(self._bundle, f"{WORD}: {promotion.target} failed its gates", None)
        return self._change(bundle_of(ledger, first), f"{WORD}: {promotion.target} failed its gates", None)

    def _move(self, promotion: Promotion, what: str) -> Outcome:
        moved = move(self._bundle, promotion.moved)
        check_routes(self._bundle, moved, promotion.moved)
        outcome = self._change(moved, what, promotion)
        if outcome.failure is None:
            self._bundle = moved
        return outcome

    def _change(self, bundle: Bundle, what: str, promotion: Promotion | None) -> Outcome:
        state = self.ledger.load()
        plan = plan_graph(self.cluster, bundle, state)
        orders = Orders(what, self.wish.force, seconds=self.wish.seconds, promotion=promotion)
        return Change(self.cluster, self.ledger, plan, orders, self.say, self.stopper).make()

    def _shares(self) -> dict[str, int]:
        return traffic_of(self._bundle.documents)

    def _pause(self) -> None:
        until = time.monotonic() + self.wish.pause
        while (left := until - time.monotonic()) > 0:
            self.cluster.sleep(min(left, 1.0))


def choose_candidate(
    wished: str | None, shares: Mapping[str, int], shadows: Sequence[str], graph: str
) -> str:
    """Return the predictor that is wished for, or the one that can be meant: the only shadow, or other live one."""
    if wished is not None:
        if wished not in shares and wished not in shadows:
            names = ", ".join(f"`{each}`" for each in [*shares, *shadows])
            raise ClusterError(f"`{graph}` has no predictor `{wished}`; it has {names}")
        return wished
    others = list(shares)[1:] or list(shadows)
    if len(others) != 1 or (len(shares) > 1 and shadows):
        names = ", ".join(f"`{each}`" for each in [*list(shares)[1:], *shadows]) or "no other"
        raise ClusterError(f"say which predictor of `{graph}` is promoted, with --to; it has {names}")
    return others[0]


def check_routes(bundle: Bundle, moved: Bundle, shares: Mapping[str, int]) -> None:
    """Raise where routes share requests out, and would send nothing to a predictor with a share."""
    before = frozenset(name for name, share in traffic_of(bundle.documents).items() if share)
    moves = Moves(bundle.name, shares, before)
    for route in (each for each in moved.documents if is_route(ref_of(each))):
        if text(route, "kind") in SHARING and (left := find_left_out(route, moves)):
            names = ", ".join(f"`{each}`" for each in sorted(left))
            raise ClusterError(
                f"{ref_of(route)} sends nothing to {names}: it has a rule of its own, or requests are shared by a "
                "key; give it traffic in the file, and apply that"
            )
