"""Cycles by networkx, behind one typed door; inputs are sorted first so that answers are stable."""

from collections.abc import Iterable, Mapping, Sequence

import networkx as nx


def find_shortest_cycles(reads: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return one shortest cycle for each knot of names that read each other, in the order of the flow."""
    graph = _graph_of(reads)
    return [_shortest_cycle(graph, knot) for knot in _knots_of(graph)]


def find_knots(reads: Mapping[str, Iterable[str]]) -> list[set[str]]:
    """Return the knots of names that read each other, by their first name."""
    return [set(knot) for knot in _knots_of(_graph_of(reads))]


def _graph_of(reads: Mapping[str, Iterable[str]]) -> "nx.DiGraph[str]":
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(sorted(reads))
    graph.add_edges_from(sorted((source, name) for name, sources in reads.items() for source in set(sources)))
    return graph


def _knots_of(graph: "nx.DiGraph[str]") -> list[list[str]]:
    knots = [sorted(knot) for knot in nx.strongly_connected_components(graph)]
    return [knot for knot in sorted(knots) if _is_cyclic(graph, knot)]


def _is_cyclic(graph: "nx.DiGraph[str]", knot: Sequence[str]) -> bool:
    return len(knot) > 1 or graph.has_edge(knot[0], knot[0])


def _shortest_cycle(graph: "nx.DiGraph[str]", knot: Sequence[str]) -> list[str]:
    if len(knot) == 1:
        return list(knot)
    start, inside = knot[0], graph.subgraph(knot)
    ways: list[list[str]] = [
        nx.shortest_path(inside, after, start)  # pyright: ignore[reportUnknownMemberType]
        for after in sorted(inside.successors(start))
    ]
    way = min(ways, key=len)
    return [start, *way[:-1]]
