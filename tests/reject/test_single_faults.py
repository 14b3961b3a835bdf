"""Breaks one thing at a time in every sound graph: one fault is one message, and none comes of another.

What is no single fault: a name that is gone may be read in many places, and each of them names it; a value that
versions have of their own may be wrong in each; and what is warned of where nothing is rejected may be true of several
nodes.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Final, cast

import pytest
import yaml
from compile_cases import Case, find_cases
from graphc.artefacts.read_signature import Signatures
from graphc.compile.pipeline import compile_document
from graphc.compile.request import Request
from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.diagnostic import Severity
from graphc.profiles.profile import Profile
from graphc.profiles.read_profile import find_profile, read_profile
from graphc.source.parameters import parse_settings
from graphc.source.yaml_reader import read_documents

Place = Sequence[str | int]
Plain = dict[str, object] | list[object] | str | int | float | bool | None

NAMES_WHAT_IS_GONE: Final = frozenset({"GC020", "GC021", "GC201", "GC202", "GC405", "GC565"})
NAMING: Final = frozenset({"inputs", "nodes", "out", "parameters", "servers", "take"})
"""Mappings whose keys are names that other places of a file, or the command line, may say."""

OF_UNUSED: Final = frozenset({"GC024", "GC205", "GC206", "GC215", "GC473"})
EVERY: Final = 12
"""The default run takes each twelfth change; the slow one takes all."""

SIGNATURES: Final = Signatures()


@dataclass(frozen=True, slots=True)
class Change:
    """What is broken, where, and the document then."""

    kind: str
    place: tuple[str | int, ...]
    document: Plain

    def __str__(self) -> str:
        return f"{self.kind} {'.'.join(map(str, self.place))}"

    def names_gone(self, each: Diagnostic) -> bool:
        """Say whether a message names what is not there any more: a name, or any of the parameters."""
        if each.rule.code not in NAMES_WHAT_IS_GONE:
            return False
        *above, step = self.place
        is_name = self.kind in {"drop", "rename"} and bool(above) and above[-1] in NAMING
        return self.place in {("parameters",), ("servers",)} or (is_name and str(step) in each.message)


def find_places(
    value: Plain, at: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Plain]]:
    """Yield every value of a document but the document itself."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for step, each in entries:
        inner = cast("Plain", each)
        yield (*at, step), inner
        yield from find_places(inner, (*at, step))


def change(document: Plain, place: Place, edit: Callable[[dict[str | int, Plain], str | int], None]) -> Plain:
    """Return the document with the mapping or list around a place edited."""
    new = deepcopy(document)
    owner = new
    for step in place[:-1]:
        owner = cast("Mapping[str | int, Plain]", owner)[step]
    edit(cast("dict[str | int, Plain]", owner), place[-1])
    return new


def put(value: Plain) -> Callable[[dict[str | int, Plain], str | int], None]:
    def edit(owner: dict[str | int, Plain], step: str | int) -> None:
        owner[step] = value

    return edit


def drop(owner: dict[str | int, Plain], step: str | int) -> None:
    del owner[step]


def rename(owner: dict[str | int, Plain], step: str | int) -> None:
    entries = [(f"{key}q" if key == step else key, value) for key, value in owner.items()]
    owner.clear()
    owner.update(entries)


def list_values(place: Place, value: Plain) -> Iterator[tuple[str, Plain]]:
    """Yield what a value is replaced by."""
    match value:
        case bool():
            yield "kind", "text"
        case str():
            yield "misspell", value + "zz"
            yield "kind", [value]
            if declared := re.fullmatch(r"([A-Z]+[0-9]*)\[(.*)\]", value):
                for other in {"BYTES", "INT64", "FP64"} - {declared[1]}:
                    yield "datatype", f"{other}[{declared[2]}]"
                yield "shape", value[:-1] + ", 7]"
        case int() | float():
            yield "kind", "text"
            yield "negative", -5
        case dict() | list():
            yield "kind", 7
            yield "null", None
            yield "empty", [] if isinstance(value, list) else {}
            # A text is a tensor there: names of ports would be gone, and what is named not be there, which is two.
            if place[-1] not in {"in", "take"}:
                yield "kind", "nowhere"
        case None:
            yield "kind", 7


def find_changes(document: Plain) -> Iterator[Change]:
    for place, value in find_places(document):
        yield Change("drop", place, change(document, place, drop))
        if isinstance(place[-1], str):
            yield Change("rename", place, change(document, place, rename))
        for kind, new in list_values(place, value):
            yield Change(kind, place, change(document, place, put(new)))


@cache
def read_cluster(case: Case) -> Profile:
    if "--profile" not in case.options:
        return Profile()
    name = case.options[case.options.index("--profile") + 1]
    beside = case.path.parent / name
    source = find_profile(str(beside) if beside.exists() else name, Sink())
    assert source is not None
    profile = read_profile(source, Sink())
    assert profile is not None
    return profile


def check(text: str, case: Case) -> list[Diagnostic]:
    """The problems of a document, whose files lie beside the case."""
    sink = Sink()
    options = case.options
    settings = parse_settings(options[index + 1] for index, each in enumerate(options) if each == "--set")
    cluster = read_cluster(case)
    request = Request((), settings, environ=case.environ, signatures=SIGNATURES, cluster=cluster)
    for document in read_documents(text, "graph.yaml", sink):
        compile_document(document, case.path.parent, request, sink)
    return list(sink)


def read(case: Case) -> Plain:
    return cast("Plain", next(iter(yaml.safe_load_all(case.path.read_text("utf-8")))))


def find_errors(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    return [each for each in found if each.severity is Severity.ERROR]


def describe_follow_up(made: Change, found: Sequence[Diagnostic]) -> str | None:
    """Say which messages only exist because of another one."""
    errors = find_errors(found)
    faults = {"gone" if made.names_gone(each) else (each.rule.code, each.at) for each in errors}
    unused = [each for each in found if each.rule.code in OF_UNUSED] if errors else []
    if len(faults) + len(unused) < 2:
        return None
    return f"{made}: " + "; ".join(f"{each.rule.code} {each.message}" for each in found)


def find_follow_ups(case: Case, changes: Sequence[Change]) -> tuple[list[str], Counter[str]]:
    """Return the changes with follow-ups, and how many changes of each kind were rejected."""
    document = read(case)
    before = set(map(_told, check(yaml.safe_dump(document, sort_keys=False), case)))
    follow_ups: list[str] = []
    rejected: Counter[str] = Counter()
    for made in changes:
        found = check(yaml.safe_dump(made.document, sort_keys=False), case)
        new = [each for each in found if _told(each) not in before]
        follow_ups += filter(None, [describe_follow_up(made, new)])
        rejected[made.kind] += bool(find_errors(new))
    return follow_ups, rejected


def _told(each: Diagnostic) -> tuple[str, str]:
    return each.rule.code, each.message


def test_one_fault_is_one_message() -> None:
    rejected: Counter[str] = Counter()
    follow_ups: list[str] = []
    for index, case in enumerate(find_cases()):
        # Each case begins with another change.
        found, counted = find_follow_ups(case, [*find_changes(read(case))][index % EVERY :: EVERY])
        follow_ups += (f"{case}: {each}" for each in found)
        rejected += counted
    assert not follow_ups, "\n".join(follow_ups)
    kinds = {"drop", "rename", "misspell", "kind", "datatype", "shape", "negative", "null", "empty"}
    assert {kind for kind in kinds if rejected[kind] >= 4} == kinds, rejected


@pytest.mark.slow
@pytest.mark.parametrize("case", find_cases(), ids=str)
def test_every_fault_is_one_message(case: Case) -> None:
    follow_ups, rejected = find_follow_ups(case, [*find_changes(read(case))])
    assert not follow_ups, "\n".join(follow_ups)
    assert rejected["misspell"]
