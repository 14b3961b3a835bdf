"""Says where Seldon's executor stands, and which calls pass it."""

from graphc.targets.interface import Deployable, Version
from graphc.targets.pods.route_versions import route_versions
from graphc.targets.routes.parts import Calls
from graphc.targets.routes.routing import Routing


def needs_engine(deployable: Deployable) -> bool:
    """Say whether Seldon's executor has to stand in front: admission refuses a mixture."""
    settings = deployable.settings
    # It is the executor that logs what it sees.
    is_logged = settings.comparing.url is not None
    return (
        bool(settings.executor)
        or is_logged
        or any(version.plan.root.children for version in deployable.versions)
    )


def route_seldon(deployable: Deployable) -> Routing:
    """Return who gets the requests of a graph that Seldon runs."""
    has_engine = needs_engine(deployable)

    def survived(version: Version) -> Calls:
        if not has_engine:
            return "all"
        return "some" if {unit.type for unit in version.plan.root.walk()} == {"MODEL"} else "none"

    return route_versions(deployable, survived, has_operator=True)
