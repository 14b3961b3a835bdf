"""The Python builder: the same graph as a file's, to the byte, with problems shown at the lines that made it."""

import linecache
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict, Unpack, cast

from graphc.diagnostics import Span
from graphc.source.located import Entry, Fields, place
from graphc.spec.fields import API_VERSION, KIND

Data = None | bool | int | float | str | Sequence["Data"] | Mapping[str, "Data"]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a graph: an input, or an output of a node."""

    reference: str

    def __str__(self) -> str:
        """Write the reference as a graph file does."""
        return self.reference


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a graph; `node["probabilities"]` is one of its tensors, the node itself its only one."""

    name: str

    def __getitem__(self, output: str) -> Tensor:
        """Return the tensor of that name."""
        return Tensor(f"{self.name}.{output}")

    def __str__(self) -> str:
        """Write the reference as a graph file does."""
        return self.name


Source = Tensor | Node
Sources = Source | Sequence[Source] | Mapping[str, Source]
Take = Source | Mapping[str, Source]


class NodeFields(TypedDict, total=False):
    """What any node may say; see the JSON Schema (`graphc schema`) for what each means."""

    unit: str
    resources: Mapping[str, Data]
    replicas: int
    autoscaling: Mapping[str, int | float]
    workers: int
    batch: Mapping[str, int | float]
    env: Mapping[str, str | Mapping[str, str]]
    cost_ms: float
    timeout: str
    retries: int
    on_error: str | Mapping[str, Data | Node]
    idempotent: bool
    rowwise: bool
    quorum: int
    wait: str


class GraphFields(TypedDict, total=False):
    """What a graph may say beside its inputs, nodes and outputs."""

    predictors: Mapping[str, Mapping[str, Data]]
    servers: Mapping[str, Mapping[str, Data]]
    sticky: Mapping[str, str]
    runtime: Mapping[str, str]
    requirements: str | Sequence[str | Mapping[str, str | Sequence[str]]]
    replicas: int
    autoscaling: Mapping[str, int | float]
    resources: Mapping[str, Data]
    placement: str | Mapping[str, str]
    artifacts: str | Mapping[str, str]
    service_account: str
    executor: bool
    deadline: str
    workers: int
    batch: Mapping[str, int | float]
    allow_loss: Sequence[str]


@dataclass(slots=True)
class _Section:
    span: Span
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])

    def add(self, name: str, value: Data, span: Span) -> None:
        if name in self.entries:
            raise ValueError(f"the graph has `{name}` already")
        self.entries[name] = Entry(name, span, place(value, span))

    def located(self) -> Fields:
        return Fields(tuple(self.entries.values()), self.span)


class Graph:
    """A graph under construction; `graphc compile FILE.py` compiles those that a file leaves in its variables."""

    def __init__(
        self,
        name: str,
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        **fields: Unpack[GraphFields],
    ) -> None:
        span = _caller()
        metadata = {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations}
        self._span = span
        self._head = _Section(span)
        self._head.add("apiVersion", API_VERSION, span)
        self._head.add("kind", KIND, span)
        self._head.add("metadata", {key: each for key, each in metadata.items() if each is not None}, span)
        for key, value in fields.items():
            self._head.add(key, cast("Data", value), span)
        self._inputs, self._nodes, self._outputs = _Section(span), _Section(span), _Section(span)

    @property
    def folder(self) -> Path:
        """The folder of the file that made the graph; its local models and modules lie beside that."""
        return Path(self._span.file).parent

    def input(self, name: str, type: str) -> Tensor:  # noqa: A002
        """Add a graph input, such as `graph.input("x", "FP32[batch, 30]")`."""
        self._inputs.add(name, type, _caller())
        return Tensor(name)

    def output(self, **outputs: Source) -> None:
        """Add graph outputs by name."""
        span = _caller()
        for name, source in outputs.items():
            self._outputs.add(name, str(source), span)

    def model(
        self,
        name: str,
        model: str,
        inputs: Sources,
        *,
        cpu_model: str | None = None,
        framework: str | None = None,
        out: Mapping[str, str] | None = None,
        credentials: str | None = None,
        load_seconds: float | None = None,
        gpu_memory: str | None = None,
        **fields: Unpack[NodeFields],
    ) -> Node:
        """Add a trained model: a path beside this file, or a URI."""
        own = {
            "cpu_model": cpu_model,
            "framework": framework,
            "out": out,
            "credentials": credentials,
            "load_seconds": load_seconds,
            "gpu_memory": gpu_memory,
        }
        return self._add(name, {"model": model, "in": _sources(inputs)} | own, fields)

    def component(
        self,
        name: str,
        component: str,
        inputs: Sources,
        *,
        parameters: Mapping[str, Data] | None = None,
        **fields: Unpack[NodeFields],
    ) -> Node:
        """Add a combiner or transformer of the catalog."""
        own = {"component": component, "in": _sources(inputs), "parameters": parameters}
        return self._add(name, own, fields)

    def python(
        self,
        name: str,
        entry: str,
        inputs: Sources,
        *,
        out: str | Mapping[str, str],
        seldon: str | Mapping[str, Data] | None = None,
        files: str | Sequence[str] | None = None,
        requirements: str | Sequence[str] | None = None,
        image: str | None = None,
        load_seconds: float | None = None,
        gpu_memory: str | None = None,
        **fields: Unpack[NodeFields],
    ) -> Node:
        """Add a Python function or a class, as `module:function`; `seldon` says how one of Seldon's is asked."""
        own = {
            "python": entry,
            "seldon": seldon,
            "in": _sources(inputs),
            "out": out,
            "files": files,
            "requirements": requirements,
            "image": image,
            "load_seconds": load_seconds,
            "gpu_memory": gpu_memory,
        }
        return self._add(name, own, fields)

    def server(
        self,
        name: str,
        server: str,
        inputs: Sources,
        *,
        out: str | Mapping[str, str],
        url: str | None = None,
        model: str | None = None,
        version: str | None = None,
        takes: Mapping[str, str] | None = None,
        parameters: Mapping[str, Data] | None = None,
        token: Mapping[str, str] | None = None,
        **fields: Unpack[NodeFields],
    ) -> Node:
        """Add a model that another server has; `takes` are the types of the server's inputs, by its names."""
        own = {
            "server": server,
            "url": url,
            "model": model,
            "version": version,
            "in": _sources(inputs),
            "inputs": takes,
            "out": out,
            "parameters": parameters,
            "token": token,
        }
        return self._add(name, own, fields)

    def router(
        self,
        name: str,
        router: str,
        branches: Sequence[Mapping[str, Data | Take]],
        *,
        value: Source | None = None,
        parameter: str | None = None,
        key: Mapping[str, str] | None = None,
        per: str | None = None,
        **fields: Unpack[NodeFields],
    ) -> Node:
        """Add a router; each branch says what to `take` and when, as in a graph file.

        `value` is the tensor that decides, `parameter` the name of the request parameter or header.
        """
        own: dict[str, Data] = {
            "router": router,
            "in": str(value) if value else None,
            "name": parameter,
            "key": key,
            "per": per,
            "branches": [_branch(branch) for branch in branches],
        }
        return self._add(name, own, fields)

    def cascade(
        self,
        name: str,
        steps: Sequence[Mapping[str, Data | Take]],
        *,
        per: str | None = None,
        **fields: Unpack[NodeFields],
    ) -> Node:
        """Add a cascade; each step says what to `take`, and all but the last `until` which confidence."""
        return self._add(name, {"cascade": [_branch(step) for step in steps], "per": per}, fields)

    def located(self) -> Fields:
        """Return the graph as the document that a file with the same content is read to."""
        sections = {"inputs": self._inputs, "nodes": self._nodes, "outputs": self._outputs}
        added = [
            Entry(name, self._span, section.located())
            for name, section in sections.items()
            if section.entries
        ]
        return Fields((*self._head.entries.values(), *added), self._span)

    def _add(self, name: str, own: Mapping[str, Data], fields: NodeFields) -> Node:
        given = dict(own) | {key: _plain(cast("Data | Take", value)) for key, value in fields.items()}
        self._nodes.add(name, {key: value for key, value in given.items() if value is not None}, _caller())
        return Node(name)


def _sources(sources: Sources) -> Data:
    if isinstance(sources, Tensor | Node):
        return str(sources)
    if isinstance(sources, Mapping):
        return {name: str(source) for name, source in sources.items()}
    return [str(source) for source in sources]


def _branch(branch: Mapping[str, Data | Take]) -> Data:
    return {key: _plain(value) for key, value in branch.items()}


def _plain(value: Data | Take) -> Data:
    if isinstance(value, Tensor | Node):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return value


def _caller() -> Span:
    """Return the line outside this module that is running."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame.f_back and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return whole_line(frame.f_code.co_filename, frame.f_lineno)


def whole_line(file: str, line: int) -> Span:
    """Return the place of a line of a Python file, without its indentation."""
    text = linecache.getline(file, line).rstrip()
    start = len(text) - len(text.lstrip()) + 1
    return Span(file, line, start, line, max(len(text), start) + 1)
