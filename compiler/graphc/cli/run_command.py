"""`graphc run`: run a graph on this machine behind a V2 endpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import click

from graphc.cli.reporting import exit_if_rejected, read_settings, report
from graphc.compilation import Request, compile_files
from graphc.local.console import RunConsole
from graphc.local.load import Loaded, are_graphs, load_compiled, load_manifests, read_texts
from graphc.local.problem import Findings
from graphc.local.run import RunOptions, report_findings, run_documents
from graphc.lower.options import Options

_PORT = click.IntRange(0, 65535)


@click.command("run")
@click.argument("files", nargs=-1, required=True)
@click.option("--predictor", metavar="NAME", help="The predictor to run; else the one with most traffic.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a declared parameter.")
@click.option("-O", "level", type=click.IntRange(0, 1), help="Optimisation level of the compiler.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=_PORT, default=8080, show_default=True, help="For HTTP; 0 takes a free port.")
@click.option(
    "--grpc-port", type=_PORT, default=8081, show_default=True, help="For gRPC; 0 takes a free port."
)
@click.option("--mount", "mounts", multiple=True, metavar="CLAIM=DIR", help="A folder for a volume claim.")
@click.option("--request", type=click.File("rb"), help="Send this V2 request and print the answer.")
@click.option("--once", is_flag=True, help="End when all is ready and the request is answered.")
def command(
    files: tuple[str, ...],
    predictor: str | None,
    settings: tuple[str, ...],
    level: int | None,
    host: str,
    port: int,
    grpc_port: int,
    mounts: tuple[str, ...],
    request: BinaryIO | None,
    once: bool,
) -> None:
    """Run graph files or compiled manifests on this machine; `-` is standard input.

    Each unit is a process of its own, in the environment that Seldon's operator would give it; a V2
    endpoint in front calls them as Seldon's executor does. Only the answer to --request goes to
    standard output.
    """
    console, claims = RunConsole(), _read_mounts(mounts)
    loaded = _load(files, settings, level, console)
    body = None if request is None else request.read()
    options = RunOptions(predictor, host, port, grpc_port, claims, body, once)
    raise SystemExit(run_documents(loaded.documents, loaded.overrides, options, console))


def _load(
    files: tuple[str, ...], settings: tuple[str, ...], level: int | None, console: RunConsole
) -> Loaded:
    findings = Findings()
    texts = read_texts(files, findings)
    graphs = are_graphs(texts, findings)
    if findings.problems:
        raise SystemExit(report_findings(findings, console))
    if graphs:
        options = Options() if level is None else Options(level)
        done = compile_files(Request(files, read_settings(settings), options=options, purpose="local"))
        report(done, "text", to_stderr=True)
        exit_if_rejected(done)
        return load_compiled(done)
    if settings or level is not None:
        raise click.UsageError("`--set` and `-O` are for graph files; a manifest is compiled already")
    loaded = load_manifests(texts, findings)
    if findings.problems:
        raise SystemExit(report_findings(findings, console))
    return loaded


def _read_mounts(mounts: tuple[str, ...]) -> Mapping[str, Path]:
    claims = dict[str, Path]()
    for mount in mounts:
        claim, equals, folder = mount.partition("=")
        if not equals or not claim or not Path(folder).is_dir():
            raise click.BadParameter(
                f"`{mount}` is not CLAIM=DIR with a folder that exists", param_hint="--mount"
            )
        claims[claim] = Path(folder).absolute()
    return claims
