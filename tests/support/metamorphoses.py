"""Changes to a graph file that change none of its answers."""

import random
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Final, cast

from generated_graphs import MATRIX

Json = dict[str, Any]
Change = Callable[[Json, random.Random], Json]
Refer = Callable[[str], str]


def rename_nodes(document: Json, draw: random.Random) -> Json:
    """Give every node another name, in another order of names; what draws by its own name keeps that."""
    nodes = document["nodes"]
    numbers = draw.sample(range(100), len(nodes))
    names = {
        name: name if fields.get("router") == "random" else f"n{number:02}"
        for (name, fields), number in zip(nodes.items(), numbers, strict=True)
    }

    def refer(reference: str) -> str:
        node, dot, port = reference.partition(".")
        return names.get(node, node) + dot + port

    changed = _refer(document, refer)
    for fields in changed["nodes"].values():
        if isinstance(fields.get("on_error"), dict) and "node" in fields["on_error"]:
            fields["on_error"] = {"node": names[fields["on_error"]["node"]]}
    return changed | {"nodes": {names[name]: fields for name, fields in changed["nodes"].items()}}


def shuffle_file(document: Json, draw: random.Random) -> Json:
    """Put the nodes, and what each says, in another order; a combiner's or a branch's order has a meaning."""
    nodes = [(name, _shuffled(fields, draw)) for name, fields in document["nodes"].items()]
    draw.shuffle(nodes)
    return _shuffled(document | {"nodes": dict(nodes)}, draw)


def _shuffled(fields: Json, draw: random.Random) -> Json:
    items = list(fields.items())
    draw.shuffle(items)
    return dict(items)


def add_dead_branch(document: Json, draw: random.Random) -> Json:
    """Add a branch that nothing takes, whose node fails for any row, and a node that nothing needs."""
    changed = deepcopy(document)
    nodes: Json = changed["nodes"]
    nodes["unneeded"] = {"component": "softmax", "in": "x"}
    conditions: Mapping[str, Json] = {
        "threshold": {"below": -1e30},
        "parameter": {"equals": "nobody"},
        "equals": {"equals": 77},
    }
    routers = [name for name, fields in nodes.items() if fields.get("router") in conditions]
    if routers:
        fields = nodes[draw.choice(routers)]
        condition = dict(conditions[fields["router"]])
        if isinstance(fields["branches"][0].get("equals"), str) and fields["router"] == "equals":
            condition = {"equals": "nothing"}
        dead = _like(document, fields["branches"][0]["take"])
        if dead is not None:
            nodes["dead"] = dead
            fields["branches"].insert(0, condition | {"take": "dead"})
    return changed


def _like(document: Json, reference: str) -> Json | None:
    """Return a node of an input only that fails, where a tensor is a matrix as that input is."""
    name, _, port = reference.partition(".")
    fields = document["nodes"].get(name, {})
    is_matrix = (
        name == "x"
        or fields.get("component")
        in {"clip", "softmax", "scale", "normalise", "mean", "max", "min", "median"}
        or ("python" in fields and fields["out"].get(port or "y") == MATRIX)
    )
    return {"python": "steps:never", "in": {"x": "x"}, "out": {"y": MATRIX}} if is_matrix else None


def insert_identity(document: Json, draw: random.Random) -> Json:
    """Put a node that gives on what it gets in the way of one tensor that a node or the answer reads."""
    skipped = {name for name, fields in document["nodes"].items() if fields.get("on_error") == "skip"}
    seen: list[str] = []
    _refer(document, lambda reference: seen.append(reference) or reference)
    # Only a combiner with a quorum may read what may be missing.
    options = [index for index, each in enumerate(seen) if each.partition(".")[0] not in skipped]
    chosen = draw.choice(options)
    count = -1

    def refer(reference: str) -> str:
        nonlocal count
        count += 1
        return "same.it" if count == chosen else reference

    changed = _refer(document, refer)
    changed["nodes"]["same"] = {"component": "rename", "in": {"it": seen[chosen]}}
    return changed


def _refer(document: Json, refer: Refer) -> Json:
    """Return the file with every reference to a tensor changed; a node that another falls back on is no tensor."""
    nodes = {name: _refer_node(fields, refer) for name, fields in document["nodes"].items()}
    outputs = {name: refer(reference) for name, reference in document["outputs"].items()}
    return document | {"nodes": nodes, "outputs": outputs}


def _refer_node(fields: Json, refer: Refer) -> Json:
    changed = dict(fields)
    if "in" in fields:
        changed["in"] = _refer_all(fields["in"], refer)
    for kind in ("branches", "cascade"):
        if kind in fields:
            changed[kind] = [branch | {"take": refer(branch["take"])} for branch in fields[kind]]
    return changed


def _refer_all(given: Any, refer: Refer) -> Any:
    if isinstance(given, str):
        return refer(given)
    if isinstance(given, list):
        return [refer(each) for each in cast("list[str]", given)]
    return {port: refer(each) for port, each in given.items()}


CHANGES: Final[Mapping[str, Change]] = {
    change.__name__: change for change in (rename_nodes, shuffle_file, add_dead_branch, insert_identity)
}
