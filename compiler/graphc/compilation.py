"""The whole road from files to documents; the command line and the builder both take it."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from graphc.builder_files import is_builder_file, run_builder_file
from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.fields import DUPLICATE_NAME
from graphc.diagnostics.codes.rollout import OTHER_OUTPUTS
from graphc.frontend.assemble import type_of_outputs
from graphc.frontend.read import read_graph
from graphc.graph import Graph, Resources
from graphc.lower.lower import lower_graph
from graphc.lower.options import Options
from graphc.plan import Plan
from graphc.predictors import check_predictors, overlay, predictors_of
from graphc.source.files import STDIN, Source, read_source
from graphc.source.located import Fields, Located
from graphc.source.parameters import substitute
from graphc.source.yaml_reader import read_documents
from graphc.spec.read import GraphSpec, read_graph_spec
from graphc.targets.seldon import Emission, Settings, Version, emit_deployment
from graphc.targets.shipping import Purpose
from graphc.version import VERSION


@dataclass(frozen=True, slots=True)
class Request:
    """What to compile, and how."""

    paths: Sequence[str]
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    options: Options = field(default_factory=Options)
    purpose: Purpose = "cluster"


@dataclass(frozen=True, slots=True)
class CheckedGraph:
    """A graph file's document with its plans by predictor."""

    spec: GraphSpec
    plans: Mapping[str, Plan]


@dataclass(slots=True)
class Compilation:
    """What came of a request: problems, the files' texts to show them in, and what was emitted."""

    sink: Sink = field(default_factory=Sink)
    sources: dict[str, str] = field(default_factory=dict[str, str])
    graphs: list[CheckedGraph] = field(default_factory=list[CheckedGraph])
    emissions: list[Emission] = field(default_factory=list[Emission])


def check_files(request: Request) -> Compilation:
    """Read and check all graphs of all files; nothing is emitted."""
    done = Compilation()
    for path in request.paths:
        source = read_source(path, done.sink)
        if source is None:
            continue
        done.sources[source.file] = source.text
        for document, folder in _read(source, path, done.sink):
            checked = check_document(document, folder, request, done.sink)
            if checked is not None:
                done.graphs.append(checked)
    _check_names(done)
    return done


def _read(source: Source, path: str, sink: Sink) -> Iterable[tuple[Located, Path]]:
    """Yield a file's documents, each with the folder that its local files lie beside."""
    if is_builder_file(source.file):
        for graph in run_builder_file(path, sink):
            yield graph.located(), graph.folder
        return
    folder = Path() if source.file == STDIN else Path(path).parent
    for document in read_documents(source.text, source.file, sink):
        yield document, folder


def compile_files(request: Request) -> Compilation:
    """Check all graphs and, if nothing is wrong with any, emit their documents."""
    done = check_files(request)
    if done.sink.has_errors:
        return done
    for graph in done.graphs:
        emission = _emit(graph, request, done.sink)
        if emission is not None:
            done.emissions.append(emission)
    return done


def check_document(document: Located, folder: Path, request: Request, sink: Sink) -> CheckedGraph | None:
    """Check one document: every predictor is the whole graph with its own changes."""
    if not isinstance(document, Fields):
        read_graph_spec(document, sink)  # which says what it is not
        return None
    root = substitute(document, request.settings, request.environ, sink)
    spec = read_graph_spec(root, sink)
    if spec is None:
        return None
    check_predictors(spec, sink)
    graphs: dict[str, Graph] = {}
    plans: dict[str, Plan] = {}
    for name in predictors_of(spec):
        version = read_graph_spec(overlay(root, name), sink)
        graph = read_graph(version, folder, sink) if version else None
        plan = lower_graph(graph, request.options, sink) if graph else None
        if graph and plan:
            graphs[name], plans[name] = graph, plan
    _check_same_outputs(spec, graphs, sink)
    return CheckedGraph(spec, plans)


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


def _emit(graph: CheckedGraph, request: Request, sink: Sink) -> Emission | None:
    fields = graph.spec.fields
    versions = [
        Version(
            name,
            graph.plans[name],
            None if predictor.shadow else predictor.traffic if predictor.traffic is not None else 100,
            predictor.shadow,
            predictor.replicas if predictor.replicas is not None else fields.replicas,
        )
        for name, predictor in predictors_of(graph.spec).items()
    ]
    return emit_deployment(_settings(graph.spec), versions, request.purpose, sink)


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
