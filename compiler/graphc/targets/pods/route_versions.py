"""Says what a cluster's ingress has to do for the versions of a graph."""

from collections.abc import Callable, Sequence

from graphc.rollout.shares import Rollout
from graphc.targets.interface import Deployable, Version
from graphc.targets.pods.ending import longest_ms
from graphc.targets.pods.layout import group_units, scaling_of
from graphc.targets.pods.ports import ENTRY
from graphc.targets.routes.parts import Backend, Calls
from graphc.targets.routes.routing import Routed, Routing


def route_versions(
    deployable: Deployable, find_calls: Callable[[Version], Calls], *, has_operator: bool
) -> Routing:
    """Return who gets the requests of a graph; `find_calls` says which gRPC calls a version survives."""
    settings = deployable.settings
    predictors = {
        version.name: Routed(
            find_backend(settings.name, version.name),
            _count_live_pods(version),
            longest_ms(version.plan.deadline_ms),
            version.at,
            version.names,
            find_calls(version),
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
        has_operator=has_operator,
    )


def find_backend(graph: str, predictor: str) -> Backend:
    """Return the Service in front of a predictor of a graph."""
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
    # The first pod takes them.
    units = group_units([*version.plan.root.walk()])[0]
    if scaling_of(version, units) is not None:
        return None
    return version.count_pods(units[0].region.placement.replicas)
