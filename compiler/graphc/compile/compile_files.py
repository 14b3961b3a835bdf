"""The whole road from files to documents; the command line and the builder both take it."""

import gc
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from graphc.compile.check_graph_names import check_graph_names
from graphc.compile.check_target import check_profile_target, check_target
from graphc.compile.pipeline import CheckedGraph, compile_document
from graphc.compile.request import Request
from graphc.compile.versions import pass_on
from graphc.diagnostics import Severity, Sink
from graphc.measured import CostFile, check_costs, read_costs
from graphc.profiles.kinds import is_profile
from graphc.profiles.profile import Profile
from graphc.seldon.documents import find_deployments, is_manifest
from graphc.source.files import STDIN, Source, read_source
from graphc.source.located import Fields, Located
from graphc.source.yaml_reader import read_documents, read_for_cluster
from graphc.targets.interface import Emission


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

    @property
    def only_lost(self) -> bool:
        """Whether every error is a loss on the target: there are plans, which can be looked at."""
        lost = {loss.diagnostic for graph in self.graphs for loss in graph.losses}
        return all(each in lost for each in self.sink if each.severity is Severity.ERROR)


def compile_files(request: Request) -> Compilation:
    """Read and check all graphs of all files, and emit them; some limits show only in what is emitted."""
    with _uncollected():
        done = _compile_files(request)
    _add_modules(done)
    return done


def compile_built(document: Located, folder: Path, request: Request) -> Compilation:
    """Check and emit a graph that was built in Python, as one of a file in a folder."""
    done = Compilation()
    check_target(request.target, done.sink)
    cluster = None if request.profile is None else _read_profile(request.profile, done)
    if done.sink.has_errors:
        return done
    request = request if cluster is None else replace(request, cluster=cluster)
    done.cluster = request.cluster
    checked = compile_document(document, folder, request, done.sink)
    if checked is not None:
        done.graphs.append(checked)
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
    check_target(request.target, done.sink)
    if done.sink.has_errors:
        return done
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
            checked = compile_document(document, folder, request, done.sink)
            if checked is not None:
                done.graphs.append(checked)
    check_graph_names([graph.spec for graph in done.graphs], done.sink)
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
    from graphc.profiles.read_profile import find_profile, read_profile

    source = find_profile(name, done.sink)
    if source is None:
        return None
    done.sources[source.file] = source.text
    profile, own = read_profile(source, done.sink), Sink()
    if profile is not None:
        check_profile_target(profile, own)
    pass_on(own, done.sink)
    return None if own.has_errors else profile


def _check_profile(document: Located, done: Compilation) -> None:
    from graphc.profiles.read_profile import read_profile_document

    profile = read_profile_document(document, done.sink)
    if profile is not None:
        check_profile_target(profile, done.sink)
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
