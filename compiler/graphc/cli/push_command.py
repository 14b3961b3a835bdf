"""`graphc push`: put the files that units fetch into the graph's store."""

import click

from graphc.cli.mounts import mount_option, read_mounts
from graphc.cli.reporting import exit_if_rejected, graph_options, report
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request


@click.command("push")
@graph_options
@mount_option
@click.option("--dry-run", is_flag=True, help="Say what is missing, and push nothing.")
def command(request: Request, output_format: str, mounts: tuple[str, ...], dry_run: bool) -> None:
    """Put the models and other files that no config map holds into the store of `artifacts:`.

    The name of a file is made of its content: the command changes no file in the store, and does not send it
    again. Credentials come from the clients' own settings (AWS, Google), or GRAPHC_PUSH_AUTHORIZATION for
    https://.
    """
    claims = read_mounts(mounts)
    done = compile_files(request)
    report(done, output_format, to_stderr=True)
    exit_if_rejected(done)
    uploads = list({each.uri: each for emission in done.emissions for each in emission.uploads}.values())
    if not uploads:
        click.echo("nothing to push: every file travels in a config map, or is in a store of its own")
        return
    # Clients of stores take long to import.
    from graphc.push.problem import PushError
    from graphc.push.push import public, push_all
    from graphc.targets.storing import Upload

    def say(upload: Upload, what: str) -> None:
        name = upload.files[0][0] if not upload.packed else f"{len(upload.files)} files"
        click.echo(f"{upload.node}: {name} ({upload.size:,} bytes): {what}: {public(upload.uri)}")

    try:
        pushed = push_all(uploads, claims, say, dry=dry_run)
    except PushError as error:
        raise click.ClickException(str(error)) from error
    verb = "missing" if dry_run else "pushed"
    click.echo(f"{pushed.sent} {verb} ({pushed.bytes:,} bytes), {pushed.there} there already")
    if dry_run and pushed.sent:
        raise SystemExit(2)
