"""Folders of this machine that stand for volume claims."""

from collections.abc import Mapping
from pathlib import Path

import click

mount_option = click.option(
    "--mount", "mounts", multiple=True, metavar="CLAIM=DIR", help="A folder for a volume claim."
)


def read_mounts(mounts: tuple[str, ...]) -> Mapping[str, Path]:
    """Return the folders of volume claims that `--mount` names; raises click's usage error."""
    claims = dict[str, Path]()
    for mount in mounts:
        claim, equals, folder = mount.partition("=")
        if not equals or not claim or not Path(folder).is_dir():
            raise click.BadParameter(
                f"`{mount}` is not CLAIM=DIR with a folder that exists", param_hint="--mount"
            )
        claims[claim] = Path(folder).absolute()
    return claims
