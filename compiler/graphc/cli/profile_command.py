"""`graphc profile`: write the profile of a live cluster."""

import click

from graphc.cli.cluster_options import cluster_options, say
from graphc.cluster.client import Access, connect
from graphc.cluster.survey import survey_cluster


@click.command("profile")
@click.option("--name", default="cluster", show_default=True, metavar="NAME", help="What it is called.")
@cluster_options
def command(access: Access, name: str) -> None:
    """Write the profile of a cluster: its pools of nodes with their GPUs, and what brings requests in.

    It is what nodes have for pods beside those of DaemonSets, whatever else runs on them, and the pod security that the
    namespace enforces: a starting point, to be looked at and kept.
    """
    cluster = connect(access)
    survey = survey_cluster(cluster, name)
    for note in survey.notes:
        say(f"graphc: {note}")
    click.echo(survey.write(cluster.where), nl=False)
