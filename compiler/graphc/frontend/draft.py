"""A spec's nodes with their ports, before references are resolved and types inferred."""

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from graphc_components.catalog import Component as CatalogEntry

from graphc.artefacts.model_settings import DescribedFolder
from graphc.artefacts.python_classes import PythonClass
from graphc.artefacts.python_reader import PythonEntry
from graphc.artefacts.read_signature import Signature
from graphc.artefacts.tensorflow_folder import SavedFolder
from graphc.artefacts.triton_repository import ServedModel
from graphc.diagnostics import Span
from graphc.ir.graph import CpuModel, Host, Variable
from graphc.records import record
from graphc.spec.fields import AnyNode
from graphc.spec.read_spec import GraphSpec


@record
class DraftUse:
    """A reference as it is written: the port it is for (empty or an index where unnamed), and its place."""

    port: str
    reference: str
    at: Span

    @property
    def is_unnamed(self) -> bool:
        """Whether the file does not say the port, and leaves it to the order."""
        return self.port == "" or self.port.isdecimal()


@record
class DraftServer:
    """A server that nodes ask: its kind, where it answers, and how graphc runs it, if it does."""

    name: str
    kind: str
    url: str
    token: Variable | None
    host: Host | None = None
    served: Mapping[str, ServedModel] | None = None
    """What a folder beside the graph file has for it; None where that is not known."""
    settings: DescribedFolder | None = None
    """What such a folder says of the models of an MLServer."""
    saved: SavedFolder | None = None
    """What such a folder says of the models of a TensorFlow Serving."""
    trust: Variable | None = None


@record
class DraftNode:
    """A node with what is known of it: `outputs` is None where its artefact does not tell."""

    name: str
    spec: AnyNode
    at: Span
    uses: tuple[DraftUse, ...]
    outputs: tuple[str, ...] | None
    signature: Signature | None = None
    component: CatalogEntry | None = None
    local: Path | None = None
    cpu: CpuModel | None = None
    """What stands for a model where there is no GPU."""
    files: tuple[str, ...] = ()
    """What a Python node's module needs, itself included, relative to the graph's folder."""
    entry: PythonEntry | None = None
    """What a Python node's module has of the name that the node says."""
    made: PythonClass | None = None
    """That, where it is a class whose text tells what it can be called with."""
    arguments: tuple[str, ...] | None = None
    server: "DraftServer | None" = None
    """The server that the node asks."""
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])
    """The parameters of a server, with their defaults."""
    required: tuple[str, ...] = ()


@record
class Draft:
    """A graph spec with its draft nodes by name; local files lie beside `folder`."""

    spec: GraphSpec
    nodes: Mapping[str, DraftNode]
    folder: Path
