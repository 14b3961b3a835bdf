"""Emits a SeldonDeployment with its config maps and routes."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from graphc.hardware.pod_asks import Amount
from graphc.packages.annotation import write_annotation
from graphc.rollout.shares import ANNOTATION, Rollout
from graphc.targets.interface import Data, Emission, Version
from graphc.targets.pods.documents import write_config_map, write_metadata
from graphc.targets.pods.emission import collect_emission
from graphc.targets.pods.ending import longest_ms
from graphc.targets.pods.layout import Layout
from graphc.targets.routes.emit_routes import emit_routes
from graphc.targets.routes.routing import Routing
from graphc.targets.seldon.predictor import emit_predictor

UNUSED_HOST: Final = "operator.seldon.invalid"
"""Where the operator's own routes lead from when graphc writes them: no client can ask for it (RFC 2606)."""

EXECUTOR: Final = Amount(0.5, 512 * 2**20)
"""Seldon's executor, as the operator asks for it where its installation says nothing else."""


def emit_deployment(layout: Layout) -> Emission:
    """Return config maps, the SeldonDeployment and its routes, and what has to be there for them."""
    deployable, routing = layout.deployable, layout.routing
    settings, versions = deployable.settings, deployable.versions
    spec: Data = {
        "protocol": "v2",
        "predictors": [emit_predictor(layout, predictor) for predictor in layout.predictors],
    }
    timeouts = _timeouts(versions)
    if timeouts:
        spec["annotations"] = timeouts
    told = _ingress_annotations(routing) if deployable.is_for_cluster else {}
    told |= write_annotation({each.name: each.settings.requirements for each in versions})
    told |= {**_rollout_annotation(deployable.rollout), **settings.comparing.annotations()}
    deployment: Data = {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": write_metadata(settings, settings.name, told),
        "spec": spec,
    }
    maps = {each.name: each for predictor in layout.predictors for each in predictor.config_maps}
    routes: list[Data] = []
    if deployable.is_for_cluster:
        routes = emit_routes(routing, lambda name: write_metadata(settings, name))
    documents = (*(write_config_map(settings, each) for each in maps.values()), deployment, *routes)
    return collect_emission(layout, documents, EXECUTOR)


def _rollout_annotation(rollout: Rollout) -> Mapping[str, str]:
    """Return what tells a local run, and whoever changes the graph, how the requests are shared."""
    if rollout.is_plain:
        return {}
    return {ANNOTATION: json.dumps(rollout.to_json(), separators=(",", ":"))}


def _ingress_annotations(routing: Routing) -> dict[str, str]:
    own = dict(routing.ingress.annotations)
    if routing.ingress.kind == "istio" and routing.is_ours:
        # The operator writes a route all the same; on the same host it would stand beside ours.
        own["seldon.io/istio-host"] = UNUSED_HOST
    return own


def _timeouts(versions: Sequence[Version]) -> Data:
    """Return the annotations that limit the executor's calls, and Ambassador's routes, to the deadline.

    On the spec the operator puts them on every pod, where the executor reads them, and finds them for Ambassador.
    """
    longest = [ms for version in versions if (ms := longest_ms(version.plan.deadline_ms)) is not None]
    if not longest:
        return {}
    milliseconds = str(max(longest))
    return {"seldon.io/grpc-timeout": milliseconds, "seldon.io/rest-timeout": milliseconds}
