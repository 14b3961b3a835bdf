"""`graphc test`: hold the answers of compiled graphs against what their cases expect."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphc.cli.reporting import exit_if_rejected, graph_options, report, write_problems
from graphc.cli.server_urls import read_servers
from graphc.compile.compile_files import Compilation, compile_files
from graphc.compile.pipeline import CheckedGraph
from graphc.compile.request import Request
from graphc.diagnostics import Sink

if TYPE_CHECKING:
    from graphc.cases.case import CaseFile
    from graphc.cases.report import Tried

_LEVELS = (0, 1, 2)


@click.command("test")
@graph_options
@click.option(
    "--cases",
    multiple=True,
    metavar="FILE",
    help="A file of cases; without one, NAME.cases.json, or cases.json and request.json beside the graph.",
)
@click.option("--each-level", is_flag=True, help="Run all cases at -O0, -O1 and -O2.")
@click.option("--each-row", is_flag=True, help="Ask each row of a request alone, too.")
@click.option("--update", is_flag=True, help="Write what is answered into the files of cases that differ.")
@click.option(
    "--junit", type=click.Path(dir_okay=False), metavar="FILE", help="Write a report as JUnit's XML."
)
@click.option("--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--at", "servers", multiple=True, metavar="SERVER=URL", help="Where a server is that the graph asks."
)
def command(
    request: Request,
    output_format: str,
    cases: tuple[str, ...],
    each_level: bool,
    each_row: bool,
    update: bool,
    junit: str | None,
    form: str,
    servers: tuple[str, ...],
) -> None:
    """Run the cases of graph files on their compiled plans, each plan in one process without a server.

    A case is a request with the answer that it expects. Exits with 0 if every answer is as expected, and with 1
    otherwise.
    """
    if find_spec("graphc_runtimes") is None:
        raise click.ClickException(
            "`graphc_runtimes` is not installed; install graphc's runtimes with their extras"
        )
    # What reads answers takes numpy, which other commands do not wait for.
    from graphc.cases.case import CaseError
    from graphc.cases.report import summarise, write_json, write_junit, write_text
    from graphc.cases.run_cases import NotRunError
    from graphc.whole_files import write_whole

    start, variables = time.perf_counter(), _variables(read_servers(servers))
    found: list[Tried] = []
    try:
        for level in _LEVELS if each_level else (request.options.level,):
            chosen = replace(request, purpose="local", options=replace(request.options, level=level))
            for tried, files in _try_level(chosen, output_format, cases, variables, each_row=each_row):
                found.append(tried)
                if form == "text":
                    click.echo("\n".join(write_text(tried)))
                if update:
                    _update(files, tried)
        if junit is not None:
            write_whole(Path(junit), write_junit(found))
    except (CaseError, NotRunError) as failure:
        raise click.ClickException(str(failure)) from failure
    except OSError as failure:
        raise click.ClickException(f"cannot write {failure.filename}: {failure.strerror}") from failure
    seconds = time.perf_counter() - start
    click.echo(summarise(found, seconds) if form == "text" else json.dumps(write_json(found), indent=2))
    if any(each.faults for tried in found for each in tried.outcomes) and not update:
        raise SystemExit(1)


def _try_level(
    request: Request,
    output_format: str,
    named: tuple[str, ...],
    variables: Mapping[str, str],
    *,
    each_row: bool,
) -> "Iterator[tuple[Tried, list[CaseFile]]]":
    from graphc.cases.report import Tried
    from graphc.cases.try_graph import try_cases

    done = compile_files(request)
    report(done, output_format, to_stderr=True)
    exit_if_rejected(done)
    for graph in done.graphs:
        pythons = _find_pythons(graph, done)
        files = _find_cases(graph, named)
        cases = [case for file in files for case in file.cases]
        outcomes = try_cases(graph, cases, pythons, variables, each_row=each_row)
        yield Tried(graph.spec.at().file, request.options.level, tuple(outcomes)), files


def _find_cases(graph: CheckedGraph, named: tuple[str, ...]) -> "list[CaseFile]":
    from graphc.cases.read_cases import find_case_files

    path = Path(graph.spec.at().file)
    files = find_case_files(path, named)
    if not any(file.cases for file in files):
        raise click.ClickException(
            f"{path} has no cases: write them into `{path.with_suffix('.cases.json').name}` or `cases.json` "
            f"beside it, as a list of objects with `request` and `expected`"
        )
    return files


def _find_pythons(graph: CheckedGraph, done: Compilation) -> dict[str, Path]:
    from graphc.trial.pythons import Pythons, find_requirements

    sink = Sink()
    pythons = Pythons(sink)
    found = {version: pythons.find(find_requirements(graph, version), graph) for version in graph.plans}
    if len(sink):
        write_problems(sink, done.sources)
        raise SystemExit(1)
    return {version: python for version, python in found.items() if python is not None}


def _update(files: "list[CaseFile]", tried: "Tried") -> None:
    from graphc.cases.update import update_cases

    for file in files:
        count = update_cases(file, tried.outcomes)
        if count:
            click.echo(f"{file.path}: {count} case{'s' * (count != 1)} updated", err=True)


def _variables(servers: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the graph's process: this one's, without what would configure a unit."""
    from graphc_components.servers import place_variable, token_variable, trust_variable

    from graphc.run.environment import base_environment

    beginnings = token_variable(""), trust_variable("")
    tokens = {name: value for name, value in os.environ.items() if name.startswith(beginnings)}
    return (
        base_environment(os.environ) | tokens | {place_variable(name): url for name, url in servers.items()}
    )
