"""Says where graphc's engine stands, and who gets the requests."""

from graphc.targets.interface import Deployable, Version
from graphc.targets.pods.route_versions import route_versions
from graphc.targets.routes.routing import Routing


def needs_engine(version: Version) -> bool:
    """Say whether graphc's engine stands in front of a version: it walks units, tells of answers, or is asked for."""
    settings = version.settings
    is_told_of = settings.comparing.url is not None
    return bool(version.plan.root.children) or bool(settings.executor) or is_told_of


def route_graph(deployable: Deployable) -> Routing:
    """Return who gets the requests of a graph; units and the engine survive every call."""
    return route_versions(deployable, lambda _: "all", has_operator=False)
