"""The pipeline is one tuple of stages, whose steps keep their contract."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import graphc
import pytest
from graphc.compile.compiling import Compiling
from graphc.compile.pipeline import PIPELINE
from graphc.compile.planning import Planning
from graphc.compile.reading import Reading
from graphc.compile.stages import Build, Check, Read, Stage, anyhow, run_stages, sound
from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.flow import CYCLE, DEAD_NODE

ROOT: Final = Path(graphc.__path__[0])
STEPS: Final = [step for section in PIPELINE for stage in section for step in stage.steps]

READING: Final = {"read_requirements", "draft_nodes", "emit"}
"""The steps that report while they build: two readers of files, and the target."""

ELSEWHERE: Final = {
    "frontend": {"check_branches", "check_origin", "check_served", "check_saved", "check_settings"},
    "compile": {"check_graph_names", "check_target"},
    "lower": set[str](),
}
"""The checks that are no step: what a step calls for one node, and checks of all files and of options."""


def test_the_exceptions_are_those_that_are_stated() -> None:
    assert {step.name for step in STEPS if isinstance(step, Read)} == READING


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_step_is_called_for_what_it_may(step: Check[Any] | Build[Any] | Read[Any]) -> None:
    assert step.name.startswith("check_") is isinstance(step, Check)
    assert ("sink" in inspect.signature(step.do).parameters) is not isinstance(step, Build)


@pytest.mark.parametrize("kind", [Compiling, Planning, Reading])
def test_every_step_is_in_the_pipeline_once(kind: type) -> None:
    named = [name for name, each in vars(kind).items() if inspect.isfunction(each) and name[0] != "_"]
    assert named
    assert sorted(named) == sorted(
        step.name for step in STEPS if step.do.__qualname__.startswith(f"{kind.__name__}.")
    )


def modules_of(part: str) -> Iterator[str]:
    yield from (path.stem for path in (ROOT / part).glob("check_*.py"))


@pytest.mark.parametrize("part", ELSEWHERE)
def test_every_check_is_called_by_a_step(part: str) -> None:
    steps = "".join(
        (ROOT / "compile" / f"{name}.py").read_text() for name in ("compiling", "planning", "reading")
    )
    called = {name for name in modules_of(part) if f"graphc.{part}.{name} import" in steps}
    assert called
    assert set(modules_of(part)) - called == ELSEWHERE[part]


class Counted:
    """What a step did."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def check_one(self, sink: Sink) -> None:
        self.done.append("one")
        sink.report(Diagnostic(DEAD_NODE, "a warning"))

    def check_two(self, sink: Sink) -> None:
        self.done.append("two")
        sink.report(Diagnostic(CYCLE, "an error"))

    def build(self) -> None:
        self.done.append("build")


def test_a_stage_begins_only_where_those_before_let_it() -> None:
    work, sink = Counted(), Sink()
    stages: list[Stage[Counted]] = [
        Stage(anyhow, Check(Counted.check_one)),
        Stage(sound, Check(Counted.check_two), Build(Counted.build)),
        Stage(sound, Build(Counted.build)),
        Stage(anyhow, Check(Counted.check_one)),
    ]
    run_stages(stages, work, sink)
    assert work.done == ["one", "two", "build"]
    assert len(sink) == 2
