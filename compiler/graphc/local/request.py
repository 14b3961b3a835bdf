"""Send one request to the graph that has just started, and print the answer."""

import aiohttp
import click

from graphc.client.printing import write_json


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
