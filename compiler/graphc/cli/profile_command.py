"""`graphc profile`: write the profile of a live cluster."""

import click

from graphc.cli.cluster_options import cluster_options, say
from graphc.cluster.client import Access, connect
from graphc.cluster.survey import survey_cluster


@click.command("profile")
@click.option("--name", default="cluster", show_default=True, metavar="NAME", help="The profile's name.")
@cluster_options
def command(access: Access, name: str) -> None:
    """Write the profile of a cluster: its pools of nodes with their GPUs, its ingress and its pod security.

    A node counts with its capacity for pods less what DaemonSets take; other pods do not matter. Pod security
    is what the namespace enforces. The profile is a start: look at it, and keep it.
    """
    cluster = connect(access)
    survey = survey_cluster(cluster, name)
    for note in survey.notes:
        say(f"graphc: {note}")
    click.echo(survey.write(cluster.where), nl=False)
