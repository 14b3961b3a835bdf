"""`graphc view`: draw a graph and its plan."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import click

from graphc.cli.reporting import exit_if_rejected, plan_options, report
from graphc.compile.request import Request

if TYPE_CHECKING:
    from graphc.compile.compile_files import Compilation
    from graphc.compile.pipeline import CheckedGraph
    from graphc.view.drawing import Drawing
    from graphc.view.write_drawing import Format

_FORMATS: Final = {
    "html": ".html",
    "svg": ".svg",
    "mermaid": ".mmd",
    "dot": ".dot",
    "text": ".txt",
    "json": ".json",
}
_STDOUT: Final = "-"


@click.command("view")
@click.argument("paths", nargs=-1, required=True, metavar="FILE")
@plan_options
@click.option(
    "-o", "--output", metavar="PATH", help="The file to write; its ending says the format. `-` is stdout."
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(_FORMATS)),
    help="The format, where the ending does not say it.",
)
@click.option(
    "--of", type=click.Choice(["graph", "plan"]), default="plan", show_default=True, help="What to draw."
)
@click.option("--predictor", metavar="NAME", help="The predictor to draw; the first one, if not given.")
@click.option("--diff", "compares", is_flag=True, help="Draw what changes from one FILE to another.")
@click.option("--open", "opens", is_flag=True, help="Open what was written.")
def command(
    paths: tuple[str, ...],
    request: Request,
    output: str | None,
    format_: str | None,
    of: str,
    predictor: str | None,
    *,
    compares: bool,
    opens: bool,
) -> None:
    """Draw the graph of FILE and the plan it compiles to.

    Without `-o`, lines of text go to the terminal. `-o graph.html` writes one page that needs no network: the graph as
    the file has it and the plan as it runs, side by side, for each predictor. `.svg`, `.mmd` (Mermaid) and `.dot`
    hold one picture.

    With `--diff`, two FILEs are one picture: what the second adds, removes and changes of the first.
    """
    chosen = _find_format(output, format_)
    if opens and output in (None, _STDOUT):
        raise click.UsageError("--open needs a file: give one with -o")
    if len(paths) != 1 + compares:
        raise click.UsageError("`--diff` takes two files" if compares else "view draws one file")
    text = (
        _write_difference(paths, request, chosen, of, predictor)
        if compares
        else _write_one(paths[0], request, chosen, of, predictor)
    )
    if output in (None, _STDOUT):
        click.echo(text, nl=False)
        return
    assert output is not None
    from graphc.whole_files import write_whole

    try:
        write_whole(Path(output), text)
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from error
    click.echo(f"wrote {output}", err=True)
    if opens:
        click.launch(str(Path(output).resolve()))


def _write_one(file: str, request: Request, format_: str, of: str, predictor: str | None) -> str:
    # The compiler is slow to import, and help needs none of it.
    from graphc.compile.compile_files import compile_files

    done = compile_files(replace(request, paths=(file,)))
    report(done, "text", to_stderr=True)
    if not done.only_lost:
        exit_if_rejected(done)
    graph = _find_graph(done, file)
    if predictor is not None and predictor not in graph.plans:
        raise click.BadParameter(f"the predictors are {', '.join(graph.plans)}", param_hint="--predictor")
    return _write(done, graph, format_, of, predictor)


def _write_difference(
    paths: tuple[str, ...], request: Request, format_: str, of: str, predictor: str | None
) -> str:
    from graphc.cli.view_change import write_difference

    before, after = paths
    return write_difference(request, (before, after), format_, of, predictor)


def _find_format(output: str | None, format_: str | None) -> str:
    if format_ is not None:
        return format_
    if output in (None, _STDOUT):
        return "text"
    assert output is not None
    suffix = Path(output).suffix.lower()
    found = next((name for name, each in _FORMATS.items() if each == suffix), None)
    if found is None:
        known = ", ".join(_FORMATS.values())
        raise click.UsageError(f"the ending of {output} says no format ({known}); say it with --format")
    return found


def _find_graph(done: "Compilation", file: str) -> "CheckedGraph":
    if len(done.graphs) != 1:
        raise click.ClickException(f"{file} has {len(done.graphs)} graphs; view draws a file of one")
    return done.graphs[0]


def _write(done: "Compilation", graph: "CheckedGraph", format_: str, of: str, predictor: str | None) -> str:
    from graphc.view.place import ViewError
    from graphc.view.write_drawing import write_drawing

    name = predictor or next(iter(graph.plans))
    try:
        if format_ == "html":
            return _write_page(done, graph, predictor)
        return write_drawing(_draw(graph, name, of), cast("Format", format_))
    except ViewError as error:
        raise click.ClickException(str(error)) from error


def _draw(graph: "CheckedGraph", predictor: str, of: str) -> "Drawing":
    from graphc.view.containers import find_containers
    from graphc.view.draw_graph import draw_graph
    from graphc.view.draw_plan import draw_plan

    if of == "graph":
        return draw_graph(graph.graphs[predictor])
    documents = graph.emission.documents if graph.emission else ()
    return draw_plan(graph.plans[predictor], find_containers(documents, predictor))


def _write_page(done: "Compilation", graph: "CheckedGraph", predictor: str | None) -> str:
    from graphc.view.write_page import Tab, write_page

    names = [predictor] if predictor else list(graph.plans)
    shares = _shares(graph)
    tabs = [
        Tab(f"{name}{shares.get(name, '')}", _draw(graph, name, "graph"), _draw(graph, name, "plan"))
        for name in names
    ]
    return write_page(graph.spec.fields.metadata.name, tabs, done.sources)


def _shares(graph: "CheckedGraph") -> dict[str, str]:
    """Return what stands behind a predictor's name: its share of the requests, or that it is a shadow."""
    found: dict[str, str] = {}
    for name, each in (graph.spec.fields.predictors or {}).items():
        if each.shadow:
            found[name] = ", shadow"
        elif each.traffic is not None:
            found[name] = f", {each.traffic} %"
    return found
