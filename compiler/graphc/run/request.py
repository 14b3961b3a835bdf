"""Send one request to the graph that has just started, and print the answer."""

from collections.abc import Sequence
from typing import Final

import aiohttp
import click

from graphc.client.failure import InferError
from graphc.client.infer import InferOptions, infer
from graphc.client.printing import write_json
from graphc.client.target import parse_target

_PATIENCE_S: Final = 300.0


async def send_request(url: str, body: bytes) -> str | None:
    """Post a V2 request and print the answer; return what went wrong, if something did."""
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.post(url, data=body, headers={"Content-Type": "application/json"}) as response,
        ):
            text = await response.text(errors="replace")
    except (aiohttp.ClientError, TimeoutError) as failure:
        return f"no answer: {failure or type(failure).__name__}"
    click.echo(write_json(text))
    return None if response.status == 200 else f"the request was answered with status {response.status}"


async def send_inputs(url: str, inputs: Sequence[str]) -> str | None:
    """Make a request of files or JSON, as `graphc infer` does, and print the answer; return what went wrong."""
    options = InferOptions(inputs, {}, (), _PATIENCE_S)
    try:
        answer = await infer(parse_target(url), options)
    except InferError as failure:
        return str(failure)
    click.echo(write_json(answer.text))
    return None
