"""What graphs compile to, byte for byte; the same bytes whenever, however ordered, and from Python."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from compile_cases import CASES, Case, Compiled, find_cases
from graphc.compile.pipeline import compile_document
from graphc.compile.request import Request
from graphc.diagnostics import Sink
from graphc.documents import write_yaml
from graphc.lower.options import Options
from graphc.profiles.profile import Profile
from graphc.profiles.read_profile import find_profile, read_profile
from graphc.source.files import read_source
from graphc.source.located import Entry, Fields, Located
from graphc.source.parameters import parse_settings
from graphc.source.yaml_reader import read_documents

EVERY: Final = find_cases()
LEVELS: Final = (0, 1)
START: Final = "from graphc.cli import start; start()"
BUILDERS: Final = sorted(path for path in CASES.glob("*.py") if path.with_suffix(".yaml").exists())

at_each_level = pytest.mark.parametrize("level", LEVELS, ids=["O0", "O1"])
each_case = pytest.mark.parametrize("case", EVERY, ids=str)


@cache
def compiled(case: Case, level: int) -> Compiled:
    return case.compile(level)


@at_each_level
@each_case
def test_golden(case: Case, level: int, golden: Callable[[str, str], None]) -> None:
    """A graph that is refused at a level has what graphc says in place of a manifest."""
    done = compiled(case, level)
    assert done.status == (1 if done.problems else 0)
    suffix = "txt" if done.problems else "yaml"
    golden(f"{case}.O{level}.{suffix}", done.problems or done.text)


@at_each_level
@each_case
def test_the_order_of_nodes_does_not_matter(case: Case, level: int) -> None:
    wanted = compiled(case, level)
    for seed in range(3):
        assert compile_shuffled(case, level, random.Random(seed)) == (
            wanted.text if not wanted.status else ""
        )


def compile_shuffled(case: Case, level: int, order: random.Random) -> str:
    sink = Sink()
    source = read_source(str(case.path), sink)
    assert source is not None
    options = list(zip(case.options[::2], case.options[1::2], strict=True))
    settings = parse_settings(value for option, value in options if option == "--set")
    request = Request([], settings, case.environ, Options(level))
    for profile in (value for option, value in options if option == "--profile"):
        request = replace(request, cluster=read_cluster(case.path.parent / profile, profile))
    graphs = [
        compile_document(shuffle(document, order), case.path.parent, request, sink)
        for document in read_documents(source.text, source.file, sink)
    ]
    emissions = [graph.emission for graph in graphs if graph and graph.emission]
    return write_yaml([document for emission in emissions for document in emission.documents])


def read_cluster(path: Path, name: str) -> Profile:
    sink = Sink()
    source = find_profile(str(path) if path.exists() else name, sink)
    profile = read_profile(source, sink) if source else None
    assert profile is not None
    return profile


def shuffle(document: Located, order: random.Random) -> Fields:
    """The document with its nodes in another order."""
    assert isinstance(document, Fields)

    def turn(entry: Entry) -> Entry:
        if entry.key != "nodes":
            return entry
        assert isinstance(entry.value, Fields)
        nodes = order.sample(entry.value.entries, len(entry.value.entries))
        return replace(entry, value=replace(entry.value, entries=tuple(nodes)))

    return replace(document, entries=tuple(map(turn, document.entries)))


@at_each_level
def test_the_seed_of_hashes_does_not_matter(level: int) -> None:
    """This process has another seed than the one it starts, for all graphs at once."""
    sound = [case for case in EVERY if not case.options and not compiled(case, level).status]
    command = [sys.executable, "-c", START, "compile", f"-O{level}", *(str(case.path) for case in sound)]
    environ = os.environ | {"PYTHONHASHSEED": "7"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "---\n".join(compiled(case, level).text for case in sound)


@at_each_level
@pytest.mark.parametrize("path", BUILDERS, ids=lambda path: path.stem)
def test_a_builder_gives_the_same_bytes(path: Path, level: int) -> None:
    case = Case(path.with_suffix(".yaml"))
    wanted = compiled(case, level)
    built = case.compile(level, path)
    assert (built.status, built.problems) == (0, "")
    assert built.text == wanted.text


def test_builders_are_found() -> None:
    assert len(BUILDERS) >= 3
