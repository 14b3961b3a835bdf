"""`graphc init`: write a new graph that runs at once."""

import json
from importlib.util import find_spec
from pathlib import Path

import click

from graphc.cli.no_cache import cache_option
from graphc.cli.reporting import kept_signatures, report
from graphc.compile.compile_files import Compilation, compile_files
from graphc.compile.request import Request
from graphc.diagnostics import Sink
from graphc.diagnostics.printable import printable
from graphc.layout.format_text import format_text
from graphc.scaffold.survey import make_name, survey
from graphc.scaffold.templates import FILES, README, TEMPLATES
from graphc.scaffold.write_graph import write_graph
from graphc.whole_files import write_whole

_GRAPH, _CASES, _PAGE = "graph.yaml", "cases.json", "README.md"


@click.command("init")
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option("--name", metavar="NAME", help="The graph's name; without it, the folder's.")
@click.option(
    "--template",
    type=click.Choice(sorted(TEMPLATES)),
    help="Start from this graph, whatever models there are.",
)
@cache_option
def command(folder: Path, name: str | None, template: str | None) -> None:
    """Write a graph into FOLDER, with a case and a page; nothing that is there is overwritten.

    The graph is made of the models that lie in the folder: graphc reads what they take and give. Without any, it
    is made of a template.
    """
    chosen = make_name(name or folder.resolve().name, "graph")
    models, unread = ([], []) if template or not folder.is_dir() else survey(folder, kept_signatures())
    if models:
        drawn = write_graph(chosen, models, unread)
        files, notes = {_GRAPH: _lay_out(drawn.text)}, list(drawn.notes)
    else:
        kind = template or "components"
        files = {_GRAPH: TEMPLATES[kind].format(name=chosen), **FILES.get(kind, {})}
        notes = [f"{each.path} is left out: {each.reason}" for each in unread]
    _write(folder, {**files, _PAGE: README.format(name=chosen)})
    for note in notes:
        click.echo(f"note: {printable(note)}", err=True)
    path = folder / _GRAPH
    done = compile_files(Request((str(path),), purpose="local"))
    report(done, "text", to_stderr=True)
    programs = [each.path for each in models if each.framework == "sklearn"]
    if not done.sink.has_errors and _write_case(done, folder):
        if programs:
            # Nobody said that the programs in these files may run.
            why = f"{programs[0]} is a pickle, which is a program: `graphc test --update` runs it"
            click.echo(f"note: the case has no answer yet, as {why}", err=True)
        else:
            _answer_case(done, folder)
    shown = "" if str(folder) == "." else f"{folder}/"
    click.echo(f"wrote {', '.join(shown + each for each in sorted(each.name for each in _written(folder)))}")
    click.echo(f"next: graphc {'check' if done.sink.has_errors else 'run'} {path}")


def _lay_out(text: str) -> str:
    """Return a graph's text as `graphc fmt` leaves it."""
    return format_text(text, _GRAPH, Sink()) or text


def _written(folder: Path) -> list[Path]:
    known = {_GRAPH, _CASES, _PAGE, *(name for each in FILES.values() for name in each)}
    return [each for each in folder.iterdir() if each.name in known]


def _write(folder: Path, files: dict[str, str]) -> None:
    """Write all files, or none where one of them is there."""
    there = [name for name in (*files, _CASES) if (folder / name).exists()]
    if there:
        raise click.ClickException(f"`{folder / there[0]}` is there already; graphc init overwrites nothing")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_whole(folder / name, text)
    except OSError as failure:
        raise click.ClickException(f"cannot write {failure.filename}: {failure.strerror}") from failure


def _write_case(done: Compilation, folder: Path) -> bool:
    """Write a case of made-up values; say whether there is one."""
    from graphc.run.example import make_example

    (graph,) = done.graphs
    body = make_example(dict(next(iter(graph.plans.values())).inputs))
    if body is None:
        return False
    case: dict[str, object] = {"name": "made up", "request": body}
    write_whole(folder / _CASES, f"[\n{json.dumps(case)}\n]\n")
    return True


def _answer_case(done: Compilation, folder: Path) -> None:
    """Write what the graph answers into its case, where it can be run here."""
    if find_spec("graphc_runtimes") is None:
        return
    import os
    import sys

    from graphc.cases.case import CaseError
    from graphc.cases.read_cases import read_cases
    from graphc.cases.run_cases import NotRunError
    from graphc.cases.try_graph import try_cases
    from graphc.cases.update import update_cases

    (graph,) = done.graphs
    file = read_cases(folder / _CASES)
    pythons = dict.fromkeys(graph.plans, Path(sys.executable))
    try:
        outcomes = try_cases(graph, file.cases, pythons, os.environ, each_row=False)
        update_cases(file, outcomes)
    except (CaseError, NotRunError) as failure:
        click.echo(f"note: the case has no answer yet: {failure}", err=True)
