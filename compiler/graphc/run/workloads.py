"""Reads what the target `kubernetes` emits as a local run reads every graph: as predictors with their units."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from graphc.diagnostics import Sink
from graphc.engine_graph import COMPONENT, ENGINE, ENTRY, FILE, MANAGED_BY, PART_OF, PREDICTOR, VOLUME
from graphc.engine_graph import KIND as ENGINE_GRAPH
from graphc.rollout.model import ANNOTATION as ROLLOUT
from graphc.run.config_map import KIND as CONFIG_MAP
from graphc.run.config_map import read_config_map
from graphc.run.problem import Findings
from graphc.seldon.deployment import NO_ENGINE
from graphc.seldon.documents import KIND as SELDON
from graphc.seldon.node import ManifestNode, node_of
from graphc.source.located import Plain
from graphc.source.yaml_reader import read_manifests
from graphc.unchecked import fields

KIND: Final = "Deployment"

Data = dict[str, Plain]


def gather_workloads(documents: Sequence[ManifestNode], findings: Findings) -> list[ManifestNode]:
    """Return the documents with the Deployments of each graph joined into one deployment of its predictors."""
    found = [each for each in documents if is_workload(each)]
    graphs = dict.fromkeys(_labels(each)[PART_OF] for each in found)
    if not graphs:
        return list(documents)
    files = {
        each.child("metadata").text("name"): each for each in documents if each.text("kind") == CONFIG_MAP
    }
    joined = [
        _join(graph, [each for each in found if _labels(each)[PART_OF] == graph], files, findings)
        for graph in graphs
    ]
    return [*(each for each in documents if not is_workload(each)), *joined]


def is_workload(document: ManifestNode) -> bool:
    """Say whether a document is a Deployment that graphc made for a version of a graph."""
    labels = _labels(document)
    is_ours = labels.get(MANAGED_BY) == "graphc" and PREDICTOR in labels and PART_OF in labels
    return document.text("kind") == KIND and is_ours


def _labels(document: ManifestNode) -> Mapping[str, str]:
    return document.child("metadata").texts("labels")


def _join(
    graph: str, deployments: Sequence[ManifestNode], files: Mapping[str, ManifestNode], findings: Findings
) -> ManifestNode:
    versions = dict.fromkeys(_labels(each)[PREDICTOR] for each in deployments)
    predictors: list[Plain] = []
    annotations: dict[str, str] = {}
    for version in versions:
        own = [each for each in deployments if _labels(each)[PREDICTOR] == version]
        entries = [each for each in own if _labels(each).get(COMPONENT) == ENTRY]
        if len(entries) != 1:
            findings.refuse(
                f"`{version}` of `{graph}` has {len(entries) or 'no'} Deployments that clients call"
            )
            continue
        told = entries[0].child("metadata").texts("annotations")
        if predictors and told.get(ROLLOUT) != annotations.get(ROLLOUT):
            findings.refuse(f"the Deployments of `{graph}` do not say the same of who shares its requests")
        annotations |= told
        predictors.append(_predictor(version, entries[0], own, files, findings))
    metadata: Data = {"name": graph, "annotations": {**annotations}}
    namespaces = {each.child("metadata").text("namespace") for each in deployments}
    if len(namespaces) > 1:
        findings.refuse(f"the Deployments of `{graph}` lie in several namespaces")
    if namespace := min(namespaces):
        metadata["namespace"] = namespace
    spec: Data = {"protocol": "v2", "predictors": predictors}
    return node_of({"kind": SELDON, "metadata": metadata, "spec": spec})


def _predictor(
    version: str,
    entry: ManifestNode,
    deployments: Iterable[ManifestNode],
    files: Mapping[str, ManifestNode],
    findings: Findings,
) -> Data:
    pods: list[Plain] = [_pod(each) for each in deployments]
    engine = entry.child("metadata").texts("annotations").get(ENGINE)
    written: Data = {"name": version, "componentSpecs": pods}
    if engine is None:
        containers = _template(entry).items("containers")
        unit = containers[0].text("name") if containers else ""
        written["annotations"] = {NO_ENGINE: "true"}
        written["graph"] = {"name": unit, "type": "MODEL", "children": []}
        return written
    told = _read_engine_graph(version, entry, files, findings)
    annotations: Data = {ENGINE: engine}
    if (timeout := told.number("timeout_ms")) is not None:
        annotations["seldon.io/rest-timeout"] = annotations["seldon.io/grpc-timeout"] = str(timeout)
    written["annotations"] = annotations
    written["graph"] = told.child("graph").plain
    return written


def _pod(deployment: ManifestNode) -> Plain:
    """Return the pod of a Deployment without the engine, in whose place the run's own front walks the units."""
    engine = deployment.child("metadata").texts("annotations").get(ENGINE)
    template = _template(deployment)
    kept = [each.plain for each in template.items("containers") if each.text("name") != engine]
    return {"spec": {**fields(template.plain), "containers": kept}}


def _template(deployment: ManifestNode) -> ManifestNode:
    return deployment.child("spec").child("template").child("spec")


def _read_engine_graph(
    version: str, entry: ManifestNode, files: Mapping[str, ManifestNode], findings: Findings
) -> ManifestNode:
    """Return what the engine is told; nothing, with the reason in the findings, where that cannot be read."""
    volumes = [each for each in _template(entry).items("volumes") if each.text("name") == VOLUME]
    name = volumes[0].child("configMap").text("name") if volumes else ""
    if name not in files:
        findings.refuse(
            f"the engine of `{version}` reads the config map `{name}`, which is not among the documents"
        )
        return node_of({})
    text = read_config_map(files[name], findings).entries.get(FILE, b"")
    sink = Sink()
    # It is JSON, which is YAML too; that reader keeps within bounds whatever the text is.
    found = [ManifestNode(each) for each in read_manifests(text.decode(errors="replace"), FILE, sink)]
    if sink.has_errors or len(found) != 1 or found[0].text("kind") != ENGINE_GRAPH:
        findings.refuse(f"`{FILE}` of the config map `{name}` is not an {ENGINE_GRAPH}")
        return node_of({})
    return found[0]
