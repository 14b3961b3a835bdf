"""Puts models together: names made unique, values passed on directly, what nothing reads left out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from graphc_components.tensors import TensorType
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, ValueInfoProto, helper

from graphc.lower.onnx.form_model import describe_value
from graphc.lower.onnx.opsets import Apart, opsets_of, reconcile_opsets, subgraphs

Rename = Callable[[str], str]

# No tensor of a graph file has a slash in its name.
_SEPARATOR: Final = "/"


@dataclass(frozen=True, slots=True)
class Part:
    """A model to join: which tensor each of its inputs reads, and which each of its outputs is."""

    name: str
    model: ModelProto
    reads: Mapping[str, str]
    gives: Mapping[str, str]
    """Outputs by tensor."""


@dataclass(frozen=True, slots=True)
class Border:
    """The tensors that come from outside, and those that go there, each with its type."""

    inputs: Mapping[str, TensorType]
    outputs: Mapping[str, TensorType]


def read_model(path: Path) -> ModelProto:
    """Read a model without the weights that are in other files."""
    return ModelProto.FromString(path.read_bytes())


def join_models(parts: Sequence[Part], border: Border) -> ModelProto | Apart:
    """Return one model of parts in a runnable order; its inputs and outputs are called as the tensors.

    Inputs that nothing needs are left out.
    """
    models = reconcile_opsets([each.model for each in parts])
    if isinstance(models, Apart):
        return models
    graph = GraphProto(name="merged")
    values = {tensor: tensor for tensor in border.inputs}
    functions: list[FunctionProto] = []
    for index, (part, model) in enumerate(zip(parts, models, strict=True)):
        functions += _append(graph, values, part, model, index)
    _give(graph, values, border)
    _prune(graph)
    return _wrap(graph, functions, models)


def _wrap(graph: GraphProto, functions: Sequence[FunctionProto], models: Sequence[ModelProto]) -> ModelProto:
    versions = {domain: version for model in models for domain, version in opsets_of(model).items()}
    opsets = [helper.make_opsetid(domain, version) for domain, version in sorted(versions.items())]
    oldest = max(model.ir_version for model in models)
    joined = helper.make_model(graph, opset_imports=opsets, ir_version=oldest, producer_name="graphc")
    joined.functions.extend(functions)
    return joined


def _append(
    graph: GraphProto, values: dict[str, str], part: Part, model: ModelProto, index: int
) -> list[FunctionProto]:
    """Add a part's nodes and constants, and return its functions."""
    copied = ModelProto()
    copied.CopyFrom(model)
    known = {name: values[tensor] for name, tensor in part.reads.items()}
    prefix = f"{part.name}{_SEPARATOR}"

    def rename(name: str) -> str:
        # An empty name is an input or output that is left out.
        return known.get(name, prefix + name) if name else name

    _rename_functions(copied, index)
    # An input that the graph feeds has no use for its default.
    constants = [each for each in copied.graph.initializer if each.name not in part.reads]
    for each in constants:
        each.name = rename(each.name)
    for each in copied.graph.sparse_initializer:
        each.values.name = rename(each.values.name)
    for node in copied.graph.node:
        _rename_node(node, rename, prefix)
    graph.node.extend(copied.graph.node)
    graph.initializer.extend(constants)
    graph.sparse_initializer.extend(copied.graph.sparse_initializer)
    values |= {tensor: rename(output) for tensor, output in part.gives.items()}
    return list(copied.functions)


def _rename_node(node: NodeProto, rename: Rename, prefix: str) -> None:
    node.name = prefix + (node.name or node.op_type)
    node.ClearField("doc_string")
    node.input[:] = [rename(each) for each in node.input]
    node.output[:] = [rename(each) for each in node.output]
    for graph in subgraphs(node):
        _rename_subgraph(graph, rename, prefix)


def _rename_subgraph(graph: GraphProto, rename: Rename, prefix: str) -> None:
    for node in graph.node:
        _rename_node(node, rename, prefix)
    for value in (*graph.input, *graph.output):
        value.name = rename(value.name)
        _forget_symbols(value)
    for each in graph.initializer:
        each.name = rename(each.name)
    for each in graph.sparse_initializer:
        each.values.name = rename(each.values.name)
    graph.ClearField("value_info")


def _forget_symbols(value: ValueInfoProto) -> None:
    """Drop the names of dimensions: two models may call different sizes the same, and onnxruntime believes it."""
    for dim in value.type.tensor_type.shape.dim:
        if dim.HasField("dim_param"):
            dim.ClearField("dim_param")


def _rename_functions(model: ModelProto, index: int) -> None:
    """Give the functions of a model names that no other model's have."""
    names = {(each.domain, each.name) for each in model.functions}
    if not names:
        return
    for function in model.functions:
        function.name = f"{function.name}_{index}"
        _rename_calls(function.node, names, index)
    _rename_calls(model.graph.node, names, index)


def _rename_calls(nodes: Iterable[NodeProto], names: set[tuple[str, str]], index: int) -> None:
    for node in nodes:
        if (node.domain, node.op_type) in names:
            node.op_type = f"{node.op_type}_{index}"
        for graph in subgraphs(node):
            _rename_calls(graph.node, names, index)


def _give(graph: GraphProto, values: Mapping[str, str], border: Border) -> None:
    """Declare the inputs and outputs; an output is an Identity's, so that it can have its tensor's name."""
    graph.input.extend(describe_value(name, each) for name, each in border.inputs.items())
    for tensor, type_ in border.outputs.items():
        name = f"graphc{_SEPARATOR}{tensor}"
        graph.node.append(helper.make_node("Identity", [values[tensor]], [tensor], name=name))
        # Only how many dimensions there are: a model may tell its sizes wrong, which onnxruntime tolerates in one.
        unknown = type_.with_shape([None] * type_.rank)
        graph.output.append(describe_value(tensor, unknown))


def _prune(graph: GraphProto) -> None:
    """Leave out what no output needs: onnxruntime computes every output that a file has."""
    needed = {each.name for each in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= _reads(node)
    constants = [each for each in graph.initializer if each.name in needed]
    sparse = [each for each in graph.sparse_initializer if each.values.name in needed]
    inputs = [each for each in graph.input if each.name in needed]
    for name in ("node", "initializer", "sparse_initializer", "input"):
        graph.ClearField(name)
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)
    graph.sparse_initializer.extend(sparse)
    graph.input.extend(inputs)


def _reads(node: NodeProto) -> set[str]:
    """Return the values that a node may read, those that its subgraphs capture included."""
    found = set(node.input)
    for graph in subgraphs(node):
        found |= {each.name for each in graph.output}
        found = found.union(*(_reads(each) for each in graph.node))
    return found
