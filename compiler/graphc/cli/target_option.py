"""The option that names what graphs are compiled for."""

from typing import Final

import click

_TARGET: Final = "graphc.target"


def _keep(context: click.Context, _: click.Parameter, value: str | None) -> None:
    """Keep the option where requests are made; a name that no target has is a usage error."""
    context.meta[_TARGET] = value
    if value is None:
        return
    # Most commands name none, and help is shown without it.
    from graphc.targets.find import describe_unknown, list_targets

    if value not in list_targets():
        raise click.BadParameter(describe_unknown(value))


target_option = click.option(
    "--target",
    "target_name",
    metavar="NAME",
    expose_value=False,
    callback=_keep,
    help="What to compile for: the profile's target, or else seldon, if not given.",
)


def chosen_target() -> str | None:
    """Return the target that the command line names."""
    context = click.get_current_context(silent=True)
    return context.meta.get(_TARGET) if context else None
