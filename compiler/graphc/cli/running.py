"""What `graphc run` does with its files before anything is started."""

import click

from graphc.cli.reporting import (
    REJECTED,
    exit_if_rejected,
    kept_signatures,
    read_settings,
    report,
    write_problems,
)
from graphc.cli.target_option import chosen_target
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.diagnostics import Sink
from graphc.lower.options import Options
from graphc.run.console import RunConsole
from graphc.run.load import Loaded, are_graphs, load_compiled, load_manifests, name_source, read_texts
from graphc.run.problem import Findings
from graphc.run.run_documents import report_findings


def find_graphs(files: tuple[str, ...]) -> bool:
    """Say whether the files are graphs, which are compiled first; end with the problems where there are some."""
    findings = Findings()
    found = are_graphs(read_texts(files, findings), findings)
    if findings.problems:
        raise SystemExit(report_findings(findings, RunConsole()))
    return found


def load(
    files: tuple[str, ...],
    settings: tuple[str, ...],
    level: int | None,
    costs: str | None,
    console: RunConsole,
) -> Loaded:
    """Compile graph files, or read manifests; end with the problems where there are some."""
    findings = Findings()
    texts = read_texts(files, findings)
    graphs = are_graphs(texts, findings)
    if findings.problems:
        raise SystemExit(report_findings(findings, console))
    if graphs:
        options = Options() if level is None else Options(level)
        request = Request(
            files,
            read_settings(settings),
            options=options,
            purpose="local",
            costs=costs,
            signatures=kept_signatures(),
            target=chosen_target(),
        )
        done = compile_files(request)
        report(done, "text", to_stderr=True)
        exit_if_rejected(done)
        return load_compiled(done)
    if settings or level is not None or costs is not None or chosen_target() is not None:
        raise click.UsageError(
            "`--set`, `-O`, `--costs` and `--target` are for graph files; a manifest is compiled already"
        )
    sink = Sink()
    loaded = load_manifests(texts, sink, findings)
    write_problems(sink, {name_source(path): text for path, text in texts.items()})
    if findings.problems:
        raise SystemExit(report_findings(findings, console))
    if sink.has_errors:
        raise SystemExit(REJECTED)
    return loaded
