"""The option `--no-cache` of every command that reads model files."""

import click

_NO_CACHE = "graphc.no_cache"


def _note_no_cache(context: click.Context, _: click.Parameter, value: bool) -> None:
    context.meta[_NO_CACHE] = value


cache_option = click.option(
    "--no-cache",
    is_flag=True,
    expose_value=False,
    callback=_note_no_cache,
    help="Read every model file again, and cache nothing.",
)


def is_cache_off() -> bool:
    """Say whether `--no-cache` was said."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_NO_CACHE, False))
