"""`graphc bench`: measure a target under load, or two of them against each other."""

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphc.cli.no_cache import cache_option
from graphc.cli.target_option import target_option

if TYPE_CHECKING:
    from graphc.bench.run import Bench, Result

_FILE = click.Path(dir_okay=False, path_type=Path)
_READ = click.Path(exists=True, dir_okay=False, path_type=Path)
_POSITIVE = click.FloatRange(0, min_open=True)


@click.command("bench")
@click.argument("target")
@click.option("--clients", type=click.IntRange(1), help="Clients that wait for their answers.  [default: 8]")
@click.option("--rate", type=_POSITIVE, help="Requests a second, sent without waiting for answers.")
@click.option(
    "--arrivals",
    type=click.Choice(["poisson", "constant"]),
    default="poisson",
    show_default=True,
    help="With --rate: as independent clients come, or evenly.",
)
@click.option(
    "--connections",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="With --rate: the most connections.",
)
@click.option(
    "--duration", type=_POSITIVE, default=10, show_default=True, help="How long to measure, in seconds."
)
@click.option(
    "--warmup",
    type=click.FloatRange(0),
    default=1,
    show_default=True,
    help="Seconds of load before the measurement.",
)
@click.option(
    "--timeout", type=_POSITIVE, default=30, show_default=True, help="Time limit of a request, in seconds."
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes that generate the load.",
)
@click.option("--input", "inputs", multiple=True, metavar="[NAME=]FILE|JSON", help="An input.")
@click.option("--request", type=_READ, help="A V2 request in JSON, instead of --input.")
@click.option("--batch", type=click.IntRange(1), help="Rows of a request: the given ones, repeated or cut.")
@click.option("--binary", is_flag=True, help="Send tensors as bytes, and ask for bytes.")
@click.option("--grpc", is_flag=True, help="Call a graph file over gRPC; an address says grpc:// itself.")
@click.option("--model", metavar="NAME", help="The model to call, where TARGET names none.")
@click.option("--version", metavar="NAME", help="The version to ask; without it, any.")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header.")
@click.option("--expect", type=_READ, help="The V2 answer that every request must get.")
@click.option("--compare", metavar="TARGET2", help="Measure TARGET2 as well, in turns.")
@click.option(
    "--rounds",
    type=click.IntRange(2),
    default=8,
    show_default=True,
    help="With --compare: rounds of each target.",
)
@click.option("--direct", is_flag=True, help="Call a graph file's only unit, past the engine in front.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a graph file's parameter.")
@click.option(
    "-O",
    "level",
    type=click.IntRange(0, 2),
    default=1,
    show_default=True,
    help="Optimisation level of a graph file.",
)
@cache_option
@target_option
@click.option("--costs", metavar="FILE", help="Measured milliseconds, to plan a graph file by.")
@click.option(
    "--nodes/--no-nodes", default=None, help="Measure a graph file's nodes.  [default: unless compared]"
)
@click.option(
    "--write-costs", type=_FILE, help="Write the nodes' milliseconds, for `graphc compile --costs`."
)
@click.option("--json", "to_json", type=_FILE, help="Write the results to this file.")
@click.option("--picture", type=_FILE, help="Draw the results: .svg, .png or .pdf.")
def command(
    target: str,
    clients: int | None,
    rate: float | None,
    arrivals: str,
    connections: int,
    duration: float,
    warmup: float,
    timeout: float,
    processes: int,
    inputs: tuple[str, ...],
    request: Path | None,
    batch: int | None,
    binary: bool,
    grpc: bool,
    model: str | None,
    version: str | None,
    headers: tuple[str, ...],
    expect: Path | None,
    compare: str | None,
    rounds: int,
    direct: bool,
    settings: tuple[str, ...],
    level: int,
    costs: str | None,
    nodes: bool | None,
    write_costs: Path | None,
    to_json: Path | None,
    picture: Path | None,
) -> None:
    """Measure TARGET under load: a V2 address as `graphc infer` takes it, or a graph file or manifest.

    A file runs as with `graphc run` while it is measured. --clients makes a closed loop, and --rate an open
    one, whose latencies count from the time when a request was due. Failures and wrong answers are counted by
    kind, and are in no other figure. Ctrl-C ends the measurement and shows its figures so far.
    """
    if clients is not None and rate is not None:
        raise click.UsageError("--clients is a closed loop and --rate an open one: give one of them")
    if inputs and request is not None:
        raise click.UsageError("--input and --request both make the request: give one of them")
    # The client, the compiler and numpy are slow to import, and the help needs none of them.
    from graphc.bench.ask import Question
    from graphc.bench.failure import BenchError
    from graphc.bench.job import Closed, Open
    from graphc.bench.run import Bench, BenchOptions
    from graphc.cli.bench_files import read_compiling, run_arguments
    from graphc.cli.infer_command import read_pairs

    compiling = read_compiling(target, settings, level, costs)
    wants_nodes = (compiling is not None and compare is None) if nodes is None else nodes
    if (wants_nodes or write_costs) and (compiling is None or compare is not None):
        raise click.UsageError(
            "nodes are measured of one graph file: not of an address, a manifest or with --compare"
        )
    arrival = "poisson" if arrivals == "poisson" else "constant"
    load = Closed(clients or 8) if rate is None else Open(rate, arrival, connections, 0)
    pairs = read_pairs(headers, "--header", "=:")
    question = Question(inputs, request, batch, binary, model, pairs, timeout, expect, version)
    options = BenchOptions(
        load,
        duration,
        warmup,
        processes,
        rounds,
        direct,
        grpc,
        wants_nodes or write_costs is not None,
        run_arguments(settings, level, costs),
        compiling,
    )
    bench = Bench(options, question, lambda line: click.echo(line, err=True))
    try:
        result = _run(bench, target, compare)
        _write(result, to_json, write_costs, picture)
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    raise SystemExit(130 if bench.generators.was_interrupted else 0)


def _run(bench: "Bench", target: str, other: str | None) -> "Result":
    def interrupt(*_: object) -> None:
        if bench.generators.was_interrupted:
            raise KeyboardInterrupt
        bench.generators.interrupt()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        return bench.measure(target) if other is None else bench.compare(target, other)
    finally:
        signal.signal(signal.SIGINT, before)


def _write(result: "Result", to_json: Path | None, costs: Path | None, picture: Path | None) -> None:
    from graphc.bench.draw import draw_result
    from graphc.bench.show import print_result

    print_result(result)
    if to_json is not None:
        _write_text(to_json, json.dumps(result.to_json(), indent=2))
    if costs is not None and result.nodes is not None:
        _write_text(costs, json.dumps(result.nodes.costs, indent=2))
    if picture is not None:
        draw_result(result, picture)


def _write_text(path: Path, text: str) -> None:
    try:
        path.write_text(f"{text}\n")
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from error
