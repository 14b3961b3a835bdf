"""Generates graphs of every shape, with inputs, out of components and small Python nodes."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Json = dict[str, Any]
Array = NDArray[Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]

MATRIX: Final = "FP32[batch, 3]"
SCORES: Final = "FP32[batch]"
CLASSES: Final = "INT64[batch]"
IDS: Final = "INT64[batch] ids"
TEXTS: Final = "BYTES[batch]"
FLAGS: Final = "BOOL[batch]"

PLACEMENTS: Final[list[Json]] = [
    {},
    {},
    {"resources": {"cpu": 1}},
    {"resources": {"gpu": {"amount": 0.25, "device": "prefer-gpu"}}},
    {"unit": "shared"},
    {"unit": "other"},
]
"""What nodes say of their containers; parts of a device may be pooled."""

MODULE: Final = """
import time

import numpy as np

def affine(x):
    return {"y": (x * np.float32(0.5) + np.float32(1)), "total": x.sum(axis=1, dtype=np.float32)}

def fail(x):
    if (x > 2).any():
        raise ValueError("too large")
    return x

def fail_all(x):
    fail(x)
    return {
        "y": x,
        "text": np.array([b"low"] * len(x), dtype=object),
        "index": np.zeros(len(x), np.int64),
    }

def never(x):
    if len(x):
        raise ValueError("no row should come here")
    return x

def spare(x):
    return x - np.float32(1)

def stuck(x):
    time.sleep(20)
    return x

def flaky(x, calls=[]):
    calls.append(x)
    if len(calls) == 1:
        raise ValueError("not yet")
    return twice(x)

def twice(x):
    return x * np.float32(2)

def tell(ids):
    return np.array([str(each).encode() for each in ids.tolist()], dtype=object)
"""
"""The user's own code that generated graphs call."""


MODEL: Final = """<ir_version: 8, opset_import: ["" : 17]>
g (float[batch, 3] x) => (float[batch, 3] y, float[batch] total, int64[batch] place, float[batch, 3] unread) {
    half = Constant <value = float {0.5}> ()
    axes = Constant <value = int64[1] {1}> ()
    y = Mul(x, half)
    total = ReduceSum <keepdims = 0> (x, axes)
    place = ArgMax <axis = 1, keepdims = 0> (x)
    unread = Exp(x)
}"""
"""An ONNX model that generated graphs run, in the text form of `onnx.parser`; `run_model` says what it means."""


def run_model(x: Array) -> dict[str, Array]:
    """Answer as the model does."""
    total = x.sum(axis=1, dtype=np.float32)
    return {"y": x * np.float32(0.5), "total": total, "place": x.argmax(axis=1), "unread": np.exp(x)}


@dataclass(slots=True)
class Generated:
    """A graph file's document, the values of its inputs, and the request's parameters."""

    document: Json
    inputs: dict[str, Array]
    parameters: dict[str, str]
    shapes: Counter[str] = field(default_factory=Counter[str])

    def without_rows(self) -> "Generated":
        """Return the same graph with inputs of no rows."""
        return replace(self, inputs={name: array[:0] for name, array in self.inputs.items()})


@dataclass(slots=True)
class _Building:
    draw: Draw
    kinds: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    nodes: Json = field(default_factory=dict[str, Any])
    shapes: Counter[str] = field(default_factory=Counter[str])
    placed: bool = False
    costly: bool = False

    def add(self, kind: str, reference: str) -> None:
        self.kinds.setdefault(kind, []).append(reference)

    def pick(self, kind: str) -> str:
        return str(self.draw(st.sampled_from(self.kinds[kind])))

    def some(self, kind: str, least: int) -> list[str]:
        options = self.kinds[kind]
        return list(self.draw(st.lists(st.sampled_from(options), min_size=least, max_size=4, unique=True)))

    def name(self) -> str:
        # Names that do not follow the order in which the nodes are made.
        return f"{self.draw(st.sampled_from('amz'))}{len(self.nodes)}"

    def node(self, shape: str, fields: Json) -> str:
        name = self.name()
        if self.placed:
            fields |= self.draw(st.sampled_from(PLACEMENTS))
        if self.costly:
            fields |= {"cost_ms": self.draw(st.floats(0.01, 50))}
        self.nodes[name] = fields
        self.shapes[shape] += 1
        return name


def _transformer(building: _Building) -> None:
    component, parameters, kind = building.draw(
        st.sampled_from(
            [
                ("clip", {"low": -1, "high": 1.5}, MATRIX),
                ("softmax", {}, MATRIX),
                ("scale", {"mean": 0.5, "scale": [1.0, 2.0, 4.0]}, MATRIX),
                ("normalise", {"norm": "l1"}, MATRIX),
                ("argmax", {}, CLASSES),
            ]
        )
    )
    name = building.node(
        "transformer", {"component": component, "in": building.pick(MATRIX), "parameters": parameters}
    )
    building.add(kind, name)


def _combiner(building: _Building) -> None:
    if len(building.kinds.get(MATRIX, [])) < 2:
        return
    component = building.draw(st.sampled_from(["mean", "max", "min", "median", "soft-vote"]))
    name = building.node("combiner", {"component": component, "in": building.some(MATRIX, 2)})
    if component == "soft-vote":
        building.add(MATRIX, f"{name}.probabilities")
        building.add(CLASSES, f"{name}.index")
    else:
        building.add(MATRIX, name)


def _vote(building: _Building) -> None:
    if len(building.kinds.get(CLASSES, [])) < 2:
        return
    name = building.node("combiner", {"component": "hard-vote", "in": building.some(CLASSES, 2)})
    building.add(CLASSES, name)


def _labels(building: _Building) -> None:
    if CLASSES not in building.kinds:
        return
    source = building.pick(CLASSES)
    if building.draw(st.booleans()):
        parameters = {"labels": ["low", "mid", "high"]}
        name = building.node("labels", {"component": "label-map", "in": source, "parameters": parameters})
        building.add(TEXTS, name)
    else:
        parameters = {"categories": [0, 1, 2], "datatype": "FP32"}
        name = building.node("one-hot", {"component": "one-hot", "in": source, "parameters": parameters})
        building.add(MATRIX, name)


def _ids(building: _Building) -> None:
    if IDS not in building.kinds:
        return
    if building.draw(st.booleans()):
        name = building.node("large-integers", {"component": "rename", "in": {"id": building.pick(IDS)}})
        building.add(IDS, f"{name}.id")
    else:
        entry = {"python": "steps:tell", "in": {"ids": building.pick(IDS)}, "out": {"text": TEXTS}}
        building.add(TEXTS, f"{building.node('python', entry)}.text")


def _python(building: _Building) -> None:
    if building.draw(st.integers(0, 4)) == 0:
        fields = {"python": "steps:fail", "in": {"x": building.pick(MATRIX)}, "out": {"y": MATRIX}}
        building.add(MATRIX, building.node("failing", fields))
        return
    fields = {
        "python": "steps:affine",
        "in": {"x": building.pick(MATRIX)},
        "out": {"y": MATRIX, "total": SCORES},
    }
    name = building.node("several-outputs", fields)
    building.add(MATRIX, f"{name}.y")
    building.add(SCORES, f"{name}.total")


def _failing(building: _Building) -> Json:
    return {"python": "steps:fail", "in": {"x": building.pick(MATRIX)}, "out": {"y": MATRIX}}


def _default(building: _Building) -> None:
    fields = _failing(building) | {"on_error": {"default": 0.25}}
    if building.draw(st.booleans()):
        fields |= {"retries": 1, "idempotent": True}
    building.add(MATRIX, building.node("default", fields))


def _several_defaults(building: _Building) -> None:
    fields = {
        "python": "steps:fail_all",
        "in": {"x": building.pick(MATRIX)},
        "out": {"y": MATRIX, "text": TEXTS, "index": CLASSES},
        "on_error": {"default": {"y": 1, "text": "größer", "index": -1}},
    }
    name = building.node("several-defaults", fields)
    for port, kind in (("y", MATRIX), ("text", TEXTS), ("index", CLASSES)):
        building.add(kind, f"{name}.{port}")


def _fallback(building: _Building) -> None:
    spare = {"python": "steps:spare", "in": {"x": building.pick(MATRIX)}, "out": {"y": MATRIX}}
    if building.draw(st.booleans()):
        # A fallback that may fail too, or has one in its turn.
        own = building.draw(st.sampled_from([{}, {"on_error": {"default": 2}}, {"on_error": "chain"}]))
        if own == {"on_error": "chain"}:
            own = {"on_error": {"node": building.node("last-resort", dict(spare))}}
        spare = _failing(building) | own
    other = building.node("spare", spare)
    if building.draw(st.booleans()):
        building.shapes["shared-fallback"] += 1
        building.add(MATRIX, other)
    building.add(MATRIX, building.node("fallback", _failing(building) | {"on_error": {"node": other}}))


def _quorum(building: _Building) -> None:
    """Add a combiner with a quorum, of which some tensors may be missing."""
    names = [
        building.node("skipped", _failing(building) | {"on_error": "skip"})
        for _ in range(building.draw(st.integers(1, 2)))
    ]
    sources = [*names, *building.some(MATRIX, 1)[:2]]
    component = building.draw(st.sampled_from(["mean", "max", "median"]))
    fields: Json = {
        "component": component,
        "in": building.draw(st.permutations(sources)),
        "quorum": building.draw(st.integers(1, len(sources))),
    }
    if building.draw(st.integers(0, 3)) == 0:
        fields["on_error"] = {"default": -1}
    building.add(MATRIX, building.node("quorum", fields))


def _waiting(building: _Building) -> None:
    """Add a combiner that goes on with any of its tensors, which are equal so that its answer is known."""
    source = building.pick(MATRIX)
    kind = building.draw(st.sampled_from(["answers", "skipped", "stands-in"]))
    own: Json = {"component": "softmax", "in": source}
    if kind != "answers":
        own = {"python": "steps:fail", "in": {"x": source}, "out": {"y": MATRIX}}
        own |= {"on_error": "skip" if kind == "skipped" else {"default": 0.5}}
    names = [building.node("waited-for", dict(own)) for _ in range(building.draw(st.integers(2, 3)))]
    fields = {"component": "max", "in": names, "quorum": building.draw(st.integers(1, len(names)))}
    building.add(MATRIX, building.node("waiting", fields | {"wait": "quorum"}))


def _timed(building: _Building) -> None:
    """Add a node with a timeout that it always keeps, or never."""
    fields: Json = {"in": {"x": building.pick(MATRIX)}, "out": {"y": MATRIX}}
    if building.draw(st.integers(0, 4)):
        fields |= {"python": "steps:spare", "timeout": "60s"}
        building.add(MATRIX, building.node("in-time", fields))
        return
    fields |= {"python": "steps:stuck", "timeout": "20ms"}
    fields |= building.draw(st.sampled_from([{}, {}, {"retries": 1, "idempotent": True}]))
    on_error: Json = {"default": 3}
    if building.draw(st.booleans()):
        spare = {"python": "steps:spare", "in": fields["in"], "out": {"y": MATRIX}}
        on_error = {"node": building.node("spare", spare)}
    building.add(MATRIX, building.node("too-late", fields | {"on_error": on_error}))


def _flaky(building: _Building) -> None:
    """Add a node whose first try fails."""
    fields = {"python": "steps:flaky", "in": {"x": building.pick(MATRIX)}, "out": {"y": MATRIX}}
    fields |= {"retries": building.draw(st.integers(1, 2)), "idempotent": True}
    building.add(MATRIX, building.node("flaky", fields))


def _model(building: _Building) -> None:
    # Models that read models are what there is to merge.
    name = building.node("model", {"model": "affine.onnx", "in": {"x": building.pick(MATRIX)}})
    building.add(MATRIX, f"{name}.y")
    building.add(SCORES, f"{name}.total")
    building.add(CLASSES, f"{name}.place")


def _takes(building: _Building, count: int) -> tuple[str, list[str]]:
    kinds = [kind for kind in building.kinds if building.kinds[kind]]
    kind = str(building.draw(st.sampled_from([MATRIX, *sorted(kinds)])))
    own = kind == MATRIX and building.draw(st.booleans())
    return kind, [_own(building) if own else building.pick(kind) for _ in range(count)]


def _own(building: _Building, source: str | None = None) -> str:
    """Make a tensor that no other node will read: what only one branch needs runs only there."""
    source = source or building.pick(MATRIX)
    fields = building.draw(
        st.sampled_from(
            [
                {"component": "clip", "parameters": {"low": 0, "high": 1}},
                {"component": "softmax"},
                {"component": "normalise", "parameters": {"norm": "l1"}},
                {"component": "scale", "parameters": {"mean": 1.0, "scale": 2.0}},
                {"component": "clip", "parameters": {"low": -1, "high": 0}},
                {"python": "steps:fail", "out": {"y": MATRIX}},
            ]
        )
    )
    reads = {"x": source} if "python" in fields else source
    return building.node("own-branch", dict(fields) | {"in": reads})


def _router(building: _Building) -> None:
    kind, takes = _takes(building, building.draw(st.integers(2, 3)))
    building.add(kind, _route(building, takes))


def _route(building: _Building, takes: list[str]) -> str:
    """Make a router over some tensors, whatever it decides by."""
    options = {"threshold": SCORES, "equals": CLASSES, "texts": TEXTS, "parameter": MATRIX, "random": MATRIX}
    router = building.draw(
        st.sampled_from([each for each, kind in options.items() if kind in building.kinds])
    )
    count = len(takes)
    if router == "threshold":
        conditions = [{"below": 0.5 * index} for index in range(count - 1)]
        fields: Json = {"router": "threshold", "in": building.pick(SCORES)}
    elif router == "equals":
        conditions = [{"equals": index} for index in range(count - 1)]
        fields = {"router": "equals", "in": building.pick(CLASSES)}
    elif router == "texts":
        conditions = [{"equals": text} for text in ["low", "high", "größer"][: count - 1]]
        fields = {"router": "equals", "in": building.pick(TEXTS)}
    elif router == "random":
        conditions = [{"weight": 1} for _ in range(count)]
        fields = {"router": "random", "key": {"parameter": "tier"}}
    else:
        conditions = [{"equals": tier} for tier in ["gold", "silver", "bronze"][: count - 1]]
        fields = {"router": "parameter", "name": "tier"}
    if "in" in fields and building.draw(st.integers(0, 2)) == 0:
        fields["per"] = "request"
    pairs = zip([*conditions, {}][:count], takes, strict=True)
    fields["branches"] = [{**condition, "take": take} for condition, take in pairs]
    return building.node(f"router-{fields['router']}-{fields.get('per', 'row')}", fields)


def _cascade(building: _Building) -> None:
    count = building.draw(st.integers(2, 3))
    own = building.draw(st.booleans())
    takes = [_own(building) if own else building.pick(MATRIX) for _ in range(count)]
    building.add(MATRIX, _leave(building, takes))


def _leave(building: _Building, takes: list[str]) -> str:
    """Make a cascade over some tensors."""
    steps: list[Json] = [{"take": take, "until": 0.6} for take in takes[:-1]]
    fields: Json = {"cascade": [*steps, {"take": takes[-1]}]}
    if building.draw(st.integers(0, 3)) == 0:
        fields["per"] = "request"
    return building.node(f"cascade-{fields.get('per', 'row')}", fields)


def _nested(building: _Building) -> None:
    """Add decisions inside decisions, whose branches share what nothing outside needs."""
    building.add(MATRIX, _decide(building, [_own(building)], 0))


def _decide(building: _Building, shared: list[str], depth: int) -> str:
    takes = [_branch(building, shared, depth) for _ in range(building.draw(st.integers(2, 4 - depth)))]
    return building.draw(st.sampled_from([_route, _route, _leave]))(building, takes)


def _branch(building: _Building, shared: list[str], depth: int) -> str:
    source = building.draw(st.sampled_from(shared))
    match building.draw(st.sampled_from(["shared", "own", "kept", "outside", "decide"])):
        case "shared":
            return source
        case "outside":
            return building.pick(MATRIX)
        case "decide" if depth < 2:
            return _decide(building, shared, depth + 1)
        case "kept":
            shared.append(_own(building, source))
            return shared[-1]
        case _:
            return _own(building, source)


def _shared(building: _Building) -> None:
    """Add nodes that only some branches of several decisions need, of which later ones may decide by earlier ones."""
    shared = [_needed(building, building.pick(MATRIX))]
    if building.draw(st.booleans()):
        shared.append(_needed(building, shared[0]))
    for _ in range(building.draw(st.integers(2, 4))):
        takes = [building.draw(st.sampled_from([*shared, building.pick(MATRIX)])) for _ in range(2)]
        if building.draw(st.integers(0, 3)) == 0:
            takes[1] = building.draw(st.sampled_from([_route, _leave]))(building, list(takes))
        name = building.draw(st.sampled_from([_route, _route, _route, _leave]))(building, takes)
        building.shapes["shared-by-decisions"] += 1
        building.add(MATRIX, name)
        if building.draw(st.integers(0, 2)) == 0:
            building.add(CLASSES, building.node("transformer", {"component": "argmax", "in": name}))


def _needed(building: _Building, source: str) -> str:
    """Make a node that fails for some rows, or a default that would be seen in rows that did not ask."""
    reads = {"x": source}
    fields = building.draw(
        st.sampled_from(
            [
                {"python": "steps:fail", "in": reads, "out": {"y": MATRIX}},
                {"python": "steps:fail", "in": reads, "out": {"y": MATRIX}},
                {"python": "steps:fail", "in": reads, "out": {"y": MATRIX}, "on_error": {"default": 0.5}},
                {"component": "scale", "in": source, "parameters": {"mean": 1.0, "scale": 2.0}},
                {"model": "affine.onnx", "in": reads},
            ]
        )
    )
    name = building.node("needed-by-decisions", dict(fields))
    return f"{name}.y" if "model" in fields else name


_STEPS: Final = [
    _transformer,
    _combiner,
    _vote,
    _labels,
    _ids,
    _python,
    _model,
    _model,
    _router,
    _router,
    _cascade,
    _nested,
    _nested,
    _shared,
    _shared,
    _default,
    _several_defaults,
    _fallback,
    _quorum,
    _waiting,
    _timed,
    _flaky,
]


@st.composite
def generated_graphs(draw: Draw) -> Generated:
    """Draw a graph whose nodes are all needed, values for its inputs, and a tier to route by."""
    building = _Building(draw, placed=draw(st.booleans()), costly=draw(st.booleans()))
    inputs = {"x": MATRIX}
    building.add(MATRIX, "x")
    for name, kind in (("score", SCORES), ("ids", IDS), ("text", TEXTS)):
        if draw(st.sampled_from([True, True, False])):
            inputs[name] = kind.removesuffix(" ids")
            building.add(kind, name)
    for _ in range(draw(st.integers(1, 12))):
        draw(st.sampled_from(_STEPS))(building)
    outputs = _outputs(building, draw)
    document = {
        "apiVersion": "graphc/v1",
        "kind": "InferenceGraph",
        "metadata": {"name": "generated"},
        "inputs": inputs,
        "nodes": building.nodes or {"same": {"component": "rename", "in": {"x": "x"}}},
        "outputs": outputs,
    }
    if draw(st.integers(0, 3)) == 0:
        document["deadline"] = "3600s"
        building.shapes["deadline"] += 1
    rows = draw(st.sampled_from([5, 4, 3, 2, 1, 0]))
    tier = draw(st.sampled_from(["gold", "silver", "bronze"]))
    shapes = building.shapes + Counter(_shapes_of(document))
    return Generated(document, {name: _values(name, rows, draw) for name in inputs}, {"tier": tier}, shapes)


def _outputs(building: _Building, draw: Draw) -> dict[str, str]:
    made = [
        each for refs in building.kinds.values() for each in refs if each.partition(".")[0] in building.nodes
    ]
    if not made:
        return {"out0": "x"}
    read = {each for fields in building.nodes.values() for each in _read_by(fields)}
    ends = [each for each in made if each.partition(".")[0] not in read]
    chosen = [*ends[: draw(st.integers(1, 6))], *draw(st.lists(st.sampled_from(made), max_size=2))]
    return {f"out{index}": reference for index, reference in enumerate(dict.fromkeys(chosen))}


def _values(name: str, rows: int, draw: Draw) -> Array:
    """Draw a seed rather than each value: single draws like to repeat themselves, and rows have to differ."""
    pick = np.random.default_rng(draw(st.integers(0, 2**16))).choice
    floats = np.array([-2.0, -0.5, 0.0, 0.25, 0.5, 1.0, 3.0], np.float32)
    if name == "x":
        return pick(floats, (rows, 3))
    if name == "score":
        return pick(floats, rows)
    if name == "ids":
        return pick(np.array([0, 2**53 + 1, -(2**63), 2**63 - 1], np.int64), rows)
    array = np.empty(rows, object)
    array[:] = [(b"low", b"high", "größer".encode())[int(index)] for index in pick(3, rows)]
    return array


def _shapes_of(document: Json) -> list[str]:
    """Name the shapes of the flow that are hard on an engine that runs trees."""
    nodes = document["nodes"]
    reads = {name: _read_by(fields) & set(nodes) for name, fields in nodes.items()}
    readers = Counter(each for read in reads.values() for each in read)
    found = ["shared"] * any(count > 1 for count in readers.values())
    combiners = {name for name, fields in nodes.items() if isinstance(fields.get("in"), list)}
    found += ["after-a-combiner"] * any(reads[name] & combiners for name in nodes)
    found += ["combiner-after-combiner"] * any(reads[name] & combiners for name in combiners)
    deciding = {name for name, fields in nodes.items() if "router" in fields or "cascade" in fields}
    found += ["decision-after-decision"] * any(reads[name] & deciding for name in deciding)
    found += ["after-a-decision"] * any(reads[name] & deciding for name in nodes)
    failing = {name for name, fields in nodes.items() if isinstance(fields.get("on_error"), dict)}
    found += ["policy-under-a-decision"] * any(reads[name] & failing for name in deciding)
    found += ["policy-after-policy"] * any(reads[name] & failing for name in failing)
    found += ["several-graph-outputs"] * (len(document["outputs"]) > 1)
    found += ["own-branches-by-row"] * any(
        _owns_branches(fields, nodes)
        for fields in nodes.values()
        if fields.get("router") in {"threshold", "equals"} and fields.get("per") != "request"
    )
    found += ["placed"] * any("resources" in fields or "unit" in fields for fields in nodes.values())
    found += ["joined-forks"] * any(
        reads[left] & reads[right] and name not in {left, right}
        for name in combiners
        for left in reads[name]
        for right in reads[name]
        if left < right
    )
    return found


def _owns_branches(fields: Json, nodes: Json) -> bool:
    takes = [branch["take"] for branch in fields["branches"]]
    readers = Counter(each for other in nodes.values() for each in _read_by(other))
    return sum(take in nodes and readers[take] == 1 for take in takes) > 1


def _read_by(fields: Json) -> set[str]:
    found: set[str] = set()
    pending: list[Any] = [
        fields.get("in"),
        fields["on_error"].get("node") if isinstance(fields.get("on_error"), dict) else None,
        [each["take"] for each in fields.get("branches", [])],
        [each["take"] for each in fields.get("cascade", [])],
    ]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            found.add(value.partition(".")[0])
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            pending += value.values()
    return found
