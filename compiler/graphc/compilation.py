"""The whole road from files to documents; the command line and the builder both take it."""

import gc
import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from graphc_components.tensors import TensorType

from graphc.artefacts.signature import Signatures
from graphc.compare.gates import ALL, write_annotation
from graphc.compare.settings import write_settings
from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.artefacts import STORE_HERE
from graphc.diagnostics.codes.fields import DUPLICATE_NAME
from graphc.diagnostics.codes.flow import ARITY, DEAD_NODE, UNUSED_INPUT
from graphc.diagnostics.codes.gates import NOTHING_TO_JUDGE
from graphc.diagnostics.codes.reading import PARAMETER_UNUSED
from graphc.diagnostics.codes.rollout import OTHER_OUTPUTS
from graphc.frontend.assemble import autoscaling_of, resources_of, type_of_outputs
from graphc.frontend.check_gates import check_compared, check_decidable, check_gates
from graphc.frontend.read import read_graph
from graphc.frontend.read_requirements import read_requirements
from graphc.graph import Graph
from graphc.lower.options import Options
from graphc.lower.plan_graph import plan_graph
from graphc.measured import CostFile, check_costs, read_costs
from graphc.packages.requirements import Requirements
from graphc.plan import Plan
from graphc.predictors import (
    check_predictors,
    check_services,
    main_predictor,
    overlay,
    predictors_of,
    rollout_of,
    set_parameters,
)
from graphc.profiles.kinds import is_profile
from graphc.profiles.profile import Image, Profile
from graphc.records import record
from graphc.seldon.documents import find_deployments, is_manifest
from graphc.source.files import STDIN, Source, read_source
from graphc.source.located import Fields, Located
from graphc.source.parameters import declared_names, substitute
from graphc.source.yaml_reader import read_documents, read_for_cluster
from graphc.spec.read import GraphSpec, read_graph_spec
from graphc.targets.find import DEFAULT, find_target
from graphc.targets.model import Comparing, Deployable, Emission, Settings, Version
from graphc.targets.shipping import CONFIG_MAP_LIMIT, Purpose, Store


@record
class Request:
    """What to compile, and how; `takes_manifests` lets objects of Kubernetes' stand among the graphs."""

    paths: Sequence[str]
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    options: Options = field(default_factory=Options)
    purpose: Purpose = "cluster"
    target: str = DEFAULT
    """What the graphs are to run on, by the name of a folder of targets."""
    takes_manifests: bool = False
    costs: str | None = None
    """A file of measured costs."""
    profile: str | None = None
    """The file of a cluster's profile, or the name of one that comes with graphc."""
    cluster: Profile = field(default_factory=Profile)
    """The profile itself; what `profile` names takes its place."""
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
    cluster: Profile = field(default_factory=Profile)
    """The cluster that was compiled for."""
    profiles: int = 0
    """How many profiles of clusters stood among the graphs."""

    @property
    def emissions(self) -> list[Emission]:
        """What is emitted: all graphs, or nothing if anything is wrong with any."""
        if self.sink.has_errors:
            return []
        return [graph.emission for graph in self.graphs if graph.emission]


def compile_files(request: Request) -> Compilation:
    """Read and check all graphs of all files, and emit them; some limits show only in what is emitted."""
    with _uncollected():
        done = _compile_files(request)
    _add_modules(done)
    return done


def _add_modules(done: Compilation) -> None:
    """Take in the texts of the users' modules in which something is wrong."""
    files = {each.at.file for each in done.sink if each.at and each.at.file.endswith(".py")}
    for file in sorted(files - done.sources.keys()):
        source = read_source(file, Sink())
        if source is not None:
            done.sources[file] = source.text


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
    if request.profile is not None:
        cluster = _read_profile(request.profile, done)
        if cluster is None:
            return done  # what a cluster can do decides much of what is wrong
        request = replace(request, cluster=cluster)
    done.cluster = request.cluster
    for path in request.paths:
        source = read_source(path, done.sink)
        if source is None:
            continue
        done.sources[source.file] = source.text
        for document, folder in _read(source, path, request, done.sink):
            if request.takes_manifests and is_profile(document):
                _check_profile(document, done)
                continue
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


def _read_profile(name: str, done: Compilation) -> Profile | None:
    # Reading profiles takes pydantic, which is slow to import, and most compilations name none.
    from graphc.profiles.read import find_profile, read_profile

    source = find_profile(name, done.sink)
    if source is None:
        return None
    done.sources[source.file] = source.text
    return read_profile(source, done.sink)


def _check_profile(document: Located, done: Compilation) -> None:
    from graphc.profiles.read import read_profile_document

    read_profile_document(document, done.sink)
    done.profiles += 1


def _read(source: Source, path: str, request: Request, sink: Sink) -> Iterable[tuple[Located, Path]]:
    """Yield a file's documents, each with the folder that its local files lie beside."""
    if source.is_python:
        # The builder is not needed for YAML.
        from graphc.builder_files import run_builder_file

        for graph in run_builder_file(path, sink):
            yield graph.located(), graph.folder
        return
    folder = Path() if source.file == STDIN else Path(path).parent
    for document in _documents(source, request, sink):
        yield document, folder


def _documents(source: Source, request: Request, sink: Sink) -> list[Located]:
    if not request.takes_manifests:
        return read_documents(source.text, source.file, sink)
    return read_for_cluster(
        source.text, source.file, sink, lambda each: is_manifest(each) and not is_profile(each)
    )


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
    checked = _check_versions(spec, document, folder, request, own) if spec else None
    # What is wrong may be the reason why something else is unused.
    _pass_on((each for each in own if each.rule not in _UNUSED or not own.has_errors), sink)
    return checked


_UNUSED: Final = frozenset({PARAMETER_UNUSED, DEAD_NODE, UNUSED_INPUT, ARITY, NOTHING_TO_JUDGE})


def _check_versions(
    spec: GraphSpec, document: Located, folder: Path, request: Request, sink: Sink
) -> CheckedGraph:
    is_sound = not sink.has_errors
    check_predictors(spec, declared_names(document), sink)
    check_gates(spec, predictors_of(spec), sink)
    # A shadow that is being promoted in a file that runs was paired before.
    if request.purpose == "cluster" and not sink.has_errors:
        check_decidable(spec, predictors_of(spec), sink)
    options = replace(
        request.options,
        room=None if spec.fields.artifacts else CONFIG_MAP_LIMIT,
        keeps_one=request.cluster.refuses_executor and request.purpose == "cluster",
        pools=request.cluster.pools,
    )
    checked: dict[str, _Checked] = {}
    sinks: list[Sink] = []
    for name in predictors_of(spec):
        found = Sink()
        root = overlay(_with_parameters(spec, document, name, request, found), name)
        # Most versions change nothing: what was read and found sound is not read again.
        version = spec if root is spec.root and is_sound else read_graph_spec(root, found)
        required = read_requirements(version, folder, found) if version else Requirements()
        graph = read_graph(version, folder, found, request.signatures, required) if version else None
        plan = plan_graph(graph, _options_of(version, options), found) if version and graph else None
        if version and graph and plan:
            checked[name] = _Checked(version, graph, plan, required)
        sinks.append(found)
    _pass_on_versions(sinks, sink)
    plans = {name: each.plan for name, each in checked.items()}
    if not sink.has_errors:
        _check_same_outputs(spec, {name: each.graph for name, each in checked.items()}, sink)
        check_services(spec, plans, sink)
        outputs = type_of_outputs(checked[main_predictor(spec)].graph)
        check_compared(spec, predictors_of(spec), outputs.values(), sink)
    emission = None if sink.has_errors else _emit(spec, checked, request, sink)
    return CheckedGraph(spec, plans, emission)


def _options_of(version: GraphSpec, options: Options) -> Options:
    """Return the options with what a version gives to units that say nothing themselves."""
    fields = version.fields
    return replace(options, given=resources_of(fields.resources), workers=fields.workers or 1)


@record
class _Checked:
    """A predictor's own document, graph and plan."""

    spec: GraphSpec
    graph: Graph
    plan: Plan
    requirements: Requirements


def _with_parameters(
    spec: GraphSpec, document: Located, predictor: str, request: Request, sink: Sink
) -> Fields:
    """Return the document with a predictor's own values of the parameters; they win over all others."""
    values = predictors_of(spec)[predictor].parameters
    if not values or not isinstance(document, Fields):
        return spec.root
    own = Sink()
    settings = {name: value for name, value in request.settings.items() if name not in values}
    root = substitute(set_parameters(document, predictor), settings, request.environ, own)
    _pass_on((each for each in own if each.at is not None), sink)
    return spec.root if own.has_errors else root


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
    """Clients of a graph must not see which predictor answers them, unless the file says that they may."""
    main = main_predictor(spec)
    wanted = type_of_outputs(graphs[main])
    for name, predictor in predictors_of(spec).items():
        if name == main or predictor.allow_other_outputs:
            continue
        differences = [*_differences(name, type_of_outputs(graphs[name]), main, wanted)]
        if differences:
            at = spec.at("predictors", name, key=True)
            hint = "say `allow_other_outputs: true` if clients know of it"
            sink.report(Diagnostic(OTHER_OUTPUTS, "; ".join(differences), at, hint))


def _differences(
    name: str, own: Mapping[str, TensorType], main: str, wanted: Mapping[str, TensorType]
) -> Iterable[str]:
    for output, type_ in own.items():
        if output not in wanted:
            yield f"`{name}` answers `{output}`, and `{main}` does not"
        elif type_ != wanted[output]:
            yield f"`{name}` answers `{output}` as `{type_}`, and `{main}` as `{wanted[output]}`"
    for output in wanted:
        if output not in own:
            yield f"`{name}` does not answer `{output}`, and `{main}` does"


def _check_names(done: Compilation) -> None:
    seen: dict[tuple[str | None, str], GraphSpec] = {}
    for graph in done.graphs:
        metadata = graph.spec.fields.metadata
        name = (metadata.namespace, metadata.name)
        if name in seen:
            message = f"two graphs are called `{metadata.name}`"
            done.sink.report(Diagnostic(DUPLICATE_NAME, message, graph.spec.at("metadata", "name")))
        seen.setdefault(name, graph.spec)


def _emit(spec: GraphSpec, checked: Mapping[str, _Checked], request: Request, sink: Sink) -> Emission | None:
    profile = request.cluster
    versions = [
        Version(
            name,
            each.plan,
            predictor.replicas,
            autoscaling_of(predictor.autoscaling, spec, "predictors", name),
            _settings(each.spec, profile, each.requirements),
            at,
            predictor.version,
        )
        for name, predictor in predictors_of(spec).items()
        for each, at in ((checked[name], spec.at("predictors", name, key=True)),)
    ]
    own = _settings(spec, profile, Requirements())
    if own.store is not None and own.store.uri.startswith("file:"):
        message = f"`{own.store.uri}` is a folder of this machine, which no pod of a cluster has"
        hint = "push to a claim that the pods mount, as in `artifacts: pvc://models/team`, or to a bucket"
        sink.report(Diagnostic(STORE_HERE, message, spec.at("artifacts"), hint))
    deployable = Deployable(own, tuple(versions), rollout_of(spec), profile, request.purpose)
    return find_target(request.target).emit(deployable, sink)


def _comparing(spec: GraphSpec) -> Comparing:
    fields, predictors = spec.fields, predictors_of(spec)
    gates = {ALL: fields.promote_when} | {name: each.promote_when for name, each in predictors.items()}
    url_at = spec.at("compare", "url")
    if fields.compare is None:
        return Comparing(write_annotation(gates), None, None, url_at)
    said = fields.compare
    return Comparing(write_annotation(gates), write_settings(said.sample, said.segment), said.url, url_at)


def _image(spec: GraphSpec, profile: Profile, requirements: Requirements) -> str:
    """Return the image of the units: one with what the graph requires is the graph's own."""
    runtime, cluster = spec.fields.runtime, profile.runtime
    if requirements.each:
        # The cluster's tag and digest are of an image without it.
        cluster = replace(cluster, tag=None, digest=None)
    return cluster.locate(Image(runtime.image, runtime.tag or requirements.tag, runtime.digest))


def _settings(spec: GraphSpec, profile: Profile, requirements: Requirements) -> Settings:
    fields = spec.fields
    runtime, metadata = fields.runtime, fields.metadata
    return Settings(
        name=metadata.name,
        namespace=metadata.namespace,
        labels=metadata.labels,
        annotations=metadata.annotations,
        image=_image(spec, profile, requirements),
        requirements=requirements,
        pull_secret=runtime.pull_secret or profile.runtime.pull_secret,
        resources=resources_of(fields.resources),
        autoscaling=autoscaling_of(fields.autoscaling, spec),
        workers=fields.workers,
        replicas=fields.replicas,
        store=fields.artifacts and Store(fields.artifacts.store, fields.artifacts.credentials),
        service_account=fields.service_account,
        executor=fields.executor,
        comparing=_comparing(spec),
        at=spec.at("metadata", "name"),
        sticky_at=spec.at("sticky", "header"),
        executor_at=spec.at("executor"),
    )
