"""Asks the judges of a promotion until they are decided, and lets somebody see how it stands meanwhile."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from graphc.cluster.bundle import Bundle

JUDGE_SECONDS: Final = 2.0

Finding = Literal["passed", "failed", "undecided"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What gates say of a candidate, with a statement for each."""

    finding: Finding
    statements: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    """The statements that the finding comes of; all of them where this is empty."""


class Judge(Protocol):
    """Somebody who knows whether a candidate may take (more) traffic."""

    def judge(self, bundle: Bundle, candidate: str, baseline: str) -> Judgement:
        """Look at what is known now; `bundle` is what serves, `baseline` the predictor it is compared with."""
        ...


class Waiting(Protocol):
    """Somebody who is told how far the wait for gates is."""

    def show(self, words: str) -> None:
        """Take what is still open; it may be the same as before."""
        ...

    def done(self) -> None:
        """Take that the wait is over."""
        ...


class Silent:
    """A listener that ignores all it is told."""

    def show(self, words: str) -> None:
        """Say nothing."""

    def done(self) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Question:
    """Whether a candidate may go on, and how long an answer is waited for."""

    candidate: str
    baseline: str
    patience: float


def ask(
    judges: Sequence[Judge],
    bundle: Bundle,
    question: Question,
    waiting: Waiting,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Judgement, tuple[str, ...]]:
    """Return the verdict of all judges, undecided once the patience is over, and all that they said last."""
    start = time.monotonic()
    while True:
        found = [each.judge(bundle, question.candidate, question.baseline) for each in judges]
        verdict = _sum_up(found)
        waited = time.monotonic() - start
        if verdict.finding != "undecided" or waited > question.patience:
            waiting.done()
            return verdict, tuple(words for each in found for words in each.statements)
        left = f"{waited:.0f} of {question.patience:g} s"
        waiting.show(f"`{question.candidate}` waits for its gates ({left}): {'; '.join(verdict.statements)}")
        sleep(JUDGE_SECONDS)


def _sum_up(found: Sequence[Judgement]) -> Judgement:
    findings = {each.finding for each in found}
    for finding in ("failed", "undecided"):
        if finding in findings:
            return Judgement(finding, tuple(_reasons(found, finding)))
    return Judgement("passed")


def _reasons(found: Sequence[Judgement], finding: Finding) -> Iterator[str]:
    for each in found:
        if each.finding == finding:
            yield from each.reasons or each.statements
