"""The whole road from files to documents; the command line and the builder both take it."""

import gc
import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from graphc.artefacts.signature import Signatures
from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.fields import DUPLICATE_NAME
from graphc.diagnostics.codes.flow import DEAD_NODE, UNUSED_INPUT
from graphc.diagnostics.codes.rollout import OTHER_OUTPUTS
from graphc.frontend.assemble import type_of_outputs
from graphc.frontend.read import read_graph
from graphc.graph import Graph, Resources
from graphc.lower.lower import lower_graph
from graphc.lower.options import Options
from graphc.manifests.kinds import find_deployments, is_manifest
from graphc.measured import CostFile, check_costs, read_costs
from graphc.plan import Plan
from graphc.predictors import check_predictors, overlay, predictors_of
from graphc.records import record
from graphc.source.files import STDIN, Source, read_source
from graphc.source.located import Fields, Located
from graphc.source.parameters import substitute
from graphc.source.yaml_reader import read_documents
from graphc.spec.read import GraphSpec, read_graph_spec
from graphc.targets.seldon import Emission, Settings, Version, emit_deployment
from graphc.targets.shipping import CONFIG_MAP_LIMIT, Purpose
from graphc.version import VERSION


@record
class Request:
    """What to compile, and how; `takes_manifests` lets objects of Kubernetes' stand among the graphs."""

    paths: Sequence[str]
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    options: Options = field(default_factory=Options)
    purpose: Purpose = "cluster"
    takes_manifests: bool = False
    costs: str | None = None
    """A file of measured costs."""
    signatures: Signatures = field(default_factory=Signatures)


@record
class CheckedGraph:
    """A graph file's document with its plans by predictor, and what comes of it where nothing is wrong."""

    spec: GraphSpec
    plans: Mapping[str, Plan]
    emission: Emission | None


@dataclass(slots=True)
class Compilation:
    """What came of a request: problems, the files' texts to show them in, and what was emitted.

    `manifests` are SeldonDeployments that stood among the graphs, as they were read.
    """

    sink: Sink = field(default_factory=Sink)
    sources: dict[str, str] = field(default_factory=dict[str, str])
    graphs: list[CheckedGraph] = field(default_factory=list[CheckedGraph])
    manifests: list[Fields] = field(default_factory=list[Fields])

    @property
    def emissions(self) -> list[Emission]:
        """What is emitted: all graphs, or nothing if anything is wrong with any."""
        if self.sink.has_errors:
            return []
        return [graph.emission for graph in self.graphs if graph.emission]


def compile_files(request: Request) -> Compilation:
    """Read and check all graphs of all files, and emit them; some limits show only in what is emitted."""
    with _uncollected():
        return _compile_files(request)


@contextmanager
def _uncollected() -> Generator[None]:
    """Keep the collector of cycles away: it would go through all nodes again and again, and find nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _compile_files(request: Request) -> Compilation:
    done = Compilation()
    costs = _read_costs(request, done)
    if costs is not None:
        request = replace(request, options=replace(request.options, measured=costs.costs))
    for path in request.paths:
        source = read_source(path, done.sink)
        if source is None:
            continue
        done.sources[source.file] = source.text
        for document, folder in _read(source, path, done.sink):
            if request.takes_manifests and is_manifest(document):
                done.manifests += find_deployments(document)
                continue
            checked = check_document(document, folder, request, done.sink)
            if checked is not None:
                done.graphs.append(checked)
    _check_names(done)
    if costs is not None and not done.sink.has_errors:
        nodes = {graph.spec.fields.metadata.name: graph.spec.nodes for graph in done.graphs}
        check_costs(costs, nodes, done.sink)
    return done


def _read_costs(request: Request, done: Compilation) -> CostFile | None:
    source = None if request.costs is None else read_source(request.costs, done.sink)
    if source is None:
        return None
    done.sources[source.file] = source.text
    return read_costs(source, done.sink)


def _read(source: Source, path: str, sink: Sink) -> Iterable[tuple[Located, Path]]:
    """Yield a file's documents, each with the folder that its local files lie beside."""
    if source.is_python:
        # The builder is not needed for YAML.
        from graphc.builder_files import run_builder_file

        for graph in run_builder_file(path, sink):
            yield graph.located(), graph.folder
        return
    folder = Path() if source.file == STDIN else Path(path).parent
    for document in read_documents(source.text, source.file, sink):
        yield document, folder


def check_document(document: Located, folder: Path, request: Request, sink: Sink) -> CheckedGraph | None:
    """Check one document, whatever is wrong with others: every predictor is the graph with its own changes."""
    own = Sink()
    root = (
        substitute(document, request.settings, request.environ, own)
        if isinstance(document, Fields)
        else document
    )
    # A value that could not be put in its place would only break further rules.
    spec = None if own.has_errors else read_graph_spec(root, own)
    checked = _check_versions(spec, folder, request, own) if spec else None
    _pass_on(own, sink)
    return checked


def _check_versions(spec: GraphSpec, folder: Path, request: Request, sink: Sink) -> CheckedGraph:
    is_sound = not sink.has_errors
    check_predictors(spec, sink)
    options = replace(request.options, room=None if spec.fields.artifacts else CONFIG_MAP_LIMIT)
    graphs: dict[str, Graph] = {}
    plans: dict[str, Plan] = {}
    sinks: list[Sink] = []
    for name in predictors_of(spec):
        found = Sink()
        root = overlay(spec.root, name)
        # Most versions change nothing: what was read and found sound is not read again.
        version = spec if root is spec.root and is_sound else read_graph_spec(root, found)
        graph = read_graph(version, folder, found, request.signatures) if version else None
        plan = lower_graph(graph, options, found) if graph else None
        if graph and plan:
            graphs[name], plans[name] = graph, plan
        sinks.append(found)
    _pass_on_versions(sinks, sink)
    _check_same_outputs(spec, graphs, sink)
    emission = None if sink.has_errors else _emit(spec, plans, request, sink)
    return CheckedGraph(spec, plans, emission)


def _pass_on(found: Iterable[Diagnostic], sink: Sink) -> None:
    for diagnostic in found:
        sink.report(diagnostic)


def _pass_on_versions(sinks: Sequence[Sink], sink: Sink) -> None:
    """Report what was found in any version; what is unused is so only where no version uses it."""
    common = set(sinks[0]).intersection(*sinks[1:])
    for found in sinks:
        _pass_on(
            (each for each in found if each.rule not in {DEAD_NODE, UNUSED_INPUT} or each in common), sink
        )


def _check_same_outputs(spec: GraphSpec, graphs: Mapping[str, Graph], sink: Sink) -> None:
    """Clients of a graph must not see which predictor answers them."""
    if not graphs:
        return
    first, *others = graphs
    wanted = type_of_outputs(graphs[first])
    for name in others:
        for output, type_ in type_of_outputs(graphs[name]).items():
            if type_ != wanted[output]:
                message = f"`{name}` answers `{output}` as `{type_}`, and `{first}` as `{wanted[output]}`"
                sink.report(Diagnostic(OTHER_OUTPUTS, message, spec.at("predictors", name, key=True)))


def _check_names(done: Compilation) -> None:
    seen: dict[tuple[str | None, str], GraphSpec] = {}
    for graph in done.graphs:
        metadata = graph.spec.fields.metadata
        name = (metadata.namespace, metadata.name)
        if name in seen:
            message = f"two graphs are called `{metadata.name}`"
            done.sink.report(Diagnostic(DUPLICATE_NAME, message, graph.spec.at("metadata", "name")))
        seen.setdefault(name, graph.spec)


def _emit(spec: GraphSpec, plans: Mapping[str, Plan], request: Request, sink: Sink) -> Emission | None:
    fields = spec.fields
    versions = [
        Version(
            name,
            plans[name],
            None if predictor.shadow else predictor.traffic if predictor.traffic is not None else 100,
            predictor.shadow,
            predictor.replicas if predictor.replicas is not None else fields.replicas,
        )
        for name, predictor in predictors_of(spec).items()
    ]
    return emit_deployment(_settings(spec), versions, request.purpose, sink)


def _settings(spec: GraphSpec) -> Settings:
    fields = spec.fields
    runtime, metadata, resources = fields.runtime, fields.metadata, fields.resources
    image = (
        f"{runtime.image}@{runtime.digest}" if runtime.digest else f"{runtime.image}:{runtime.tag or VERSION}"
    )
    return Settings(
        name=metadata.name,
        namespace=metadata.namespace,
        labels=metadata.labels,
        annotations=metadata.annotations,
        image=image,
        pull_secret=runtime.pull_secret,
        resources=Resources(resources.cpu, resources.memory, resources.gpu) if resources else None,
        store=fields.artifacts,
        service_account=fields.service_account,
        executor=fields.executor,
        at=spec.at("metadata", "name"),
    )
