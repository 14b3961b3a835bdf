"""`graphc compare-server`: compare what Seldon's engines log of their answers."""

import os

import click


@click.command("compare-server")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="For HTTP.")
@click.option("--database", metavar="FILE|URL", help="Where figures are stored; $GRAPHC_COMPARE_DATABASE.")
def command(host: str, port: int, database: str | None) -> None:
    """Take the payload logs of engines whose predictors have a logger, and serve reports and metrics.

    Logs are posted to /live and /shadow; /report/NAMESPACE/GRAPH is the report, which `graphc compare URL` shows.
    """
    # aiohttp and numpy are slow to import, and the help needs neither.
    from graphc.compare.serve import ServeOptions, serve
    from graphc.compare.start import DATABASE
    from graphc.compare.store_problem import StoreError

    try:
        serve(ServeOptions(host, port, database or os.environ.get(DATABASE)))
    except (OSError, StoreError) as error:
        raise click.ClickException(str(error)) from error
