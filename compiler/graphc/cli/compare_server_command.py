"""`graphc compare-server`: compare what Seldon's engines log of their answers."""

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from graphc.compare.serve import TrustName


@click.command("compare-server")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="For HTTP.")
@click.option("--database", metavar="FILE|URL", help="Where figures are stored; $GRAPHC_COMPARE_DATABASE.")
@click.option(
    "--trust",
    type=click.Choice(["pods", "anybody"]),
    help="Who may post: pods of the post's own graph, as the cluster knows them, or any client of the port."
    "  [default: pods on a cluster, anybody on loopback]",
)
def command(host: str, port: int, database: str | None, trust: "TrustName | None") -> None:
    """Take the payload logs of engines whose predictors have a logger, and serve reports and metrics.

    Engines post logs to /live and /shadow. /report/NAMESPACE/GRAPH is the report, which `graphc compare URL`
    shows.
    """
    # aiohttp and numpy are slow to import, and the help needs neither.
    from graphc.compare.serve import ServeOptions, choose_trust, serve
    from graphc.compare.start import DATABASE
    from graphc.compare.store_problem import StoreError
    from graphc.compare.trust import TrustError

    try:
        believed = choose_trust(trust, host)
        serve(ServeOptions(host, port, database or os.environ.get(DATABASE), trust=believed))
    except (OSError, StoreError, TrustError) as error:
        raise click.ClickException(str(error)) from error
