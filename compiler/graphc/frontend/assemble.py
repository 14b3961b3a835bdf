"""Builds the graph out of a draft in which nothing was found wrong."""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Final, cast

from graphc_components.servers import SERVERS
from graphc_components.tensors import TensorType

from graphc.diagnostics import Span
from graphc.frontend.decisions import choice_parameters
from graphc.frontend.draft import Draft, DraftNode
from graphc.frontend.infer import Inferred
from graphc.frontend.model_ports import framework_of
from graphc.frontend.policies import find_defaults
from graphc.frontend.resolve import Resolved
from graphc.frontend.variables import variables_of
from graphc.gpus.ask import Amount, Engine, GpuAsk
from graphc.ir.graph import (
    Autoscaling,
    Batch,
    CascadeStep,
    CascadeWork,
    ComponentWork,
    Graph,
    ModelWork,
    Node,
    Output,
    Per,
    Placement,
    Policy,
    PythonWork,
    Resources,
    Result,
    RouterWork,
    SeldonClass,
    ServerWork,
    Use,
    Value,
    Work,
)
from graphc.quantities import parse_quantity
from graphc.spec import fields as spec_fields
from graphc.spec.fields import (
    AnyNode,
    Cascade,
    Component,
    Model,
    Python,
    Router,
    Server,
    Working,
    read_seldon_value,
)
from graphc.spec.fields import Batch as BatchSpec
from graphc.spec.read_spec import GraphSpec

DEFAULT_CPU: Final = 80
"""The use of processors aimed at, in percent, where a file names no load."""


def assemble_graph(
    draft: Draft, resolved: Resolved, inferred: Inferred, decisions: Mapping[str, Per], order: Sequence[str]
) -> Graph:
    """Assemble the nodes in the order given; all of them are sound."""
    fields = draft.spec.fields
    return Graph(
        name=fields.metadata.name,
        inputs=tuple((name, inferred.types[name]) for name in fields.inputs),
        nodes=tuple(
            _node(draft, draft.nodes[name], resolved, inferred, decisions, fields.placement.units.get(name))
            for name in order
        ),
        outputs=tuple(Result(use.port, use.tensor, use.at) for use in resolved.outputs),
        grouping=fields.placement.grouping,
        deadline_ms=fields.deadline,
        deadline_at=draft.spec.at("deadline"),
        batch=_batch(draft.spec, fields.batch, "batch"),
        calls_at=calls_of(draft.spec),
    )


def _node(
    draft: Draft,
    node: DraftNode,
    resolved: Resolved,
    inferred: Inferred,
    decisions: Mapping[str, Per],
    unit: str | None,
) -> Node:
    uses = inferred.uses[node.name]
    outputs = tuple(
        Output(port, f"{node.name}.{port}", type_)
        for port in node.outputs or ()
        if (type_ := inferred.types.get(f"{node.name}.{port}"))
    )
    work = _work(node, draft.folder, uses, inferred, decisions)
    return Node(
        node.name,
        node.name,
        node.at,
        work,
        uses,
        outputs,
        _placement(draft.spec, node, unit),
        cost_ms=node.spec.cost_ms,
        policy=_policy(draft, node, resolved, inferred),
    )


def _policy(draft: Draft, node: DraftNode, resolved: Resolved, inferred: Inferred) -> Policy:
    if not isinstance(node.spec, Working):
        return Policy()
    return Policy(
        timeout_ms=node.spec.timeout,
        retries=node.spec.retries,
        skip=node.spec.on_error.skip,
        defaults=tuple(find_defaults(draft, node, resolved, inferred)),
        fallback=resolved.fallbacks.get(node.name, ()),
    )


def _work(
    node: DraftNode, folder: Path, uses: tuple[Use, ...], inferred: Inferred, decisions: Mapping[str, Per]
) -> Work:
    match node.spec:
        case Model() as model:
            framework = cast("str", framework_of(model))
            files = node.signature.files if node.signature else ()
            return ModelWork(
                framework,
                model.model,
                node.local,
                files,
                model.credentials,
                model.load_seconds,
                gpu_mib=_mib(model.gpu_memory),
                cpu=node.cpu,
            )
        case Component() as component:
            parameters = cast("Mapping[str, Value]", inferred.parameters[node.name])
            by_quorum = component.wait == "quorum"
            return ComponentWork(component.component, parameters, component.quorum, by_quorum)
        case Python() as python:
            return PythonWork(
                python.python,
                node.local,
                python.load_seconds,
                python.rowwise,
                python.idempotent,
                _mib(python.gpu_memory),
                tuple((name, folder / name) for name in node.files),
                None if python.seldon is None else _seldon(python.seldon),
            )
        case Server() as server:
            return _server_work(node, server)
        case Router() as router:
            takes = tuple(_takes(uses, index) for index in range(len(router.branches)))
            value = next((use for use in uses if use.port == "in"), None)
            parameters = choice_parameters(node.name, router)
            return RouterWork(router.router, parameters, decisions[node.name], value, takes)
        case Cascade() as cascade:
            steps = tuple(
                CascadeStep(_takes(uses, index), _confidence(uses, index, step.until), step.until)
                for index, step in enumerate(cascade.cascade)
            )
            return CascadeWork(decisions[node.name], steps)


def _seldon(said: spec_fields.SeldonClass) -> SeldonClass:
    return SeldonClass(
        said.method,
        said.payload,
        tuple(said.names),
        tuple((each.name, read_seldon_value(each.type, each.value)) for each in said.parameters),
    )


def _server_work(node: DraftNode, server: Server) -> ServerWork:
    asked = node.server
    assert asked is not None
    return ServerWork(
        asked.name,
        asked.kind,
        asked.url,
        server.model or node.name,
        server.version,
        cast("Mapping[str, Value]", node.parameters),
        SERVERS[asked.kind].is_rowwise if server.rowwise is None else server.rowwise,
        asked.token,
        asked.host,
        asked.trust,
    )


def _mib(memory: str | None) -> int | None:
    return None if memory is None else ceil(parse_quantity(memory) / 2**20)


def _takes(uses: Sequence[Use], index: int) -> tuple[Use, ...]:
    mark = f"{index}:take:"
    return tuple(
        Use(use.port.removeprefix(mark), use.tensor, use.at) for use in uses if use.port.startswith(mark)
    )


def _confidence(uses: Sequence[Use], index: int, until: float | None) -> Use | None:
    if until is None:
        return None
    named = next((use for use in uses if use.port == f"{index}:confidence"), None)
    return named or _takes(uses, index)[0]


def resources_of(spec: spec_fields.Resources | None) -> Resources | None:
    """Return what a file says of resources."""
    if spec is None:
        return None
    gpu = spec.gpu
    return Resources(spec.cpu, spec.memory, _ask(gpu) if gpu else None)


def _ask(gpu: spec_fields.Gpu) -> GpuAsk:
    engine = None
    if gpu.tensorrt is not None:
        claim, _, path = (gpu.tensorrt.cache or "").removeprefix("pvc://").partition("/")
        engine = Engine(gpu.tensorrt.fp16, claim or None, path)
    return GpuAsk(cast("Amount", gpu.amount), gpu.sharing, tuple(gpu.model), gpu.device, engine)


def _placement(graph: GraphSpec, node: DraftNode, unit: str | None) -> Placement:
    spec: AnyNode = node.spec
    resources = spec.resources
    return Placement(
        unit=spec.unit or unit,
        image=spec.image if isinstance(spec, Python) else None,
        resources=resources_of(resources),
        replicas=spec.replicas,
        autoscaling=autoscaling_of(spec.autoscaling, graph, "nodes", node.name),
        workers=spec.workers,
        batch=_batch(graph, spec.batch, "nodes", node.name, "batch"),
        env=variables_of(spec.env),
    )


def calls_of(spec: GraphSpec) -> Span | None:
    """Return where a file asks for calls over gRPC."""
    return spec.at("transport") if spec.fields.transport == "grpc" else None


def autoscaling_of(spec: spec_fields.Autoscaling | None, graph: GraphSpec, *path: str) -> Autoscaling | None:
    """Return what a file says of replicas by load; `path` leads to where it does."""
    if spec is None:
        return None
    nothing_said = spec.cpu is None and spec.gpu is None and spec.requests_per_second is None
    cpu = DEFAULT_CPU if nothing_said else spec.cpu
    at = graph.at(*path, "autoscaling", key=True)
    return Autoscaling(spec.min, spec.max, cpu, spec.gpu, spec.requests_per_second, at)


def _batch(graph: GraphSpec, batch: BatchSpec | None, *path: str) -> Batch | None:
    return batch and Batch(batch.max_size, batch.max_delay_ms, graph.at(*path, key=True))


def type_of_outputs(graph: Graph) -> dict[str, TensorType]:
    """Return the types of the graph's outputs by name."""
    types = graph.types
    return {result.name: types[result.tensor] for result in graph.outputs}
