"""What commands share: their options, and how they report problems and end."""

import os
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import click

from graphc.artefacts.read_signature import Signatures
from graphc.caching import cache_root
from graphc.cli.folders import expand_folders
from graphc.cli.no_cache import cache_option, is_cache_off
from graphc.cli.target_option import chosen_target, target_option
from graphc.compile.compile_files import Compilation
from graphc.compile.request import Request
from graphc.diagnostics import Sink
from graphc.diagnostics.render import Format, render
from graphc.lower.options import Options
from graphc.source.parameters import SettingError, parse_settings

REJECTED = 1
"""The exit code for input in which something is wrong."""


costs_option = click.option(
    "--costs", metavar="FILE", help="Measured milliseconds: JSON, {graph: {node: ms}}."
)


_PROFILE = "graphc.profile"


def _keep_profile(context: click.Context, _: click.Parameter, value: str | None) -> None:
    """Keep the option where the request is made: it is no parameter of a command."""
    context.meta[_PROFILE] = value


profile_option = click.option(
    "--profile",
    metavar="FILE|NAME",
    expose_value=False,
    callback=_keep_profile,
    help="The cluster to compile for: a profile's file, or the name of a shipped profile.",
)


def plan_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that decide what a graph is compiled to; it gets them as a `Request`."""

    @wraps(command)
    def run(*arguments: object, **given: Any) -> None:
        files = expand_folders(given.pop("files", ()))
        chosen = (given.pop(name) for name in ("settings", "level", "costs", "batch"))
        command(*arguments, request=_make_request(files, *chosen), **given)

    options = [
        click.option(
            "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a declared parameter."
        ),
        click.option(
            "-O", "level", type=click.IntRange(0, 2), default=1, show_default=True, help="Optimisation level."
        ),
        costs_option,
        profile_option,
        target_option,
        click.option(
            "--batch",
            type=click.IntRange(1, 2**31 - 1),
            default=1,
            show_default=True,
            help="Rows of a request, to count bytes by.",
        ),
        cache_option,
    ]
    for option in reversed(options):
        run = option(run)
    return run


def graph_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of everything that reads graph files, which its `Request` names."""
    command = click.option(
        "--output-format",
        type=click.Choice([each.value for each in Format]),
        default="text",
        show_default=True,
        help="The format of problems.",
    )(command)
    return click.argument("files", nargs=-1, required=True)(plan_options(command))


def _make_request(
    files: tuple[str, ...], settings: tuple[str, ...], level: int, costs: str | None, batch: int
) -> Request:
    """Return the request that the options make; a setting that is none is a usage error."""
    context = click.get_current_context(silent=True)
    profile: str | None = context.meta.get(_PROFILE) if context else None
    return Request(
        files,
        read_settings(settings),
        options=Options(level, batch=batch),
        costs=costs,
        profile=profile,
        target=chosen_target(),
        signatures=kept_signatures(),
    )


def kept_signatures() -> Signatures:
    """Return the reader of signatures, which keeps them unless `--no-cache` was said."""
    return Signatures(None if is_cache_off() else cache_root(os.environ))


def read_settings(settings: tuple[str, ...]) -> Mapping[str, str]:
    """Read `--set` options; raises click's usage error."""
    try:
        return parse_settings(settings)
    except SettingError as error:
        raise click.BadParameter(str(error), param_hint="--set") from error


def report(done: Compilation, output_format: str, *, to_stderr: bool) -> None:
    """Write the problems; nothing is written where there are none and the format is for people."""
    write_problems(done.sink, done.sources, output_format, to_stderr=to_stderr)


def write_problems(
    sink: Sink, sources: Mapping[str, str], output_format: str = "text", *, to_stderr: bool = True
) -> None:
    """Write the problems of files whose texts are `sources`; none in the format for people writes nothing."""
    if not len(sink) and output_format == "text":
        return
    stream = sys.stderr if to_stderr else sys.stdout
    color = output_format == "text" and stream.isatty() and "NO_COLOR" not in os.environ
    text = render(sink, output_format, sources, color)
    click.echo(text.rstrip("\n"), err=to_stderr, color=color)


def exit_if_rejected(done: Compilation) -> None:
    """End with the exit code for rejected input, if it was."""
    if done.sink.has_errors:
        raise SystemExit(REJECTED)
