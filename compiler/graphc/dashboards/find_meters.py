"""Finds which metrics tell of a version: by its target's documents, or by where `graphc run` shows them."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from graphc.dashboards.watched import Meter
from graphc.seldon.deployment import deployment_of, made_name
from graphc.seldon.node import node_of
from graphc.targets.interface import Data
from graphc.unchecked import text
from graphc.workloads import list_workloads

_LONGEST_BASE: Final = 58
"""A pod's name has at most so many characters of its owner's, before five of its own."""
_REVISION: Final = 12
"""What the name of a ReplicaSet adds to its Deployment's, at most, with the hyphen that follows."""
_EXECUTOR: Final = "seldon_api_executor_server_requests_seconds"
_UNIT: Final = "rest_server_requests_total"
_UNIT_SECONDS: Final = "rest_server_request_duration_seconds"


class Meters(NamedTuple):
    """Where the metrics of a version are."""

    requests: Meter
    calls: Meter | None
    pages: str
    has_batches: bool
    up: str


def find_local(predictor: str | None) -> Meters:
    """Return the metrics of a version on the page of `graphc run`; of a version alone, they do not name it."""
    selector = f'predictor="{predictor}"' if predictor else ""
    return Meters(_engine(selector), _engine_calls(selector), selector, has_batches=False, up="")


def find_meters(
    documents: Sequence[Data], graph: str, namespace: str | None, predictor: str, units: Sequence[str]
) -> Meters:
    """Return the metrics of a version in a cluster, where Prometheus' operator names namespace, pod and container."""
    workloads = [
        each
        for each in list_workloads(node_of(it) for it in documents if text(it, "kind") == "Deployment")
        if each.version == predictor
    ]
    if not workloads:
        return _find_of_seldon(documents, graph, namespace, predictor, units)
    pages = _select_pods(namespace, [each.name for each in workloads])
    entries = [each for each in workloads if each.is_entry and each.engine is not None]
    if not entries:
        return _find_alone(pages, units)
    selector = _select_pods(namespace, [each.name for each in entries])
    return Meters(_engine(selector), _engine_calls(selector), pages, has_batches=True, up="")


def _find_of_seldon(
    documents: Sequence[Data], graph: str, namespace: str | None, predictor: str, units: Sequence[str]
) -> Meters:
    (found,) = (it for it in documents if text(it, "kind") == "SeldonDeployment")
    deployment = deployment_of(found)
    version = deployment.by_name[predictor]
    pods = [
        made_name(graph, predictor, str(pod.index), *(each.name for each in pod.containers))
        for pod in version.pods
        if pod.containers
    ]
    pages = _select_pods(namespace, pods)
    if not version.has_engine:
        return _find_alone(pages, units)
    own = f'deployment_name="{graph}",predictor_name="{predictor}"'
    selector = _join(_namespace(namespace), own)
    requests = Meter(f"{_EXECUTOR}_count", _EXECUTOR, "code", "", selector)
    return Meters(requests, _unit("container", pages), pages, has_batches=True, up=_select_up(pages, units))


def _find_alone(pages: str, units: Sequence[str]) -> Meters:
    """Return the metrics of a unit that clients call: it counts the requests itself."""
    return Meters(_unit("", pages), None, pages, has_batches=True, up=_select_up(pages, units))


def _engine(selector: str) -> Meter:
    return Meter("graphc_engine_requests_total", "graphc_engine_request_seconds", "code", "", selector)


def _engine_calls(selector: str) -> Meter:
    name = "graphc_engine_unit_request"
    return Meter(f"{name}s_total", f"{name}_seconds", "code", "unit", selector)


def _unit(by: str, selector: str) -> Meter:
    # Health checks are GETs.
    return Meter(_UNIT, _UNIT_SECONDS, "status_code", by, selector, 'method="POST"')


def _select_up(pages: str, units: Sequence[str]) -> str:
    return _join(pages, f'container=~"{"|".join(units)}"')


def _select_pods(namespace: str | None, names: Iterable[str]) -> str:
    pods = "|".join(map(_match_pods, names))
    return _join(_namespace(namespace), f'pod=~"{pods}"')


def _match_pods(deployment: str) -> str:
    base = f"{deployment}-"
    is_cut = len(base) + _REVISION > _LONGEST_BASE
    # Another Deployment's name may begin with this one's, and goes on with more hyphens.
    return f"{base[:_LONGEST_BASE]}.*" if is_cut else f"{base}[a-z0-9]+-[a-z0-9]{{5}}"


def _namespace(namespace: str | None) -> str:
    return f'namespace="{namespace}"' if namespace else ""


def _join(*matchers: str) -> str:
    return ",".join(each for each in matchers if each)
