"""Reads a located document into specs, reporting every field that is not as the language has it."""

from collections.abc import Mapping

from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.fields import NODE_KIND, NOT_A_GRAPH
from graphc.diagnostics.suggest import nearest
from graphc.records import record
from graphc.source.located import Fields, Located, Path, Plain, find_at, locate, to_plain
from graphc.spec.declare import Spec, accept
from graphc.spec.fields import API_VERSION, KIND, NODE_KINDS, AnyNode, InferenceGraph, Model, kinds_of
from graphc.spec.scalars import show


@record
class GraphSpec:
    """A graph file's document: its fields, its nodes by name, and where everything stands.

    `broken` are the inputs and nodes that could not be read: reported, and no reason to report what reads them.
    """

    fields: InferenceGraph
    nodes: Mapping[str, AnyNode]
    root: Fields
    broken: frozenset[str] = frozenset()

    def at(self, *path: str | int, key: bool = False) -> Span:
        """Return the place of a field, or of its key."""
        return locate(self.root, path, key=key)

    def says(self, *path: str) -> bool:
        """Say whether the document has a field, with any value."""
        return find_at(self.root, *path) is not None


def read_graph_spec(document: Located, sink: Sink) -> GraphSpec | None:
    """Read one document; returns None, with the reasons in the sink, where it is not a graph."""
    if not isinstance(document, Fields):
        sink.report(Diagnostic(NOT_A_GRAPH, "the document is not a mapping", document.span))
        return None
    if not _is_of_our_kind(document, sink):
        return None
    broken: set[str] = set()
    fields = _validate_fields(document, broken, sink)
    nodes = _read_nodes(document, broken, sink)
    return GraphSpec(fields, nodes, document, frozenset(broken)) if fields and nodes is not None else None


def _is_of_our_kind(document: Fields, sink: Sink) -> bool:
    for field, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        entry = document.find(field)
        if entry is None:
            message = f"the document has no `{field}`"
            sink.report(Diagnostic(NOT_A_GRAPH, message, document.span, f"add `{field}: {wanted}`"))
            return False
        found = to_plain(entry.value)
        if found != wanted:
            hint = f"write `{field}: {wanted}`"
            message = f"`{field}` is {show(found)}, not `{wanted}`"
            sink.report(Diagnostic(NOT_A_GRAPH, message, entry.value.span, hint))
            return False
    return True


def _validate_fields(document: Fields, broken: set[str], sink: Sink) -> InferenceGraph | None:
    plain = to_plain(document)
    fields = accept(InferenceGraph, plain)
    if fields is not None:
        return fields
    # pydantic takes longer to import than a small graph to compile, and only what is wrong needs it.
    from graphc.spec.examine import examine
    from graphc.spec.problems import report_problems

    found = examine(InferenceGraph, plain)
    if isinstance(found, InferenceGraph):
        return found
    report_problems(found, InferenceGraph, document, (), "a graph", sink)
    # What is left without the fields that are wrong may have further problems, which are worth telling too.
    for details in found.errors(include_url=False):
        _remove(plain, details["loc"])
        broken |= {str(step) for step in details["loc"][1:2]}
    left = examine(InferenceGraph, plain)
    return left if isinstance(left, InferenceGraph) else None


def _remove(plain: Plain, place: tuple[int | str, ...]) -> None:
    for step in place[:-1]:
        plain = plain[step] if isinstance(plain, dict) and isinstance(step, str) and step in plain else None
    if isinstance(plain, dict):
        plain.pop(str(place[-1]), None)


def _read_nodes(document: Fields, broken: set[str], sink: Sink) -> dict[str, AnyNode] | None:
    entry = document.find("nodes")
    if entry is None or not isinstance(entry.value, Fields):
        return None
    nodes: dict[str, AnyNode] = {}
    for each in entry.value.entries:
        node = read_node(document, each.value, ("nodes", each.key), sink)
        if node is None:
            broken.add(each.key)
        else:
            nodes[each.key] = node
    return nodes


def read_node(root: Fields, node: Located, path: Path, sink: Sink) -> AnyNode | None:
    """Read one node by the field that tells its kind."""
    if not isinstance(node, Fields):
        message = f"`{path[-1]}` is not a mapping"
        sink.report(Diagnostic(NODE_KIND, message, node.span, "say what it is: `model:`, `component:`, ..."))
        return None
    keys = [entry.key for entry in node.entries]
    kinds = [] if _means_server(keys) else kinds_of(keys)
    if len(kinds) != 1:
        sink.report(_wrong_kinds(root, node, path, kinds))
        return None
    kind = kinds[0]
    plain = to_plain(node)
    return accept(NODE_KINDS[kind], plain) or _examine_node(kind, plain, root, path, sink)


def _means_server(keys: list[str]) -> bool:
    """Say whether `server` is misspelt in a node with a `model`, which would be taken for a model of its own."""
    strange = [key for key in keys if key not in Model.spec_fields and key not in {"in", "server"}]
    return "model" in keys and "server" not in keys and any(nearest(key, ["server"]) for key in strange)


def _examine_node(kind: str, plain: Plain, root: Fields, path: Path, sink: Sink) -> AnyNode | None:
    # As above.
    from graphc.spec.examine import examine
    from graphc.spec.problems import report_problems

    model = NODE_KINDS[kind]
    found = examine(model, plain)
    if isinstance(found, Spec):
        return found
    report_problems(found, model, root, path, f"a {kind} node", sink)
    return None


def _wrong_kinds(root: Fields, node: Fields, path: Path, kinds: list[str]) -> Diagnostic:
    at = locate(root, path, key=True)
    if kinds:
        listed = " and ".join(f"`{kind}`" for kind in kinds)
        return Diagnostic(NODE_KIND, f"`{path[-1]}` is {listed} at once", at, "keep one of them")
    close = next((near for entry in node.entries if (near := nearest(entry.key, NODE_KINDS))), None)
    hint = (
        f"did you mean `{close}`?"
        if close
        else "give it one of " + ", ".join(f"`{kind}:`" for kind in NODE_KINDS)
    )
    return Diagnostic(NODE_KIND, f"`{path[-1]}` does not say what it is", at, hint)
