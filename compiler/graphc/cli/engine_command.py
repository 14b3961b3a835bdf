"""`graphc engine`: walk a manifest's graph over units that already listen."""

import asyncio
import signal
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

import click

from graphc.cli.reporting import REJECTED, write_problems
from graphc.diagnostics import Sink
from graphc.engine.graph_file import read_engine_graph
from graphc.engine.limits import LimitError
from graphc.engine.serve import Engine, EngineOptions
from graphc.engine.tree import TreeProblem, check_endpoints, read_timeout, read_tree
from graphc.engine_graph import KIND as ENGINE_GRAPH
from graphc.seldon.documents import KIND, flatten
from graphc.seldon.node import ManifestNode
from graphc.seldon.unit import SeldonUnit
from graphc.source.yaml_reader import read_manifests

_PORT: Final = click.IntRange(0, 65535)


@click.command("engine")
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--predictor", help="The predictor to serve; needed where there are several.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--http-port", type=_PORT, default=8000, show_default=True, help="0 takes a free port.")
@click.option("--grpc-port", type=_PORT, help="Serve gRPC too; 0 takes a free port.")
@click.option(
    "--as-seldon",
    "mode",
    flag_value="seldon",
    help="Read MANIFEST as the operator gives it to the executor: skip units without a type.",
)
@click.option("--lenient", "mode", flag_value="lenient", help="Answer what the executor cannot.")
def command(
    manifest: Path,
    predictor: str | None,
    host: str,
    http_port: int,
    grpc_port: int | None,
    mode: Literal["seldon", "lenient"] | None,
) -> None:
    """Walk the graph of MANIFEST over units that already listen.

    MANIFEST is a SeldonDeployment, or the file that the target `kubernetes` writes for the engine. The engine
    calls a unit at the `service_host` of its `endpoint`: at the `httpPort` for a request over REST, at the
    `grpcPort` for one over gRPC. Order and errors are those of Seldon's executor. A call that would end the
    executor's process gets UNAVAILABLE, with the reason. With --lenient, and for a file of `kubernetes`, the
    engine answers what the executor cannot, and calls all units over REST.
    """
    document = read_document(manifest)
    # It counts the units, before anything takes time for each.
    engine = _open(manifest, document, predictor, mode, EngineOptions(host, http_port, grpc_port))
    try:
        asyncio.run(_serve(engine, host))
    except LimitError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"cannot listen: {error.strerror or error}") from error


def read_document(manifest: Path) -> ManifestNode:
    """Return the only SeldonDeployment or engine's graph of a file; end with the problems where there are some."""
    try:
        text = manifest.read_text("utf-8-sig")
    except OSError as error:
        raise click.ClickException(f"`{manifest}` cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise click.ClickException(f"`{manifest}` is not UTF-8") from error
    sink = Sink()
    documents = [
        ManifestNode(each) for found in read_manifests(text, str(manifest), sink) for each in flatten(found)
    ]
    write_problems(sink, {str(manifest): text})
    if sink.has_errors:
        raise SystemExit(REJECTED)
    found = [each for each in documents if each.text("kind") in {KIND, ENGINE_GRAPH}]
    if len(found) != 1:
        count = len(found) or "no"
        raise click.ClickException(f"`{manifest}` holds {count} {KIND}s, of which one is needed")
    return found[0]


def _open(
    manifest: Path,
    document: ManifestNode,
    predictor: str | None,
    mode: Literal["seldon", "lenient"] | None,
    options: EngineOptions,
) -> Engine:
    if document.text("kind") == ENGINE_GRAPH:
        if predictor is not None or mode is not None:
            raise click.UsageError("`--predictor`, `--as-seldon` and `--lenient` are for SeldonDeployments")
        found = read_engine_graph(document)
        if isinstance(found, TreeProblem):
            raise click.ClickException(f"`{manifest}`: {found}")
        own = replace(
            options,
            graph=found.graph,
            report=found.report,
            unit_timeout_s=found.timeout_s,
            full_health_checks=True,
        )
        return Engine(found.root, own)
    root = _read(manifest, document, predictor, admitted=mode == "seldon")
    own = replace(
        options,
        unit_timeout_s=read_timeout(document, predictor),
        call_timeout_s=read_timeout(document, predictor, "grpc"),
        as_seldon=mode != "lenient",
    )
    return Engine(root, own)


def _read(manifest: Path, document: ManifestNode, predictor: str | None, *, admitted: bool) -> SeldonUnit:
    root = read_tree(document, predictor, admitted=admitted)
    problem = root if isinstance(root, TreeProblem) else check_endpoints(root)
    if isinstance(root, TreeProblem) or problem:
        raise click.ClickException(f"`{manifest}`: {problem}")
    return root


async def _serve(engine: Engine, host: str) -> None:
    asked = asyncio.Semaphore(0)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.release)
    await engine.start()
    try:
        click.echo(f"http://{host}:{engine.http_port}")
        if engine.grpc_port is not None:
            click.echo(f"grpc://{host}:{engine.grpc_port}")
        await asked.acquire()
    finally:
        await _end(engine, asked)


async def _end(engine: Engine, asked: asyncio.Semaphore) -> None:
    """Let requests in flight end, unless the end is asked for once more."""
    stopping, hurry = asyncio.create_task(engine.stop()), asyncio.create_task(asked.acquire())
    await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
    for task in (stopping, hurry):
        task.cancel()
    await asyncio.wait({stopping, hurry})
