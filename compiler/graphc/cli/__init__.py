"""The command line: each command lives in its own module and is imported only when it is called."""

import gc
import importlib
import os
from types import ModuleType
from typing import Final

import click

from graphc.version import VERSION

INTERNAL_ERROR: Final = 70
"""The exit code for a bug in graphc."""

COMMANDS: Final = {
    "apply": "Change a cluster to what graph files say.",
    "bench": "Measure a target under load, or two against each other.",
    "check": "Check graph files and SeldonDeployments, and report every problem.",
    "compare": "Compare the answers of versions, and judge gates.",
    "compare-server": "Compare the answers that Seldon's engines log.",
    "compile": "Print the manifests that a graph compiles to.",
    "dashboards": "Write a Grafana dashboard and alert rules for a graph.",
    "delete": "Delete a graph from a cluster.",
    "engine": "Walk a manifest's graph over units that already listen.",
    "explain": "Say why a rule exists, or how and why a graph is planned.",
    "fmt": "Rewrite graph files in one layout, with every comment.",
    "history": "List a graph's revisions in a cluster.",
    "image": "Write the build context of the units' image.",
    "infer": "Call a V2 endpoint with tensors from files.",
    "init": "Write a new graph that runs at once.",
    "krm": "Compile graphs as a function of kustomize.",
    "lint": "The same as check.",
    "plan": "Say what applying graph files would change.",
    "profile": "Write the profile of a live cluster.",
    "promote": "Move a graph's traffic to a predictor, step by step.",
    "push": "Put the files that units fetch into the graph's store.",
    "rollback": "Return a graph in a cluster to a revision.",
    "run": "Run a graph on this machine behind a V2 endpoint.",
    "schema": "Print the JSON Schema of a graph file or a cluster profile.",
    "status": "Say how graphs do in a cluster.",
    "test": "Hold the answers of graphs against what their cases expect.",
    "view": "Draw a graph and the plan that it compiles to.",
}
"""Every command with its line in the help, so that the help needs no command's imports."""


class LazyGroup(click.Group):
    """A group that imports a command's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands by name."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module = _import(f"graphc.cli.{cmd_name.replace('-', '_')}_command")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for a misspelt one the error says which may be meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            # Most command lines are right.
            from graphc.diagnostics.suggest import did_you_mean

            hint = did_you_mean(args[0], COMMANDS)
            if hint is None:
                raise
            raise click.UsageError(f"{error.message.rstrip('.')}; {hint}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands' help lines from the table."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


def _import(name: str) -> ModuleType:
    """Import a module without looks at its cycles: what is imported stays, and is a tenth of a command's time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="graphc")
def main() -> None:
    """Compile inference graphs for Seldon Core, and run them anywhere."""


def start() -> None:
    """Run the command line; what is no user's mistake ends with code 70 and asks for a report."""
    try:
        main()
    except Exception as bug:
        if os.environ.get("GRAPHC_DEBUG"):
            raise
        click.echo(f"graphc: internal error: {type(bug).__name__}: {bug}", err=True)
        click.echo(
            "This is a bug in graphc. Run again with GRAPHC_DEBUG=1 to see where, and report it.", err=True
        )
        raise SystemExit(INTERNAL_ERROR) from bug
