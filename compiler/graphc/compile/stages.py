"""What a pipeline is made of: stages of steps, each of which checks, builds or reads."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from graphc.diagnostics import Sink

W = TypeVar("W")
"""What is worked on: steps fill in its fields."""

When = Callable[[W, Sink], bool]


class Check(Generic[W]):
    """A step that reports, and changes nothing."""

    def __init__(self, do: Callable[[W, Sink], None]) -> None:
        self.do, self.name = do, do.__name__

    def run(self, work: W, sink: Sink) -> None:
        """Take the step."""
        self.do(work, sink)


class Build(Generic[W]):
    """A step that fills in a field, and reports nothing: what cannot be, the field says for a check to see."""

    def __init__(self, do: Callable[[W], None]) -> None:
        self.do, self.name = do, do.__name__

    def run(self, work: W, sink: Sink) -> None:
        """Take the step; it never sees the sink."""
        del sink
        self.do(work)


class Read(Generic[W]):
    """A step that reports while it builds, as readers of files do, and targets, which have pipelines of their own."""

    def __init__(self, do: Callable[[W, Sink], None]) -> None:
        self.do, self.name = do, do.__name__

    def run(self, work: W, sink: Sink) -> None:
        """Take the step."""
        self.do(work, sink)


class Stage(Generic[W]):
    """Steps that are taken one after another, whatever they report, if those before allow the stage."""

    def __init__(self, when: When[W], *steps: Check[W] | Build[W] | Read[W]) -> None:
        self.when, self.steps = when, steps


def anyhow(_work: object, _sink: Sink) -> bool:
    """Let a stage begin whatever was found."""
    return True


def sound(_work: object, sink: Sink) -> bool:
    """Let a stage begin where nothing was found wrong."""
    return not sink.has_errors


def run_stages(stages: Iterable[Stage[W]], work: W, sink: Sink) -> None:
    """Take the steps of the stages, up to the first stage that may not begin."""
    for stage in stages:
        if not stage.when(work, sink):
            return
        for step in stage.steps:
            step.run(work, sink)
