"""Orders of names, compared with networkx."""

from itertools import pairwise

import networkx as nx
from graphc.ir.order import find_components, find_cycles, find_longest, find_needed, sort_topologically
from hypothesis import given
from hypothesis import strategies as st

NAMES = list("abcdefgh")
ANY = st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES), max_size=3)).map(
    lambda reads: {name: set[str]() for name in NAMES} | reads
)
ACYCLIC = ANY.map(
    lambda reads: {name: {each for each in sources if each < name} for name, sources in reads.items()}
)


def digraph(reads: dict[str, set[str]]) -> "nx.DiGraph[str]":
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(reads)
    graph.add_edges_from((source, name) for name, sources in reads.items() for source in sources)
    return graph


@given(ACYCLIC, st.permutations(NAMES))
def test_topological_order(reads: dict[str, set[str]], shuffled: list[str]) -> None:
    order = sort_topologically(reads)
    assert order == list(nx.lexicographical_topological_sort(digraph(reads)))
    assert order == sort_topologically({name: sorted(reads[name]) for name in shuffled})


@given(ANY)
def test_cycles(reads: dict[str, set[str]]) -> None:
    cycles = find_cycles(reads)
    assert bool(cycles) != nx.is_directed_acyclic_graph(digraph(reads))
    for cycle in cycles:
        assert all(
            before in reads[after] for before, after in zip(cycle, [*cycle[1:], cycle[0]], strict=True)
        )


def ancestors(graph: "nx.DiGraph[str]", name: str) -> set[str]:
    return nx.ancestors(graph, name)  # pyright: ignore[reportUnknownMemberType]


@given(ANY, st.sets(st.sampled_from(NAMES)))
def test_needed(reads: dict[str, set[str]], wanted: set[str]) -> None:
    graph = digraph(reads)
    assert find_needed(reads, wanted) == wanted.union(*(ancestors(graph, name) for name in wanted))


@given(ANY)
def test_components(reads: dict[str, set[str]]) -> None:
    assert find_components(reads) == sorted(nx.weakly_connected_components(digraph(reads)), key=min)


@given(ACYCLIC, st.dictionaries(st.sampled_from(NAMES), st.integers(0, 5)))
def test_longest_way(reads: dict[str, set[str]], weights: dict[str, int]) -> None:
    way = find_longest(reads, weights)
    assert all(before in reads[after] for before, after in pairwise(way))
    graph = digraph(reads)
    ways = [each for name in NAMES for each in nx.all_simple_paths(graph, name, NAMES)] + [
        [name] for name in NAMES
    ]
    most = max(sum(weights.get(name, 0) for name in each) for each in ways)
    assert sum(weights.get(name, 0) for name in way) == most


def test_of_nothing() -> None:
    assert sort_topologically({}) == find_components({}) == find_longest({}, {}) == []
