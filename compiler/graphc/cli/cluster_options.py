"""What the commands share that talk to a cluster: kubectl's options, questions, and errors on one line."""

import re
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec

import click

if TYPE_CHECKING:
    from graphc.cluster.client import Access

Parameters = ParamSpec("Parameters")

UNFINISHED: Final = 1
INTERRUPTED: Final = 130

_DURATION: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?\Z")


class Seconds(click.ParamType[float]):
    """A duration as kubectl takes it: `30s`, `5m`, `1h30m`, or a number of seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        written = str(value)
        found = _DURATION.match(written)
        if found and written:
            hours, minutes, seconds = (float(each or 0) for each in found.groups())
            return 3600 * hours + 60 * minutes + seconds
        try:
            number = float(written)
        except ValueError:
            self.fail(f"{written!r} is not a duration, such as 30s or 5m", param, ctx)
        if not 0 <= number < 1e7:
            self.fail(f"{written!r} is not a duration, such as 30s or 5m", param, ctx)
        return number


def cluster_options(
    command: Callable[Concatenate["Access", Parameters], None],
) -> Callable[Parameters, None]:
    """Give a command kubectl's options; it gets them as an `Access`, and its problems are shown on a line."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        from graphc.cluster.client import Access

        seconds: float = options.pop("request_timeout")
        access = Access(
            kubeconfig=options.pop("kubeconfig"),
            context=options.pop("context"),
            namespace=options.pop("namespace"),
            user=options.pop("user"),
            groups=options.pop("groups"),
            request_seconds=seconds or None,
            warn=once(say),
        )
        with plain_errors():
            command(access, *arguments, **options)

    options = [
        click.option(
            "--kubeconfig", metavar="FILE", help="The kubeconfig; $KUBECONFIG or ~/.kube/config otherwise."
        ),
        click.option("--context", metavar="NAME", help="The kubeconfig's context."),
        click.option("-n", "--namespace", metavar="NAME", help="The namespace, where the file names none."),
        click.option("--as", "user", metavar="USER", help="Act for this user."),
        click.option("--as-group", "groups", metavar="GROUP", multiple=True, help="Act for this group."),
        click.option(
            "--request-timeout",
            type=Seconds(),
            default="30s",
            show_default=True,
            help="The longest time of one request; 0 for ever.",
        ),
    ]
    decorated: Callable[..., None] = run
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


@contextmanager
def plain_errors() -> Generator[None]:
    """Turn what is wrong with a cluster into a line on standard error and the exit code 1."""
    from graphc.cluster.interrupt import Interrupted, stoppable
    from graphc.cluster.problem import ClusterError, RefusedError

    try:
        with stoppable(say):
            yield
    except RefusedError as error:
        hint = "; k8s/rbac has the roles that graphc needs" if error.code == 403 else ""
        raise click.ClickException(f"{error}{hint}") from error
    except ClusterError as error:
        raise click.ClickException(str(error)) from error
    except Interrupted as error:
        click.echo("interrupted", err=True)
        raise SystemExit(INTERRUPTED) from error


def say(words: str) -> None:
    """Tell the user how it goes, on standard error."""
    click.echo(words, err=True)


def once(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Return what tells the same words one time only."""
    told: set[str] = set()

    def tell_new(words: str) -> None:
        if words not in told:
            told.add(words)
            tell(words)

    return tell_new


def confirm(question: str, *, yes: bool) -> None:
    """Ask the user, who may have said yes already; ends the command if the answer is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.ClickException("nobody can be asked here; look at `graphc plan`, and say --yes")
    if not click.confirm(question, err=True):
        say("nothing was changed")
        raise SystemExit(UNFINISHED)


class _BadUsageError(click.UsageError):
    exit_code = 1


class NoUsageCode(click.Command):
    """A command whose exit code 2 has another meaning: bad command lines end with 1 too."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the command line."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            raise _BadUsageError(error.message, error.ctx) from error
