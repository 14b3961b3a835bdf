"""Writes a unit's region as the data that the runtime reads."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from graphc_components.tensors import Dim, TensorType

from graphc.ir.graph import (
    Case,
    ChoiceWork,
    ComponentWork,
    CpuModel,
    Default,
    EitherWork,
    Gather,
    Guard,
    MergeWork,
    ModelWork,
    Node,
    Output,
    Policy,
    PythonWork,
    SeldonClass,
    ServerWork,
    Types,
    Use,
    Value,
)
from graphc.ir.plan import Plan, Unit, Wire
from graphc.targets.shipping import VARIANTS

FORMAT = 1
"""The version of the region's form; the runtime refuses one that it does not know."""

Data = dict[str, Value]


def describe_region(plan: Plan, unit: Unit, gpu_mib: Mapping[str, int] | None = None) -> Data:
    """Return a unit's region as plain data; `gpu_mib` parts the memory of a GPU among its models, by node."""
    parts, types = gpu_mib or {}, _types(unit)
    graph: Data = {
        "name": plan.graph,
        "inputs": [_tensor(name, type_) for name, type_ in plan.inputs],
        "outputs": [_tensor(name, type_) for name, type_ in plan.outputs],
    }
    if plan.deadline_ms is not None:
        graph["deadline_ms"] = plan.deadline_ms
    region: Data = {
        "graphc": FORMAT,
        "graph": graph,
        "unit": unit.name,
        "takes": [_tensor(wire.name, wire.type) | {"optional": wire.optional} for wire in unit.takes],
        "nodes": [_node(node, parts.get(node.name), types, plan.deadline_ms) for node in unit.region.nodes],
        "answers": [_answer(wire) for wire in unit.answers],
        "wire": "plain" if unit.is_last else "base64",
        "route": _route(unit),
    }
    batch = plan.batch_of(unit)
    if batch is not None:
        region["batch"] = {"max_size": batch.max_size, "max_delay_ms": batch.max_delay_ms}
    return region


def _types(unit: Unit) -> Types:
    made = {output.tensor: output.type for node in unit.region.nodes for output in node.outputs}
    return {wire.tensor: wire.type for wire in unit.takes} | made


def _tensor(name: str, type_: TensorType) -> Data:
    return {"name": name, "datatype": type_.datatype, "shape": list(type_.shape)}


def _answer(wire: Wire) -> Data:
    return _tensor(wire.name, wire.type) | {"tensor": wire.tensor, "optional": wire.optional}


def _route(unit: Unit) -> Value:
    if unit.route is None:
        return None
    children: Data = {str(branch): child for branch, child in unit.route.children}
    return {"choice": unit.route.choice, "children": children}


def _node(node: Node, gpu_mib: int | None, types: Types, deadline_ms: int | None) -> Data:
    data: Data = {"name": node.origin}
    if not isinstance(node.work, MergeWork | EitherWork):
        data["inputs"] = {use.port: _use(use) for use in node.uses}
    data["outputs"] = {output.port: output.tensor for output in _own_outputs(node)}
    data["when"] = _guards(node.guards)
    policy = _policy(node.policy)
    if policy:
        data["policy"] = policy
    if gpu_mib is not None and isinstance(node.work, ModelWork):
        data["gpu_mib"] = gpu_mib
    limits = [each for each in (node.policy.timeout_ms, deadline_ms) if each is not None]
    if limits and isinstance(node.work, ServerWork):
        data["timeout_ms"] = min(limits)
    return data | _work(node) | _declares(node, types)


def _declares(node: Node, types: Types) -> Data:
    """Return what a node's answer has to be like, and which inputs have the sizes that are only named in it."""
    if not isinstance(node.work, ModelWork | PythonWork | ServerWork):
        return {}
    shapes = {output.port: _shape(output) for output in _own_outputs(node)}
    named = {dim for shape in shapes.values() for dim in shape if isinstance(dim, str)}
    data: Data = {
        "declares": {
            output.port: {"datatype": output.type.datatype, "shape": list(shapes[output.port])}
            for output in _own_outputs(node)
        }
    }
    dims = {dim: place for dim, place in _places(node, types) if dim in named}
    if dims:
        places: Data = {dim: list(dims[dim]) for dim in sorted(dims)}
        data["dims"] = places
    return data


def _shape(output: Output) -> tuple[Dim, ...]:
    # Of a batch that conditions part, the node gives as many rows as it is given.
    first = () if output.rows is None else (_rows(output.rows),)
    return first + output.type.shape[len(first) :]


def _rows(port: str) -> str:
    return f"rows of {port}"


def _places(node: Node, types: Types) -> Iterator[tuple[str, tuple[str, int]]]:
    """Yield the names of dimensions, with an input and an axis that have their sizes; the first input comes last."""
    for use in reversed(node.uses):
        shape = types[use.tensor].shape if use.tensor in types else ()
        yield from ((dim, (use.port, axis)) for axis, dim in enumerate(shape) if isinstance(dim, str))
    yield from ((_rows(port), (port, 0)) for output in node.outputs if (port := output.rows) is not None)


def _own_outputs(node: Node) -> list[Output]:
    """Return the outputs that the work gives; whether it failed, the runtime tells."""
    return [output for output in node.outputs if output.tensor != node.policy.failed]


def _policy(policy: Policy) -> Data:
    """Return what is not as it is without a policy."""
    data: Data = {}
    if policy.timeout_ms is not None:
        data["timeout_ms"] = policy.timeout_ms
    if policy.retries:
        data["retries"] = policy.retries
    if policy.skip:
        data["on_error"] = "skip"
    if policy.defaults:
        data["on_error"] = "default"
        data["default"] = {each.port: _default(each) for each in policy.defaults}
    if policy.failed is not None:
        data["failed"] = policy.failed
    return data


def _default(default: Default) -> Data:
    shape: list[Value] = [default.rows, *default.shape]
    return {"value": default.value, "datatype": default.datatype, "shape": shape}


def _use(use: Use) -> Data:
    return {"tensor": use.tensor, "gather": _gather(use.gather)}


def _gather(gather: Gather | None) -> list[Value]:
    return _guards(each for each in (gather.wanted, gather.there) if each) if gather else []


def _guards(guards: Iterable[Guard]) -> list[Value]:
    return [_guard(guard) for guard in guards]


def _guard(guard: Guard) -> Value:
    return [guard.choice, _branches(guard.branches)]


def _branches(branches: Sequence[int]) -> Value:
    return branches[0] if len(branches) == 1 else list(branches)


def _work(node: Node) -> Data:
    match node.work:
        case ModelWork() as work:
            path = artefact_path(node.origin, work)
            variant = {"cpu_path": _variant_path(node.origin, work.cpu)} if work.cpu else {}
            return {"kind": "model", "framework": work.framework, "path": path, **variant}
        case ComponentWork() as work:
            data: Data = {
                "kind": "component",
                "component": work.component,
                "parameters": dict(work.parameters),
            }
            if work.quorum is not None:
                data["quorum"] = work.quorum
            if work.waits_for_quorum:
                data["wait"] = "quorum"
            return data
        case PythonWork() as work:
            path = node.origin if work.local else None
            asked: Data = {} if work.seldon is None else {"seldon": _seldon(work.seldon)}
            return {"kind": "python", "entry": work.entry, "path": path, **asked}
        case ServerWork() as work:
            return _server(work)
        case ChoiceWork() as work:
            parameters = dict(work.parameters)
            chosen: Data = {
                "kind": "choice",
                "router": work.router,
                "parameters": parameters,
                "per": work.per,
            }
            return chosen | ({"among": _guard(work.among)} if work.among else {})
        case EitherWork(cases=cases):
            return {"kind": "either", "cases": [_case(each) for each in cases]}
        case MergeWork() as work:
            return {
                "kind": "merge",
                "choice": _use(work.choice),
                "per": work.per,
                "branches": [_branch(takes) for takes in work.branches],
            }
        case work:
            raise TypeError(f"{type(work).__name__} is lowered before it is emitted")


def _seldon(asked: SeldonClass) -> Data:
    data: Data = {"method": asked.method}
    if asked.payload != "ndarray":
        data["payload"] = asked.payload
    if asked.names:
        data["names"] = list(asked.names)
    if asked.parameters:
        data["parameters"] = dict(asked.parameters)
    return data


def _server(work: ServerWork) -> Data:
    data: Data = {
        "kind": "server",
        "server": work.server,
        "at": work.name,
        "url": work.url,
        "model": work.model,
        "parameters": dict(work.parameters),
    }
    if work.version is not None:
        data["version"] = work.version
    if work.token is not None:
        data["token"] = work.token.name
    if work.trust is not None:
        data["trust"] = work.trust.name
    return data


def _case(case: Case) -> Value:
    return {"rows": _guard(case.rows) if case.rows else None, "when": _guards(case.whole)}


def _branch(takes: Sequence[Use]) -> Value:
    return {use.port: _use(use) for use in takes}


def _variant_path(node: str, variant: CpuModel) -> str:
    if variant.location.startswith("pvc://"):
        # The folder of a claim that is mounted has both.
        return f"{node}/{PurePosixPath(urlsplit(variant.location).path).name}"
    local = variant.local.name if variant.local is not None else None
    return f"{node}/{VARIANTS}/{local or PurePosixPath(urlsplit(variant.location).path).name}"


def artefact_path(node: str, work: ModelWork) -> str:
    """Return where a model's file lies under the artefacts' root."""
    if work.local is not None:
        return f"{node}/{work.local.name}"
    return f"{node}/{PurePosixPath(urlsplit(work.location).path).name}"
