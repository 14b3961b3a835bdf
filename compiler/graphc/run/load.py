"""Turn what the user named, graph files or manifests, into documents."""

import io
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from graphc.compile.compile_files import Compilation
from graphc.diagnostics import Sink
from graphc.packages.annotation import ANNOTATION, read_annotation
from graphc.packages.requirements import Requirements
from graphc.run.problem import Findings, Problem
from graphc.run.volumes import LocalFiles
from graphc.run.workloads import gather_workloads
from graphc.seldon.documents import KIND, flatten
from graphc.seldon.node import ManifestNode, node_of
from graphc.server_start import ARTEFACTS
from graphc.source.files import STDIN, Source
from graphc.source.located import Fields
from graphc.source.yaml_reader import read_manifests
from graphc.spec.fields import Required
from graphc.spec.read_spec import GraphSpec

MAX_CHARACTERS: Final = 64 * 1024 * 1024

_GRAPH: Final = re.compile(r"""^\s*["']?kind["']?\s*:\s*["']?InferenceGraph\b""", re.MULTILINE)

Files = Mapping[str, LocalFiles]
"""What container folders hold."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The documents to run, and local files that stand for what the cluster would mount."""

    documents: Sequence[ManifestNode]
    overrides: Mapping[str, Files] = field(default_factory=dict[str, Files])
    """By predictor."""
    requirements: Mapping[str, Requirements] = field(default_factory=dict[str, Requirements])
    """By predictor, where its units need more than the runtime image has."""
    folders: Sequence[Path] | None = None
    """Where the files lie that manifests may name; None for graphs, whose author may name any."""
    asked: Sequence[Path] = ()
    """Files that say which packages the graphs require."""


def read_texts(paths: Sequence[str], findings: Findings) -> dict[str, str]:
    """Return the files' texts by path; `-` is standard input, which can be read again afterwards."""
    texts = dict[str, str]()
    for path in paths:
        text = _read_stdin() if path == "-" else _read_file(path)
        if isinstance(text, Problem):
            findings.refuse(text.message, text.advice)
        else:
            texts[path] = text
    return texts


def are_graphs(texts: Mapping[str, str], findings: Findings) -> bool:
    """Say whether the files are graphs, to be compiled first; a mixture is refused."""
    kinds = {
        path: Source(path, text).is_python or _GRAPH.search(text) is not None for path, text in texts.items()
    }
    if len(set(kinds.values())) > 1:
        findings.refuse("graph files and manifests cannot be run together")
    return any(kinds.values())


def load_manifests(texts: Mapping[str, str], sink: Sink, findings: Findings) -> Loaded:
    """Read manifests as kubectl reads them; what is wrong with a file goes to `sink`."""
    documents = list[ManifestNode]()
    for path, text in texts.items():
        if len(text) > MAX_CHARACTERS:
            findings.refuse(f"`{path}` is larger than {MAX_CHARACTERS // 1024 // 1024} MiB")
            continue
        for document in read_manifests(text, name_source(path), sink):
            if not isinstance(document, Fields):
                findings.refuse(f"`{path}` holds a document that is not a mapping")
            documents += map(ManifestNode, flatten(document))
    documents = gather_workloads(documents, findings)
    folders = [Path() if path == "-" else Path(path).parent for path in texts]
    return Loaded(documents, requirements=_read_requirements(documents, findings), folders=folders)


def name_source(path: str) -> str:
    """Return what diagnostics call a file, or standard input."""
    return STDIN if path == "-" else path


def _read_requirements(documents: Sequence[ManifestNode], findings: Findings) -> dict[str, Requirements]:
    """Return what the predictors of a manifest require, as graphc noted it there."""
    found: dict[str, Requirements] = {}
    for document in documents:
        annotations = document.child("metadata").texts("annotations")
        if document.text("kind") != KIND or ANNOTATION not in annotations:
            continue
        try:
            found |= read_annotation(annotations[ANNOTATION])
        except ValueError as problem:
            findings.refuse(f"the annotation `{ANNOTATION}` cannot be read: it {problem}")
    return found


def load_compiled(done: Compilation) -> Loaded:
    """Take over what was compiled for a run on this machine."""
    overrides: dict[str, dict[str, LocalFiles]] = {}
    for emission in done.emissions:
        for predictor, shipment in emission.local:
            folder = str(PurePosixPath(ARTEFACTS) / shipment.node)
            overrides.setdefault(predictor, {})[folder] = LocalFiles(dict(shipment.files), shipment.copied)
    emitted = [node_of(document) for emission in done.emissions for document in emission.documents]
    documents = gather_workloads(emitted, Findings())
    images = {name: image for emission in done.emissions for name, image in emission.images.items()}
    requirements = {name: each.requirements for name, each in images.items() if each.requirements.each}
    asked = [path for graph in done.graphs for path in _list_requirements(graph.spec)]
    return Loaded(documents, overrides, requirements, asked=asked)


def _list_requirements(spec: GraphSpec) -> Iterator[Path]:
    folder = Path(spec.root.span.file).parent
    nodes = (getattr(node, "requirements", None) for node in spec.nodes.values())
    for each in (spec.fields.requirements, *nodes):
        if isinstance(each, Required) and each.file is not None:
            yield folder / each.file


def _read_file(path: str) -> str | Problem:
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            return file.read(MAX_CHARACTERS + 1)
    except UnicodeDecodeError:
        return Problem(f"`{path}` is not UTF-8")
    except OSError as failure:
        return Problem(f"`{path}` cannot be read: {(failure.strerror or str(failure)).lower()}")


def _read_stdin() -> str | Problem:
    data = sys.stdin.buffer.read(MAX_CHARACTERS + 1)
    # The compiler reads standard input itself.
    sys.stdin = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return Problem("standard input is not UTF-8")
