"""Graph theory by networkx, behind one typed door; inputs are sorted first so that answers are stable."""

from collections.abc import Iterable, Mapping, Sequence

import networkx as nx

Edges = Mapping[str, Iterable[str]]
"""For each name, the names that it reads."""


def _digraph(reads: Edges) -> "nx.DiGraph[str]":
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(sorted(reads))
    graph.add_edges_from(sorted((source, name) for name, sources in reads.items() for source in set(sources)))
    return graph


def sort_topologically(reads: Edges) -> list[str]:
    """Return the names so that each comes after those it reads, ties by name; reads must be acyclic."""
    return list(nx.lexicographical_topological_sort(_digraph(reads)))


def find_cycles(reads: Edges) -> list[list[str]]:
    """Return one shortest cycle for each knot of names that read each other, in the order of the flow."""
    graph = _digraph(reads)
    knots = [sorted(knot) for knot in nx.strongly_connected_components(graph)]
    return [_shortest_cycle(graph, knot) for knot in sorted(knots) if _is_cyclic(graph, knot)]


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


def find_needed(reads: Edges, wanted: Iterable[str]) -> set[str]:
    """Return the wanted names and all that they depend on."""
    graph = _digraph(reads)
    end = ""  # no name is empty
    graph.add_edges_from((name, end) for name in wanted)
    graph.add_node(end)
    needed: set[str] = nx.ancestors(graph, end)  # pyright: ignore[reportUnknownMemberType]
    return needed


def find_longest(reads: Edges, weights: Mapping[str, int]) -> list[str]:
    """Return the way along the flow whose names weigh most, in the order of the flow; reads must be acyclic."""
    graph = _digraph(reads)
    end = ""  # no name is empty; the weight of a name is on the edges out of it
    for name in sorted(reads):
        graph.add_edge(name, end)
    graph.add_weighted_edges_from([(name, after, weights.get(name, 0)) for name, after in graph.edges])
    way: list[str] = nx.dag_longest_path(graph)  # pyright: ignore[reportUnknownMemberType]
    return [name for name in way if name != end]


def find_components(reads: Edges) -> list[set[str]]:
    """Return the parts that no edge joins, each as a set of names, by their first name."""
    return sorted(nx.weakly_connected_components(_digraph(reads)), key=min)
