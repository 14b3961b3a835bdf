"""The region: the part of a graph that this unit runs, read from JSON and checked once."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from graphc_components.tensors import DATATYPES, Dim
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    Strict,
    TypeAdapter,
    ValidationError,
    with_config,
)

from graphc_runtimes.errors import RegionError

_STRICT = ConfigDict(extra="forbid", strict=True)


def _known_datatype(name: str) -> str:
    if name not in DATATYPES:
        raise ValueError(f"`{name}` is not a datatype of the V2 protocol")
    return name


Datatype = Annotated[str, AfterValidator(_known_datatype)]


def _several(value: object) -> object:
    return [value] if isinstance(value, int) else value


# What a validator gives on is no longer JSON, which has lists only.
Branches = Annotated[tuple[Annotated[int, Strict()], ...], Strict(False), BeforeValidator(_several)]
"""Branches of a choice; a single one is written as its number."""
Guard = tuple[str, Branches]
"""The name of a choice tensor, and branches; the choice must have taken one of them."""
Gather = Annotated[tuple[Guard, ...], Field(max_length=2)]
"""Which rows are read, and which the tensor has; with one only, it has all, and with none, all are read."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor of a message: its name, datatype and shape."""

    name: str
    datatype: Datatype
    shape: tuple[Dim, ...]
    optional: bool = False


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class RegionOutput:
    """A tensor of the answer, and the tensor of the region that it is."""

    name: str
    tensor: str
    datatype: Datatype
    shape: tuple[Dim, ...]
    optional: bool = False


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Declared:
    """The type that a node's output is declared to have."""

    datatype: Datatype
    shape: tuple[Dim, ...]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Read:
    """A tensor to read, narrowed to the rows that took the given branches."""

    tensor: str
    gather: Gather = ()


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Default:
    """A constant for an output; the first dimension may be an input's name, and is the rows of that."""

    value: bool | int | float | str
    datatype: Datatype
    shape: tuple[int | str, ...]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Policy:
    """How often and how long a node is tried, and what stands for its outputs where every try failed.

    `failed` names a tensor that tells: INT32 [1], 1 where it failed and else 0.
    """

    timeout_ms: Annotated[int, Field(ge=1)] | None = None
    retries: Annotated[int, Field(ge=0)] = 0
    on_error: Literal["fail", "skip", "default"] = "fail"
    default: Mapping[str, Default] = field(default_factory=dict[str, Default])
    failed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    name: str
    outputs: Mapping[str, str]
    when: tuple[Guard, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReadingNode(_Node):
    inputs: Mapping[str, Read] = field(default_factory=dict[str, Read])

    @property
    def reads(self) -> Iterable[Read]:
        """Every tensor that the node reads."""
        return self.inputs.values()


@dataclass(frozen=True, slots=True, kw_only=True)
class _WorkingNode(_ReadingNode):
    policy: Policy = field(default_factory=Policy)


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentNode(_WorkingNode):
    """A component of the catalog; its inputs, in order, are positional arguments.

    With a quorum, that many of them are enough; with `wait` as "quorum", the first that are enough.
    """

    kind: Literal["component"]
    component: str
    parameters: Mapping[str, JsonValue]
    quorum: Annotated[int, Field(ge=1)] | None = None
    wait: Literal["all", "quorum"] = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class _DeclaringNode(_WorkingNode):
    declares: Mapping[str, Declared] = field(default_factory=dict[str, Declared])
    dims: Mapping[str, tuple[str, Annotated[int, Field(ge=0)]]] = field(
        default_factory=dict[str, tuple[str, int]]
    )
    """Where the size of a dimension that the declared shapes name is found: an input, and an axis of it."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelNode(_DeclaringNode):
    """A model artefact, and what stands for it on the CPU; paths are relative to the artefacts' folder."""

    kind: Literal["model"]
    framework: Literal["onnx", "sklearn", "xgboost", "lightgbm"]
    path: str
    cpu_path: str | None = None
    gpu_mib: Annotated[int, Field(ge=1)] | None = None
    """What it may take of a device, in each process; None leaves it all that the process may take."""

    @property
    def path_on_cpu(self) -> str:
        """The path of what runs on the CPU."""
        return self.cpu_path or self.path


Method = Literal["predict", "transform_input", "transform_output", "aggregate", "route"]
"""The methods of a class for Seldon's language wrapper that answer requests."""
Payload = Literal["ndarray", "tensor", "strData", "binData", "jsonData"]
"""The fields of Seldon's messages that hold a tensor, as the wrapper calls them."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class SeldonClass:
    """How a class is asked that was written for Seldon's language wrapper."""

    method: Method
    payload: Payload = "ndarray"
    names: tuple[str, ...] = ()
    """The names of the columns that the class is told."""
    parameters: Mapping[str, bool | int | float | str] = field(
        default_factory=dict[str, bool | int | float | str]
    )
    """What it is made with."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class PythonNode(_DeclaringNode):
    """The user's own Python, `module:name`, from a shipped folder or (path None) from the image."""

    kind: Literal["python"]
    entry: str
    path: str | None
    seldon: SeldonClass | None = None
    """How it is asked where it is a class for Seldon's language wrapper."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ServerNode(_DeclaringNode):
    """A model that another server has; `url` stands before the server's own paths."""

    kind: Literal["server"]
    server: str
    at: str
    """What the graph calls the server; the variable GRAPHC_AT_... of that name leads elsewhere."""
    url: str
    model: str
    parameters: Mapping[str, JsonValue]
    version: str | None = None
    token: str | None = None
    """The variable that holds the token that the server is asked with."""
    trust: str | None = None
    """The variable that holds the certificates that a server of https:// is trusted by, and by no others."""
    timeout_ms: Annotated[int, Field(ge=1)] | None = None
    """How long a call may take, where the node or the graph says."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceNode(_ReadingNode):
    """Chooses a branch for each row, or for the request as a whole; rows that are not `among` those take none, -1."""

    kind: Literal["choice"]
    router: Literal["threshold", "equals", "parameter", "header", "random", "confidence"]
    parameters: Mapping[str, JsonValue]
    per: Literal["row", "request"]
    among: Guard | None = None


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Case:
    """Some rows, or with none named all, where every guard of `when` is met."""

    rows: Guard | None
    when: tuple[Guard, ...]

    @property
    def guards(self) -> tuple[Guard, ...]:
        """All that the case asks."""
        return (*((self.rows,) if self.rows else ()), *self.when)


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class EitherNode(_Node):
    """Tells which rows meet any of some cases, or whether the request does: 1, else 0."""

    kind: Literal["either"]
    cases: Annotated[tuple[Case, ...], Field(min_length=1)]

    @property
    def reads(self) -> Iterable[Read]:
        """The choices; some may be absent."""
        return [Read(choice) for case in self.cases for choice, _ in case.guards]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class MergeNode(_Node):
    """Puts the branches' rows back where they were before the choice parted them."""

    kind: Literal["merge"]
    choice: Read
    per: Literal["row", "request"]
    branches: tuple[Mapping[str, Read], ...]

    @property
    def reads(self) -> Iterable[Read]:
        """Every tensor that the node reads."""
        return (self.choice, *(read for branch in self.branches for read in branch.values()))


Node = ComponentNode | ModelNode | PythonNode | ServerNode | ChoiceNode | EitherNode | MergeNode
DecidingNode = ChoiceNode | EitherNode | MergeNode
RunnableNode = ComponentNode | ModelNode | PythonNode | ServerNode


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class WholeGraph:
    """The graph that the region is a part of, as its clients see it."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    deadline_ms: Annotated[int, Field(ge=1)] | None = None


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Route:
    """How a choice is told to the executor: the child for each branch that has one, no child for the others."""

    choice: str
    children: Mapping[int, int]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Batch:
    """How many rows of waiting requests may run together, and how long a request waits for others."""

    max_size: Annotated[int, Field(ge=1)]
    max_delay_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """What one unit takes, runs (in this order) and answers."""

    graphc: Literal[1]
    graph: WholeGraph
    unit: str
    takes: tuple[TensorSpec, ...]
    nodes: tuple[Annotated[Node, Field(discriminator="kind")], ...]
    answers: tuple[RegionOutput, ...]
    wire: Literal["plain", "base64"]
    route: Route | None = None
    batch: Batch | None = None


_REGION: TypeAdapter[Region] = TypeAdapter(Region)


def parse_region(text: str) -> Region:
    """Read a region from JSON; raises RegionError for anything that is not fully understood."""
    try:
        region = _REGION.validate_json(text)
    except ValidationError as error:
        raise RegionError("; ".join(_describe(error))) from None
    _check_tensors(region)
    return region


def _describe(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        path = ".".join(str(part) for part in problem["loc"])
        yield f"{path}: {problem['msg']}" if path else problem["msg"]


def _check_tensors(region: Region) -> None:
    known: set[str] = set()
    for take in region.takes:
        _define(known, take.name, "the message")
    for node in region.nodes:
        where = f"node `{node.name}`"
        for name in (*(read.tensor for read in node.reads), *_guards(node)):
            _require(known, name, where)
        for name in made_by(node):
            _define(known, name, where)
        if isinstance(node, MergeNode):
            _check_branches(node)
        elif not isinstance(node, DecidingNode):
            _check_policy(node)
            _check_dims(node)
    for answer in region.answers:
        _require(known, answer.tensor, f"answer `{answer.name}`")
    if region.route:
        _require(known, region.route.choice, "the route")
    if region.batch:
        _check_rows(region)


def _check_rows(region: Region) -> None:
    """Refuse to part and join requests by rows that their tensors do not have."""
    tensors = (*region.takes, *region.answers)
    rows = tensors[0].shape[0] if tensors and tensors[0].shape else None
    for each in tensors:
        if each.optional or not isinstance(rows, str) or each.shape[:1] != (rows,):
            raise RegionError(f"batch: tensor `{each.name}` does not have the rows of every request")
    for node in region.nodes:
        if isinstance(node, PythonNode) and node.seldon is not None:
            raise RegionError(f"batch: the class of node `{node.name}` is told of each request")


def made_by(node: Node) -> Iterator[str]:
    """Yield the tensors that a node may give."""
    yield from node.outputs.values()
    if not isinstance(node, DecidingNode) and node.policy.failed is not None:
        yield node.policy.failed


def _check_policy(node: RunnableNode) -> None:
    policy = node.policy
    if policy.on_error == "default" and (missing := node.outputs.keys() - policy.default.keys()):
        raise RegionError(f"node `{node.name}`: there is no default for `{min(missing)}`")
    for port, default in policy.default.items():
        for dim in default.shape:
            if isinstance(dim, str) and dim not in node.inputs:
                raise RegionError(f"node `{node.name}`: the default for `{port}` has the rows of `{dim}`")


def _check_dims(node: RunnableNode) -> None:
    for dim, (port, _) in () if isinstance(node, ComponentNode) else node.dims.items():
        if port not in node.inputs:
            raise RegionError(
                f"node `{node.name}`: the dimension `{dim}` is of `{port}`, which it does not read"
            )


def _guards(node: Node) -> Iterator[str]:
    yield from (choice for choice, _ in node.when)
    if isinstance(node, ChoiceNode) and node.among:
        yield node.among[0]
    for read in node.reads:
        yield from (choice for choice, _ in read.gather)


def _check_branches(node: MergeNode) -> None:
    for index, branch in enumerate(node.branches):
        if missing := node.outputs.keys() - branch.keys():
            raise RegionError(f"node `{node.name}`: branch {index} has no `{min(missing)}`")


def _define(known: set[str], name: str, where: str) -> None:
    if name in known:
        raise RegionError(f"{where}: there is a tensor `{name}` already")
    known.add(name)


def _require(known: set[str], name: str, where: str) -> None:
    if name not in known:
        raise RegionError(f"{where} reads `{name}`, which nothing before it gives")
