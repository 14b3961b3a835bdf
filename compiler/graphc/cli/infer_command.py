"""`graphc infer`: call a V2 endpoint with tensors from files."""

import asyncio
import json
from typing import cast

import click

from graphc.client.failure import InferError
from graphc.client.printing import shorten, write_json
from graphc.client.target import parse_target


@click.command("infer")
@click.argument("target")
@click.option("--input", "inputs", multiple=True, required=True, metavar="[NAME=]FILE|JSON", help="An input.")
@click.option("--model", metavar="NAME", help="The model to call, where TARGET names none.")
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How the answer is shown.",
)
@click.option("--grpc", is_flag=True, help="Call over gRPC, at TARGET's host and port.")
@click.option("--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A request parameter.")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=60,
    show_default=True,
    help="In seconds, for each call.",
)
def command(
    target: str,
    inputs: tuple[str, ...],
    model: str | None,
    output: str,
    grpc: bool,
    parameters: tuple[str, ...],
    headers: tuple[str, ...],
    timeout: float,
) -> None:
    """Call the model at TARGET: http://host:port/v2/models/NAME or grpc://host:port/NAME.

    An input is a csv, json, npy, npz or image file, or JSON written here; it is converted to the
    datatype and shape that the model's metadata asks for.
    """
    named = {name: _read_parameter(value) for name, value in read_pairs(parameters, "--parameter", "=")}
    pairs = read_pairs(headers, "--header", "=:")
    # numpy and aiohttp are slow to import, and the help needs neither.
    from graphc.client.infer import InferOptions, infer

    options = InferOptions(inputs, named, pairs, timeout)
    try:
        answer = asyncio.run(infer(parse_target(target, model, grpc=grpc), options))
    except InferError as error:
        raise click.ClickException(shorten(str(error))) from error
    if output == "json":
        click.echo(write_json(answer.text))
        return
    # rich too, and only tables need it.
    from graphc.client.table import print_table

    print_table(answer.tensors)


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
