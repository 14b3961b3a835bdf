"""Says what a cluster's ingress has to do for a graph that Seldon runs."""

from collections.abc import Sequence

from graphc.rollout.model import Rollout
from graphc.targets.model import Deployable, Version
from graphc.targets.routes.parts import Backend, Calls
from graphc.targets.routes.routing import Routed, Routing
from graphc.targets.seldon.ending import longest_ms
from graphc.targets.seldon.pods import group_units, scaling_of
from graphc.targets.seldon.ports import ENTRY


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


def route_versions(deployable: Deployable, *, has_engine: bool) -> Routing:
    """Return who gets the requests of a graph."""
    settings = deployable.settings
    predictors = {
        version.name: Routed(
            find_backend(settings.name, version.name),
            _count_live_pods(version),
            longest_ms(version.plan.deadline_ms),
            version.at,
            version.names,
            _survived(version, has_engine=has_engine),
        )
        for version in deployable.versions
    }
    return Routing(
        settings.name,
        settings.namespace,
        deployable.rollout,
        deployable.profile.ingress,
        predictors,
        settings.at,
        settings.sticky_at,
    )


def find_backend(graph: str, predictor: str) -> Backend:
    """Return the Service that the operator makes for a predictor of a graph."""
    return Backend(f"{graph}-{predictor}", *ENTRY)


def list_shadows(rollout: Rollout) -> set[str]:
    """Return the predictors that get copies of requests."""
    return {each.predictor for each in rollout.mirrors}


def order_versions(deployable: Deployable) -> Sequence[Version]:
    """Return the versions, live ones first: Ambassador takes the weight of all but the first."""
    shadows = list_shadows(deployable.rollout)
    return sorted(deployable.versions, key=lambda each: each.name in shadows)


def _count_live_pods(version: Version) -> int | None:
    """Return how many pods take the requests; None where that changes with the load."""
    # The first pod takes them: it carries the executor.
    units = group_units([*version.plan.root.walk()])[0]
    if scaling_of(version, units) is not None:
        return None
    return version.count_pods(units[0].region.placement.replicas)


def _survived(version: Version, *, has_engine: bool) -> Calls:
    """Return which gRPC calls a version survives."""
    if not has_engine:
        return "all"
    return "some" if {unit.type for unit in version.plan.root.walk()} == {"MODEL"} else "none"
