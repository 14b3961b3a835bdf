"""`graphc image`: write what the image of a graph's units is built of."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphc.caching import cache_root
from graphc.cli.no_cache import is_cache_off
from graphc.cli.reporting import exit_if_rejected, graph_options, report
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request

if TYPE_CHECKING:
    from graphc.targets.interface import UnitImage


@click.command("image")
@graph_options
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False), help="The folder to write.")
@click.option(
    "--platform",
    type=click.Choice(["linux/amd64", "linux/arm64"]),
    default="linux/amd64",
    show_default=True,
    help="The platform to lock packages for.",
)
@click.option("--upgrade", is_flag=True, help="Lock anew, without the versions of an earlier lock.")
def command(request: Request, output_format: str, output: str, platform: str, upgrade: bool) -> None:
    """Write the build context of the image that a graph's manifest names.

    It holds a Dockerfile, every package with its version and hashes, and graphc's own wheels: Docker needs
    nothing else. A graph whose versions require different packages gets a folder for each, named by the
    image's tag.
    """
    done = compile_files(request)
    report(done, output_format, to_stderr=True)
    exit_if_rejected(done)
    images = {each.name: each for emission in done.emissions for each in emission.images.values()}
    # uv is asked, which most commands have no use for.
    from graphc.packages.problem import PackageError

    for image in images.values():
        tag = image.name.rpartition("/")[2].replace(":", "-").replace("@", "-")
        folder = Path(output) if len(images) == 1 else Path(output) / tag
        try:
            _write(image, folder, platform, anew=upgrade)
        except (PackageError, OSError) as error:
            raise click.ClickException(f"`{image.name}`: {error}") from error


def _write(image: "UnitImage", folder: Path, platform: str, *, anew: bool) -> None:
    from graphc.packages.context import make_context, read_lock, write_context
    from graphc.packages.lock import lock_packages

    cache = None if is_cache_off() else cache_root(os.environ)
    lock = lock_packages(image.requirements, platform, cache, read_lock(folder), anew=anew)
    # A digest names what was built: it is built under a tag.
    named, _, digest = image.name.partition("@")
    name = f"{named}:{image.requirements.tag}" if digest else image.name
    write_context(folder, make_context(name, platform, lock))
    count = sum(line[:1].isalnum() for line in lock.splitlines())
    click.echo(f"{folder}: {count} packages with hashes, for {platform}")
    click.echo(f"docker build --platform {platform} -t {name} {folder} && docker push {name}")
