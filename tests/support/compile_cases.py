"""The graphs whose manifests are tested: the examples, and the small ones that reach the rest of the language."""

import os
import re
import shlex
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from click.testing import CliRunner
from graphc.cli import main

ROOT: Final = Path(__file__).parents[2]
CASES: Final = ROOT / "tests" / "compile" / "cases"

_RUN: Final = re.compile(r"^# run: (.*)$", re.MULTILINE)
_ENV: Final = re.compile(r"^# env: (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Compiled:
    """What `graphc compile` wrote, and what it said."""

    status: int
    text: str
    problems: str


@dataclass(frozen=True, slots=True)
class Case:
    """A graph file; its comments `# run: --set limit=3` and `# env: TEAM=risk` say how it is compiled."""

    path: Path

    def __str__(self) -> str:
        """Name an example by its folder, and a small graph by its file."""
        return self.path.parent.name if self.path.name == "graph.yaml" else self.path.stem

    @property
    def options(self) -> list[str]:
        """The options that the file's comments give."""
        return _words(_RUN, self.path)

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables that the file's comments give."""
        return dict(word.split("=", 1) for word in _words(_ENV, self.path))

    def compile(self, level: int, path: Path | None = None, more: Sequence[str] = ()) -> Compiled:
        """Compile the file, or another one in its place, in its own folder: no message names that folder.

        `more` are options beside those that the file's comments give.
        """
        options = ["compile", f"-O{level}", *self.options, *more, (path or self.path).name]
        with _inside(self.path.parent):
            done = CliRunner(env=self.environ).invoke(main, options)
        assert done.exit_code in (0, 1), (done.stderr, done.exception)
        return Compiled(done.exit_code, done.stdout, done.stderr)


def _words(comment: re.Pattern[str], path: Path) -> list[str]:
    found = comment.search(path.read_text("utf-8"))
    return shlex.split(found[1]) if found else []


@contextmanager
def _inside(folder: Path) -> Generator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def find_cases() -> list[Case]:
    """Return every case, by name."""
    paths = [*CASES.glob("*.yaml"), *ROOT.glob("graphs/*/graph.yaml")]
    return sorted((Case(path) for path in paths), key=str)
