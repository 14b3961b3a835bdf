"""The typed DAG: nodes that turn tensors into tensors, in an order in which they can run."""

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Literal

from graphc_components.servers import STREAM
from graphc_components.tensors import TensorType

from graphc.diagnostics import Span
from graphc.gpus.ask import GpuAsk
from graphc.records import record

Per = Literal["row", "request"]
Grouping = Literal["auto", "fused", "separate"]
"""How nodes that say nothing of their container are put into units."""
Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]
Types = Mapping[str, TensorType]
"""Types by tensor name; a tensor is called by its graph input, or `node.output`."""


@record
class Guard:
    """A condition: the choice tensor has one of these branches, in some row or for the request."""

    choice: str
    branches: tuple[int, ...]
    """In ascending order; never all that there are."""


@record
class Gather:
    """Which rows of a tensor to read: those that a guard wants, of those that another left; none left all."""

    wanted: Guard
    there: Guard | None = None


@record
class Case:
    """Some rows, or with no guard of theirs all, where further guards are met by any row or by the request."""

    rows: Guard | None
    whole: tuple[Guard, ...]


@record
class Use:
    """One tensor that a node reads, for one of its ports; `gather` picks the rows that the guards leave."""

    port: str
    tensor: str
    at: Span
    gather: Gather | None = None


@record
class Output:
    """One tensor that a node makes, from one of its ports."""

    port: str
    tensor: str
    type: TensorType
    rows: str | None = None
    """The port whose rows it has, where conditions leave only some of the batch's."""


@record
class Default:
    """A constant for an output: rows by a number or by those of an input port, then fixed dimensions."""

    port: str
    value: bool | int | float | str
    datatype: str
    rows: int | str
    shape: tuple[int, ...]


@record
class Policy:
    """What a node's failing means: how often it is tried, for how long, and what then stands for its outputs.

    With neither `skip`, `defaults` nor `fallback` it fails the request. A fallback's uses are another node's
    tensors by this node's ports; `failed` names the tensor that tells whether it is used.
    """

    timeout_ms: int | None = None
    retries: int = 0
    skip: bool = False
    defaults: tuple[Default, ...] = ()
    fallback: tuple[Use, ...] = ()
    failed: str | None = None


@record
class CpuModel:
    """Another file of a model, for processors: where it is, and what a local one needs beside it."""

    location: str
    local: Path | None
    files: tuple[str, ...] = ()


@record
class ModelWork:
    """Run a trained model: a local file, or what a URI leads to."""

    framework: str
    location: str
    local: Path | None
    files: tuple[str, ...]
    """Further files that the local one needs, relative to it."""
    credentials: str | None
    load_seconds: float | None
    merged: tuple[str, ...] = ()
    """The nodes of the file that graphc made the model of, if it did."""
    gpu_mib: int | None = None
    """The memory of a GPU that it was measured to take."""
    cpu: CpuModel | None = None
    """What runs in its place where there is no GPU."""


@record
class ComponentWork:
    """Run a component of the catalog."""

    component: str
    parameters: Mapping[str, Value]
    quorum: int | None = None
    """How many of a combiner's tensors are enough; None asks for all."""
    waits_for_quorum: bool = False


@record
class SeldonClass:
    """How a class is asked that was written for Seldon's language wrapper: its method, and what it is told."""

    method: str
    payload: str
    names: tuple[str, ...]
    parameters: tuple[tuple[str, bool | int | float | str], ...]
    """What it is made with."""


@record
class PythonWork:
    """Run the user's function or class: shipped from a local module, or found in an image."""

    entry: str
    local: Path | None
    """The module's own file."""
    load_seconds: float | None
    rowwise: bool = False
    """Whether a row of its outputs hangs on that row of its inputs alone."""
    idempotent: bool = False
    """Whether running it twice does no harm."""
    gpu_mib: int | None = None
    """The memory of a GPU that it was measured to take."""
    files: tuple[tuple[str, Path], ...] = ()
    """What is shipped: the module, and what it needs, by the names that they have beside the graph file."""
    seldon: SeldonClass | None = None
    """How it is asked where it is a class for Seldon's language wrapper."""


@record
class Host:
    """A server that runs in a container beside the units that ask it."""

    name: str
    kind: str
    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    port: int
    env: tuple["Variable", ...]
    resources: "Resources | None"
    gpus: int
    """Whole GPUs."""
    load_seconds: float | None
    models: str | None
    """Where what it serves lies: a path beside the graph file, or a URI."""
    files: tuple[tuple[str, Path], ...]
    """Local files of what it serves, by their paths below it."""
    at: Span = field(compare=False)


@record
class ServerWork:
    """Ask another server for a model: by its protocol, at a URL that stands before the server's own paths."""

    name: str
    """What the file calls the server; the node's own name where it only says a kind."""
    server: str
    """The kind of server."""
    url: str
    model: str
    version: str | None
    parameters: Mapping[str, Value]
    rowwise: bool
    """Whether a row of its outputs hangs on that row of its inputs alone."""
    token: "Variable | None" = None
    """The variable of the unit that holds the token it is asked with."""
    host: Host | None = None
    """Where graphc runs it itself."""
    trust: "Variable | None" = None
    """The variable of the unit that holds the certificates that it is trusted by."""


@record
class RouterWork:
    """Answer with one branch; `takes[i]` are the uses of branch i by output port."""

    router: str
    parameters: Mapping[str, Value]
    per: Per
    value: Use | None
    takes: tuple[tuple[Use, ...], ...]


@record
class CascadeStep:
    """One step: its tensors, and unless it is the last, when to leave with them."""

    takes: tuple[Use, ...]
    confidence: Use | None
    until: float | None


@record
class CascadeWork:
    """Answer with the first step that is confident."""

    per: Per
    steps: tuple[CascadeStep, ...]


@record
class FallbackWork:
    """Answer with a node's own tensors, or with another's where `failed` says so: branches 0 and 1."""

    failed: Use
    takes: tuple[tuple[Use, ...], tuple[Use, ...]]


@record
class ChoiceWork:
    """Compute which branch is taken, by row or for the request: INT32 [rows] or [1].

    It has all rows of the batch: those that `among` does not leave take branch -1, which is none.
    """

    router: str
    parameters: Mapping[str, Value]
    per: Per
    among: Guard | None = None


@record
class EitherWork:
    """Compute for which rows, or whether for the request, any of some cases is met: INT32 [rows] or [1], 1 or 0."""

    cases: tuple[Case, ...]


@record
class MergeWork:
    """Put the branches' rows together again, or pass the one that was taken."""

    per: Per
    choice: Use
    branches: tuple[tuple[Use, ...], ...]


Work = (
    ModelWork
    | ComponentWork
    | PythonWork
    | ServerWork
    | RouterWork
    | CascadeWork
    | FallbackWork
    | ChoiceWork
    | EitherWork
    | MergeWork
)


@record
class Resources:
    """What a container asks for, as Kubernetes quantities."""

    cpu: str | None = None
    memory: str | None = None
    gpu: GpuAsk | None = None


@record
class Batch:
    """How many rows of requests may run together, and how long a request waits for others."""

    max_size: int
    max_delay_ms: float
    at: Span = field(compare=False)


@record
class Autoscaling:
    """Replicas by load: average use of processors and GPUs in percent, and requests for each replica.

    What asks for the most replicas counts.
    """

    least: int
    most: int
    cpu: int | None
    gpu: int | None
    requests: float | None
    at: Span = field(compare=False)


@record
class Variable:
    """An environment variable: a text, or one key of a Secret."""

    name: str
    value: str | None
    secret: str | None
    key: str | None
    is_secret: bool = True
    """Whether it is a Secret that has the key, and not an object that is open to read."""


@record
class Placement:
    """What a node says about the container that it runs in."""

    unit: str | None = None
    image: str | None = None
    resources: Resources | None = None
    replicas: int | None = None
    autoscaling: Autoscaling | None = None
    workers: int | None = None
    batch: Batch | None = None
    env: tuple[Variable, ...] = ()

    @property
    def is_free(self) -> bool:
        """Say whether the node may run wherever graphc likes."""
        return self == Placement()


@record
class Node:
    """One node; `origin` is the node of the file that it came from."""

    name: str
    origin: str
    at: Span
    work: Work
    uses: tuple[Use, ...]
    outputs: tuple[Output, ...]
    placement: Placement = field(default_factory=Placement)
    guards: tuple[Guard, ...] = ()
    cost_ms: float | None = None
    """How long it takes, as the file says."""
    policy: Policy = field(default_factory=Policy)

    @property
    def streams(self) -> bool:
        """Whether the file asks for its answer in parts."""
        return isinstance(self.work, ServerWork) and self.work.parameters.get(STREAM) is True

    @property
    def reads(self) -> Iterator[str]:
        """Yield the tensors that have to be there: those used, and the choices that guard and gather."""
        for use in self.uses:
            yield use.tensor
            if use.gather:
                yield use.gather.wanted.choice
                if use.gather.there:
                    yield use.gather.there.choice
        yield from (guard.choice for guard in self.guards)


@record
class Result:
    """One output of the graph."""

    name: str
    tensor: str
    at: Span


@record
class Graph:
    """A checked graph: nodes in a runnable order that does not depend on their order in the file."""

    name: str
    inputs: tuple[tuple[str, TensorType], ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Result, ...]
    grouping: Grouping = "auto"
    deadline_ms: int | None = None
    batch: Batch | None = None
    deadline_at: Span | None = field(default=None, compare=False)
    calls_at: Span | None = field(default=None, compare=False)
    """Where the file asks for calls over gRPC, for which a target may need units one after another."""

    @property
    def types(self) -> dict[str, TensorType]:
        """The type of every tensor, by its name."""
        made = {output.tensor: output.type for node in self.nodes for output in node.outputs}
        return dict(self.inputs) | made

    @property
    def makers(self) -> dict[str, Node]:
        """The node that makes each tensor; graph inputs have none."""
        return {output.tensor: node for node in self.nodes for output in node.outputs}

    def with_nodes(self, nodes: tuple[Node, ...]) -> "Graph":
        """Return the graph with other nodes."""
        return replace(self, nodes=nodes)
