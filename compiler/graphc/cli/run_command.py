"""`graphc run`: run a graph on this machine behind a V2 endpoint."""

from typing import TYPE_CHECKING, BinaryIO

import click

from graphc.cli.mounts import mount_option, read_mounts
from graphc.cli.no_cache import cache_option
from graphc.cli.server_urls import read_servers
from graphc.cli.target_option import target_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphc.compare.observer import Observer
    from graphc.run.console import RunConsole
    from graphc.run.load import Loaded
    from graphc.seldon.node import ManifestNode

_PORT = click.IntRange(0, 65535)


@click.command("run")
@click.argument("files", nargs=-1, required=True)
@click.option("--predictor", metavar="NAME", help="Run only this predictor; without it, all.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a declared parameter.")
@click.option("-O", "level", type=click.IntRange(0, 2), help="Optimisation level of the compiler.")
@target_option
@click.option("--costs", metavar="FILE", help="Measured milliseconds: JSON, {graph: {node: ms}}.")
@cache_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=_PORT, default=8080, show_default=True, help="For HTTP; 0 takes a free port.")
@click.option(
    "--grpc-port", type=_PORT, default=8081, show_default=True, help="For gRPC; 0 takes a free port."
)
@mount_option
@click.option("--request", type=click.File("rb"), help="Send this V2 request and print the answer.")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="[NAME=]FILE|JSON",
    help="Send these inputs, as `graphc infer` does, and print the answer.",
)
@click.option(
    "--at", "servers", multiple=True, metavar="SERVER=URL", help="Where a server is that the graph asks."
)
@click.option("--seed", type=int, help="Draw versions and mirrored requests in a repeatable order.")
@click.option("--follow", is_flag=True, help="Share the requests anew when the files change.")
@click.option(
    "--watch",
    is_flag=True,
    help="Reload when the graph, a model or a Python file changes; the old one serves until then.",
)
@click.option("--lenient", is_flag=True, help="Answer what Seldon's executor cannot; no cluster does.")
@click.option("--logs", is_flag=True, help="Show what the units log.")
@click.option("--once", is_flag=True, help="End once all units are ready and the request is answered.")
def command(
    files: tuple[str, ...],
    predictor: str | None,
    settings: tuple[str, ...],
    level: int | None,
    costs: str | None,
    host: str,
    port: int,
    grpc_port: int,
    mounts: tuple[str, ...],
    request: BinaryIO | None,
    inputs: tuple[str, ...],
    servers: tuple[str, ...],
    seed: int | None,
    follow: bool,
    watch: bool,
    lenient: bool,
    logs: bool,
    once: bool,
) -> None:
    """Run graph files or compiled manifests on this machine; `-` is standard input.

    Each unit is a process of its own, in the environment that Seldon's operator would give it. A V2 endpoint
    in front calls the units as Seldon's executor does. It shares requests among predictors, and copies them
    to shadows, as a cluster does. Only the answer to --request or --input goes to standard output.
    """
    claims, at = read_mounts(mounts), read_servers(servers)
    if follow and (predictor is not None or "-" in files):
        raise click.UsageError("`--follow` is for files, and for all of their predictors")
    if watch and (follow or once or "-" in files):
        raise click.UsageError(
            "`--watch` is for files, and without `--once` and `--follow`, which it does too"
        )
    if request is not None and inputs:
        raise click.UsageError("`--request` is a whole request, and `--input` makes one: give one of them")
    # The compiler, the engine and rich are slow to import, and the help needs none of them.
    from graphc.cli.running import load
    from graphc.run.console import RunConsole
    from graphc.run.following import Follower, Source
    from graphc.run.run_documents import Changing, run_documents
    from graphc.run.running import RunOptions

    console = RunConsole()
    loaded = load(files, settings, level, costs, console)
    body = None if request is None else request.read()
    options = RunOptions(
        predictor, host, port, grpc_port, claims, body, once, seed, inputs, lenient, logs, at
    )

    def read() -> "Loaded | None":
        try:
            return load(files, settings, level, costs, console)
        except SystemExit:
            return None

    def observe(loaded: "Loaded") -> "Observer | None":
        return _observe(loaded.documents, console, 0)

    source = Source(files, read)
    raise SystemExit(
        run_documents(
            loaded,
            options,
            console,
            lambda: observe(loaded),
            (lambda share: Follower(source, loaded, share, console.say).follow()) if follow else None,
            Changing(source, observe) if watch else None,
        )
    )


def _observe(
    documents: "Sequence[ManifestNode]", console: "RunConsole", keep_samples: int
) -> "Observer | None":
    """Compare versions where there are several."""
    from graphc.compare.start import open_recorder
    from graphc.seldon.deployment import read_deployment
    from graphc.seldon.documents import KIND

    deployments = [read_deployment(each) for each in documents if each.text("kind") == KIND]
    if len(deployments) != 1 or len(deployments[0].predictors) < 2:
        return None
    begun = open_recorder(deployments[0].name, dict(deployments[0].annotations), keep_samples=keep_samples)
    if begun.problem:
        console.say(f"warning: comparisons are not stored: {begun.problem}")
    else:
        console.say(f"versions are compared: graphc compare {begun.run}")
    return begun.recorder
