"""Finds the nodes of a region that can be one ONNX model: joined by direct edges, under the same conditions."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from graphc.ir.graph import Node
from graphc.ir.order import find_cycles


def group_nodes(nodes: Sequence[Node], joinable: Collection[str]) -> list[list[Node]]:
    """Return groups of two nodes or more, in the order of their first; nodes come in a runnable order.

    Nothing leads from a group through other nodes back into it, so that it can run at once.
    """
    groups = {node.name: node.name for node in nodes}
    makers = {output.tensor: node for node in nodes for output in node.outputs}
    for node in nodes:
        for use in node.uses:
            maker = makers.get(use.tensor)
            if maker is None or use.gather or maker.guards != node.guards:
                continue
            if maker.name in joinable and node.name in joinable:
                groups = _join(nodes, groups, groups[maker.name], groups[node.name])
    members: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        members[groups[node.name]].append(node)
    return [group for group in members.values() if len(group) > 1]


def _join(nodes: Sequence[Node], groups: dict[str, str], left: str, right: str) -> dict[str, str]:
    """Return the groups with two of them as one, or as they are where that would make a cycle."""
    joined = {name: left if group == right else group for name, group in groups.items()}
    return groups if left == right or find_cycles(find_reads(nodes, joined)) else joined


def find_reads(nodes: Sequence[Node], groups: Mapping[str, str]) -> dict[str, set[str]]:
    """Return, for each group, the other groups that it reads from."""
    makers = {output.tensor: groups[node.name] for node in nodes for output in node.outputs}
    reads: dict[str, set[str]] = {group: set() for group in groups.values()}
    for node in nodes:
        group = groups[node.name]
        reads[group] |= {makers[each] for each in node.reads if each in makers} - {group}
    return reads
