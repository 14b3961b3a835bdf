"""`graphc infer`: call a V2 endpoint with tensors from files."""

import asyncio
import io
import json
import sys
from typing import TYPE_CHECKING, cast

import click

from graphc.client.failure import InferError
from graphc.client.printing import clean, shorten, write_json
from graphc.client.target import parse_target, with_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphc.client.infer import InferOptions
    from graphc.client.target import Target
    from graphc.client.tensor import Tensor


@click.command("infer")
@click.argument("target")
@click.option("--input", "inputs", multiple=True, required=True, metavar="[NAME=]FILE|JSON", help="An input.")
@click.option("--model", metavar="NAME", help="The model to call, where TARGET names none.")
@click.option("--version", metavar="NAME", help="The version to ask; without it, any.")
@click.option(
    "--output",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="The format of the answer.",
)
@click.option("--stream", "is_stream", is_flag=True, help="Print the answer's texts in parts, as they come.")
@click.option("--grpc", is_flag=True, help="Call over gRPC, at TARGET's host and port.")
@click.option("--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A request parameter.")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=60,
    show_default=True,
    help="Time limit of a call, in seconds.",
)
def command(
    target: str,
    inputs: tuple[str, ...],
    model: str | None,
    version: str | None,
    output: str,
    is_stream: bool,
    grpc: bool,
    parameters: tuple[str, ...],
    headers: tuple[str, ...],
    timeout: float,
) -> None:
    """Call the model at TARGET: http://host:port/v2/models/NAME or grpc://host:port/NAME.

    Behind a gateway, TARGET has the gateway's path: http://host/seldon/NAMESPACE/GRAPH/v2/models/GRAPH.

    An input is a csv, json, npy, npz or image file, or JSON written here. The command converts it to the
    datatype and shape of the model's metadata. Leave its name out where the model has one input. A csv file
    without a name has a column for each input; an empty cell is a missing value. Several images of one input,
    or a folder of them, are the rows of a batch.

    With --stream, the graph's last node has to answer in parts. With `--output json`, each part is a line of JSON.
    """
    named = {name: _read_parameter(value) for name, value in read_pairs(parameters, "--parameter", "=")}
    pairs = read_pairs(headers, "--header", "=:")
    # numpy and aiohttp are slow to import, and the help needs neither.
    from graphc.client.infer import InferOptions, infer

    options = InferOptions(inputs, named, pairs, timeout)
    try:
        called = with_version(parse_target(target, model, grpc=grpc), version)
        if is_stream:
            _check_stream(called.grpc, output)
            asyncio.run(_print_stream(called, options, as_json=output == "json"))
            return
        answer = asyncio.run(infer(called, options))
    except InferError as error:
        raise click.ClickException(shorten(str(error))) from error
    if output == "json":
        click.echo(write_json(answer.text))
        return
    if output == "csv":
        _print_csv(answer.tensors)
        return
    # rich too, and only tables need it.
    from graphc.client.table import print_table

    print_table(answer.tensors)


def _check_stream(grpc: bool, output: str) -> None:
    if grpc:
        raise click.UsageError("there are no streams over gRPC")
    if output == "csv":
        raise click.UsageError("--stream prints texts, or with `--output json` lines of JSON")


async def _print_stream(target: "Target", options: "InferOptions", *, as_json: bool) -> None:
    """Print each part once it is there: its text, or a line of JSON."""
    from graphc.client.streaming import stream

    out = sys.stdout
    has_begun = False
    try:
        async for answer in stream(target, options):
            text = json.dumps(json.loads(answer.text)) + "\n" if as_json else _read_text(answer.tensors)
            # A terminal must not be steered by what is answered.
            out.write("\n".join(map(clean, text.split("\n"))) if out.isatty() else text)
            out.flush()
            has_begun = has_begun or bool(text)
    finally:
        if has_begun and not as_json:
            out.write("\n")


def _read_text(tensors: "Sequence[Tensor]") -> str:
    if [each.datatype for each in tensors] != ["BYTES"]:
        raise InferError("the parts are no texts; say `--output json`")
    return b"".join(cast("list[bytes]", tensors[0].array.ravel().tolist())).decode("utf-8", "replace")


def _print_csv(tensors: "Sequence[Tensor]") -> None:
    from graphc.client.csv_file import write_csv

    text = io.StringIO()
    try:
        write_csv(tensors, text)
    except InferError as error:
        raise click.ClickException(str(error)) from error
    out = sys.stdout
    # What goes to a file is what was answered; what goes to a terminal must not steer it.
    lines = text.getvalue()
    out.write("\n".join(map(clean, lines.split("\n"))) if out.isatty() else lines)


def read_pairs(texts: tuple[str, ...], option: str, signs: str) -> list[tuple[str, str]]:
    """Return an option's NAME=VALUE pairs; what is none is a usage error."""
    pairs = list[tuple[str, str]]()
    for text in texts:
        at = min((text.index(sign) for sign in signs if sign in text), default=0)
        if at == 0 or "\n" in text or "\r" in text:
            raise click.BadParameter(f"`{text}` is not NAME=VALUE", param_hint=option)
        pairs.append((text[:at].strip(), text[at + 1 :].strip()))
    return pairs


def _read_parameter(text: str) -> bool | int | float | str:
    """Read numbers and truth values as JSON does; everything else is text."""
    try:
        value = cast("object", json.loads(text))
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float | str) else text
