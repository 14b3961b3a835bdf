"""Reads what a graph and its nodes require, listed or in files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from graphc.artefacts.files import check_place, tell_failure
from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.artefacts import BAD_REQUIREMENT
from graphc.diagnostics.printable import quoted
from graphc.packages.pylock import LARGEST, find_export, is_pylock, read_pylock
from graphc.packages.requirements import (
    Requirement,
    Requirements,
    find_answer,
    find_clash,
    join_requirements,
    parse_requirement,
    split_lines,
)
from graphc.regular_files import open_regular
from graphc.runtime_image import read_image
from graphc.spec.fields import Model, Python, Required
from graphc.spec.read_spec import GraphSpec

_LARGEST: Final = 4 << 20


def read_requirements(spec: GraphSpec, folder: Path, sink: Sink) -> Requirements:
    """Return what a version of a graph requires in all; one image has it, whichever node asked."""
    faults = Sink()
    found = [*_read(spec, folder, spec.fields.requirements, ("requirements",), faults)]
    for name, node in spec.nodes.items():
        if isinstance(node, Model | Python):
            found += _read(spec, folder, node.requirements, ("nodes", name, "requirements"), faults)
    for each in faults:
        sink.report(each)
    return join_requirements(found, are_known=not faults.has_errors)


def _read(
    spec: GraphSpec, folder: Path, required: Required, path: tuple[str, ...], sink: Sink
) -> Iterator[Requirement]:
    if required.file is not None:
        yield from _read_file(folder, required.file, spec.at(*path), sink)
        return
    for index, each in enumerate(required.packages):
        at = spec.at(*path, index)
        if (found := _parse(each.package, at, sink, tuple(each.modules))) is not None:
            yield found


def _parse(text: str, at: Span, sink: Sink, modules: tuple[str, ...] = ()) -> Requirement | None:
    try:
        found = parse_requirement(text, modules)
    except ValueError as problem:
        sink.report(Diagnostic(BAD_REQUIREMENT, f"{quoted(text)} {problem}", at, find_answer(text)))
        return None
    _check_clash(found, at, sink)
    return found


def _check_clash(found: Requirement, at: Span, sink: Sink) -> None:
    """Report a package that the runtime image has in another version, which it keeps."""
    version = find_clash(found, read_image().packages)
    if version is not None:
        message = f"{quoted(found.line)} cannot be had beside the runtime image's {found.name} {version}"
        hint = f"allow that version, or leave `{found.name}` out"
        sink.report(Diagnostic(BAD_REQUIREMENT, message, at, hint))


def _read_file(folder: Path, name: str, at: Span, sink: Sink) -> Iterator[Requirement]:
    fault = check_place(folder, name)
    if fault is not None:
        sink.report(Diagnostic(fault.rule, fault.message, at, fault.help))
        return
    export = find_export(name)
    if export is not None:
        message = f"`{name}` is neither a file of requirements nor a `pylock.toml`"
        sink.report(Diagnostic(BAD_REQUIREMENT, message, at, export))
        return
    most = LARGEST if is_pylock(name) else _LARGEST
    try:
        with open_regular(folder / name) as file:
            text = file.read(most + 1)
    except OSError as error:
        fault = tell_failure(error, name)
        sink.report(Diagnostic(fault.rule, fault.message, at, fault.help))
        return
    if len(text) > most:
        message = f"`{name}` has more than {most >> 20} MiB"
        sink.report(Diagnostic(BAD_REQUIREMENT, message, at))
        return
    try:
        yield from [*_read_entries(text.decode("utf-8-sig"), folder / name, sink)]
    except UnicodeDecodeError:
        message = f"`{name}` is no file of requirements that can be read"
        sink.report(Diagnostic(BAD_REQUIREMENT, message, at))
    except ValueError as problem:
        sink.report(Diagnostic(BAD_REQUIREMENT, f"`{name}` {problem}", at))


def _read_entries(text: str, path: Path, sink: Sink) -> Iterator[Requirement]:
    """Yield what a file requires; raises ValueError where it is none of those that are read."""

    def place(number: int, entry: str) -> Span:
        return Span(str(path), number, 1, number, 1 + len(entry))

    if is_pylock(path.name):
        for locked in read_pylock(text):
            if isinstance(locked.found, Requirement):
                _check_clash(locked.found, place(locked.line, locked.called), sink)
                yield locked.found
            else:
                message = f"{quoted(locked.called)} {locked.found}"
                sink.report(Diagnostic(BAD_REQUIREMENT, message, place(locked.line, locked.called)))
        return
    for number, entry in split_lines(text):
        if (found := _parse(entry, place(number, entry), sink)) is not None:
            yield found
