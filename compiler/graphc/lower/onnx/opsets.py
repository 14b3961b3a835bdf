"""Brings models to the same versions of the operator sets."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from onnx import GraphProto, ModelProto, NodeProto, defs, version_converter

ONNX: Final = ""
"""ONNX's own operator set."""


@dataclass(frozen=True, slots=True)
class Apart:
    """Why models are not joined."""

    reason: str


def reconcile_opsets(models: Sequence[ModelProto]) -> list[ModelProto] | Apart:
    """Return the models at the newest version of each operator set among them."""
    targets: dict[str, int] = {}
    for model in models:
        for domain, version in opsets_of(model).items():
            targets[domain] = max(version, targets.get(domain, 0))
    found: list[ModelProto] = []
    for model in models:
        raised = _raise_model(model, targets)
        if isinstance(raised, Apart):
            return raised
        found.append(raised)
    return found


def opsets_of(model: ModelProto) -> dict[str, int]:
    """Return the versions that a model imports."""
    return {_domain(each.domain): each.version for each in model.opset_import}


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """Yield the graphs in a node's attributes, such as the branches of an If."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def all_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """Yield nodes and those of their subgraphs."""
    for node in nodes:
        yield node
        for graph in subgraphs(node):
            yield from all_nodes(graph.node)


def _domain(name: str) -> str:
    return ONNX if name == "ai.onnx" else name


def _raise_model(model: ModelProto, targets: Mapping[str, int]) -> ModelProto | Apart:
    for domain, version in sorted(opsets_of(model).items()):
        target = targets[domain]
        if version == target:
            continue
        if _are_alike(model, domain, version, target):
            model = _restamp(model, domain, target)
        elif domain == ONNX and not model.functions:
            converted = _convert(model, target)
            if converted is None:
                return Apart(f"a model of opset {version} cannot be converted to opset {target}")
            model = converted
        else:
            called = domain or "ai.onnx"
            return Apart(f"the models use `{called}` in the versions {version} and {target}, which differ")
    return model


def _are_alike(model: ModelProto, domain: str, version: int, target: int) -> bool:
    """Say whether all operators that the model uses of a domain take at the target what they take now."""
    nodes = [*model.graph.node, *(node for each in model.functions for node in each.node)]
    used = {node.op_type for node in all_nodes(nodes) if _domain(node.domain) == domain}
    return all(_is_alike(name, domain, version, target) for name in sorted(used))


def _is_alike(name: str, domain: str, version: int, target: int) -> bool:
    try:
        old, new = (defs.get_schema(name, each, domain) for each in (version, target))
    # The domain or the version is one that onnx does not know.
    except defs.SchemaError:
        return False
    if old.since_version == new.since_version:
        return True
    # Later versions in this domain add attributes, or are other operators under the same name.
    kept = set(old.attributes) <= set(new.attributes) and len(old.inputs) == len(new.inputs)
    return domain == "ai.onnx.ml" and kept and not new.deprecated


def _restamp(model: ModelProto, domain: str, target: int) -> ModelProto:
    copied = ModelProto()
    copied.CopyFrom(model)
    for each in copied.opset_import:
        if _domain(each.domain) == domain:
            each.version = target
    for function in copied.functions:
        for each in function.opset_import:
            if _domain(each.domain) == domain:
                each.version = target
    return copied


def _convert(model: ModelProto, target: int) -> ModelProto | None:
    errors = (RuntimeError, cast("type[Exception]", version_converter.ConvertError))
    try:
        return version_converter.convert_version(model, target)
    except errors:
        return None
