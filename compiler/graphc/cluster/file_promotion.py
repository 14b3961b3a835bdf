"""Moves the traffic that a graph file says, step by step, for a run that follows the file."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from graphc.cluster.asking import Judge, Question, Silent, Waiting, ask
from graphc.cluster.bundle import Bundle
from graphc.cluster.file_traffic import write_shares
from graphc.cluster.problem import ClusterError
from graphc.cluster.promotion import DEFAULT_STEPS, Wish, choose_candidate
from graphc.cluster.traffic import shadows_of, share_out, traffic_of


@dataclass(slots=True)
class FilePromoting:
    """One promotion in a file; `bundle` is what the file says before it."""

    path: Path
    bundle: Bundle
    wish: Wish
    judges: Sequence[Judge]
    say: Callable[[str], None]
    waiting: Waiting = field(default_factory=Silent)

    def carry_out(self) -> str | None:
        """Change the file step by step; return why that ended early, with the file as it was before."""
        shares, shadows = traffic_of(self.bundle.documents), shadows_of(self.bundle.documents)
        target = choose_candidate(self.wish.target, shares, shadows, self.bundle.name)
        baseline = next((name for name in shares if name != target), target)
        steps = [each for each in self.wish.steps or DEFAULT_STEPS if each > shares.get(target, 0)]
        if not steps:
            self.say(f"`{target}` has {shares.get(target, 0)} % already")
            return None
        before = self.path.read_text("utf-8")
        try:
            if reason := self._ask(target, baseline):
                return f"`{target}` is not promoted: {reason}"
            for step in steps:
                shares = share_out(shares, target, step)
                self._write(shares)
                self.say(f"`{target}` gets {step} %")
                time.sleep(self.wish.pause)
                if reason := self._ask(target, baseline):
                    self.path.write_text(before, "utf-8")
                    return f"`{target}` is not promoted: {reason}; the file is as it was"
        except BaseException:
            self.path.write_text(before, "utf-8")
            raise
        return None

    def _write(self, shares: dict[str, int]) -> None:
        found = write_shares(str(self.path), self.bundle.name, shares)
        if found is None:
            raise ClusterError(f"{self.path} has `{self.bundle.name}` not exactly once")
        self.path.write_text(found[1], "utf-8")

    def _ask(self, target: str, baseline: str) -> str | None:
        """Return why the candidate may not go on; None where it may."""
        question = Question(target, baseline, self.wish.patience)
        verdict, _ = ask(self.judges, self.bundle, question, self.waiting)
        return None if verdict.finding == "passed" else "; ".join(verdict.statements) or verdict.finding
