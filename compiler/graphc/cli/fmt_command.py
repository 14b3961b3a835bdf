"""`graphc fmt`: rewrite graph files in the one layout."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from graphc.cli.folders import expand_folders

if TYPE_CHECKING:
    from graphc.diagnostics import Sink
    from graphc.source.files import Source

_STDIN: Final = "-"
_REJECTED: Final = 1


@click.command("fmt")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Print what would change; otherwise like --check.")
def command(files: tuple[str, ...], *, check: bool, diff: bool) -> None:
    """Rewrite graph files in the one layout; `-` is standard input, whose text goes to standard output.

    A folder stands for the graph files below it. The layout keeps every comment, the order of keys and what the file
    means. A file that cannot be read stays as it is, and so does everything else that a file says.

    Exits with 0 if nothing is wrong, and with 1 if a file cannot be read, or would change and --check or --diff was
    given.
    """
    # Help needs neither the reader nor the layout.
    from graphc.cli.reporting import write_problems
    from graphc.diagnostics import Sink

    sink, sources = Sink(), dict[str, str]()
    changed, kept, failed = 0, 0, 0
    for path in expand_folders(files):
        source, formatted = _format(path, sink)
        if source is not None:
            sources[source.file] = source.text
        if source is None or formatted is None:
            failed += 1
            continue
        if not (check or diff) and not _put(path, source, formatted):
            failed += 1
            continue
        differs = formatted != source.text
        changed, kept = changed + differs, kept + (not differs)
        if diff:
            click.echo("".join(_diff(source, formatted)), nl=False)
        elif differs and check:
            click.echo(f"would reformat {source.file}")
    write_problems(sink, sources)
    if _STDIN not in files or check or diff:
        click.echo(_summarise(changed, kept, failed, would=check or diff), err=True)
    if failed or (changed and (check or diff)):
        raise SystemExit(_REJECTED)


def _format(path: str, sink: "Sink") -> "tuple[Source | None, str | None]":
    """Return a file's text as it is and as it is to be; without the latter, what is wrong was said."""
    from graphc.layout.format_text import format_text
    from graphc.layout.write_nodes import UnwritableError
    from graphc.source.files import read_source

    source = read_source(path, sink)
    if source is None:
        return None, None
    if reason := _name_other(source):
        click.echo(f"error: `{path}` is {reason}, and fmt formats YAML", err=True)
        return source, None
    try:
        return source, format_text(source.text, source.file, sink)
    except UnwritableError as problem:
        at = f"{source.file}:{problem.at.line + 1}:{problem.at.column + 1}"
        click.echo(f"error: {at}: fmt has no form for {problem.words}; the file stays as it is", err=True)
        return source, None


def _name_other(source: "Source") -> str | None:
    """Return what a text is that is no YAML; None for YAML."""
    if source.is_python:
        return "Python"
    if not source.text.lstrip().startswith("{"):
        return None
    import json

    try:
        json.loads(source.text)
    except (ValueError, RecursionError):
        return None
    return "JSON"


def _put(path: str, source: "Source", formatted: str) -> bool:
    """Write a file that changes, whole or not at all; say whether that was possible."""
    if path == _STDIN:
        click.echo(formatted, nl=False)
        return True
    if formatted == source.text:
        return True
    from graphc.whole_files import write_whole

    # Behind a link stands the file.
    place = Path(path).resolve()
    try:
        # To take its place needs the right to write to the folder alone.
        if place.exists() and not os.access(place, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        write_whole(place, formatted)
    except OSError as error:
        click.echo(f"error: {path} cannot be written: {error.strerror}", err=True)
        return False
    click.echo(f"reformatted {path}")
    return True


def _diff(source: "Source", formatted: str) -> Iterator[str]:
    import difflib

    before, after = source.text.splitlines(keepends=True), formatted.splitlines(keepends=True)
    for line in difflib.unified_diff(before, after, source.file, source.file):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _summarise(changed: int, kept: int, failed: int, *, would: bool) -> str:
    verb = "would be reformatted" if would else "reformatted"
    left = "would be left unchanged" if would else "left unchanged"
    counts = ((changed, verb), (kept, left), (failed, "could not be formatted"))
    return ", ".join(f"{count} file{'s' * (count != 1)} {what}" for count, what in counts if count)
