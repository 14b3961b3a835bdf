"""Reads what the target `kubernetes` emits as a local run reads every graph: as predictors with their units."""

from collections.abc import Mapping, Sequence

from graphc.diagnostics import Sink
from graphc.engine_graph import ENGINE, FILE, VOLUME
from graphc.engine_graph import KIND as ENGINE_GRAPH
from graphc.rollout.shares import ANNOTATION as ROLLOUT
from graphc.run.config_map import KIND as CONFIG_MAP
from graphc.run.config_map import read_config_map
from graphc.run.problem import Findings
from graphc.seldon.deployment import NO_ENGINE
from graphc.seldon.documents import KIND as SELDON
from graphc.seldon.node import ManifestNode, node_of
from graphc.source.located import Plain
from graphc.source.yaml_reader import read_manifests
from graphc.unchecked import fields
from graphc.workloads import Workload, group_versions, is_workload, list_workloads

Data = dict[str, Plain]


def gather_workloads(documents: Sequence[ManifestNode], findings: Findings) -> list[ManifestNode]:
    """Return the documents with the Deployments of each graph joined into one deployment of its predictors."""
    found = list_workloads(documents)
    graphs = dict.fromkeys(each.graph for each in found)
    if not graphs:
        return list(documents)
    files = {
        each.child("metadata").text("name"): each for each in documents if each.text("kind") == CONFIG_MAP
    }
    joined = [
        _join(graph, [each for each in found if each.graph == graph], files, findings) for graph in graphs
    ]
    return [*(each for each in documents if not is_workload(each)), *joined]


def _join(
    graph: str, workloads: Sequence[Workload], files: Mapping[str, ManifestNode], findings: Findings
) -> ManifestNode:
    predictors: list[Plain] = []
    annotations: dict[str, str] = {}
    for version, own in group_versions(workloads).items():
        entries = [each for each in own if each.is_entry]
        if len(entries) != 1:
            findings.refuse(
                f"`{version}` of `{graph}` has {len(entries) or 'no'} Deployments that clients call"
            )
            continue
        told = entries[0].annotations
        if predictors and told.get(ROLLOUT) != annotations.get(ROLLOUT):
            findings.refuse(f"the Deployments of `{graph}` do not say the same of who shares its requests")
        annotations |= told
        predictors.append(_predictor(version, entries[0], own, files, findings))
    metadata: Data = {"name": graph, "annotations": {**annotations}}
    namespaces = {each.node.child("metadata").text("namespace") for each in workloads}
    if len(namespaces) > 1:
        findings.refuse(f"the Deployments of `{graph}` lie in several namespaces")
    if namespace := min(namespaces):
        metadata["namespace"] = namespace
    spec: Data = {"protocol": "v2", "predictors": predictors}
    return node_of({"kind": SELDON, "metadata": metadata, "spec": spec})


def _predictor(
    version: str,
    entry: Workload,
    workloads: Sequence[Workload],
    files: Mapping[str, ManifestNode],
    findings: Findings,
) -> Data:
    pods: list[Plain] = [_pod(each) for each in workloads]
    written: Data = {"name": version, "componentSpecs": pods}
    if entry.engine is None:
        containers = entry.template.items("containers")
        unit = containers[0].text("name") if containers else ""
        written["annotations"] = {NO_ENGINE: "true"}
        written["graph"] = {"name": unit, "type": "MODEL", "children": []}
        return written
    told = _read_engine_graph(version, entry, files, findings)
    annotations: Data = {ENGINE: entry.engine}
    if (timeout := told.number("timeout_ms")) is not None:
        annotations["seldon.io/rest-timeout"] = annotations["seldon.io/grpc-timeout"] = str(timeout)
    written["annotations"] = annotations
    written["graph"] = told.child("graph").plain
    return written


def _pod(workload: Workload) -> Plain:
    """Return the pod of a Deployment without the engine, in whose place the run's own front walks the units."""
    template = workload.template
    kept = [each.plain for each in template.items("containers") if each.text("name") != workload.engine]
    return {"spec": {**fields(template.plain), "containers": kept}}


def _read_engine_graph(
    version: str, entry: Workload, files: Mapping[str, ManifestNode], findings: Findings
) -> ManifestNode:
    """Return what the engine is told; nothing, with the reason in the findings, where that cannot be read."""
    volumes = [each for each in entry.template.items("volumes") if each.text("name") == VOLUME]
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
