"""Classes for Seldon's language wrapper: what they get, what may come of them, and what is said of what may not.

That they are asked as behind the real wrapper, `tests/servers/test_seldon_classes.py` shows.
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import pytest
from graphc_components.datatypes import bytes_array
from graphc_runtimes import class_metrics
from graphc_runtimes.adapters import load_runner
from graphc_runtimes.choose import Call
from graphc_runtimes.environment import Environment
from graphc_runtimes.errors import LoadError, RegionError, RequestError, RunError
from graphc_runtimes.execute import execute
from graphc_runtimes.region import Region, parse_region
from plane_sockets import Running
from prometheus_client import REGISTRY, generate_latest

Json = dict[str, Any]
Build = Callable[..., Json]

X: Final = np.array([[1, 2], [3, 4]], np.float32)


class Unit:
    """A region of one node, loaded, and what it answered last."""

    def __init__(self, region: Region, folder: Path) -> None:
        (node,) = region.nodes
        self.region = region
        self.runners = {"n": asyncio.run(load_runner(node, _environment(folder)))}  # pyright: ignore[reportArgumentType]
        self.call = Call()

    def ask(self, *arrays: np.ndarray, **fields: Any) -> Any:
        """Return the only output, or all of them by name."""
        self.call = Call(**fields)
        tensors = {f"x{index}": each for index, each in enumerate(arrays)}
        made = execute(self.region, self.runners, tensors, self.call)
        found = {name[2:]: array for name, array in made.items() if name.startswith("n.")}
        return found["y"] if found.keys() == {"y"} else found


def _environment(folder: Path) -> Environment:
    return Environment(region="", unit=None, artifacts=folder, device="cpu", threads=1)


Load = Callable[..., Unit]


@pytest.fixture
def load(tmp_path: Path, build: Build, node: Build) -> Load:
    """Load a class of that code; `out` are its outputs, such as `y: FP64[batch, 2]`."""

    def make(
        code: str,
        method: str = "predict",
        *,
        out: Sequence[str] = ("y: FP64[batch, 2]",),
        takes: Sequence[str] = ("FP32[batch, 2]",),
        policy: Mapping[str, object] | None = None,
        **asked: object,
    ) -> Unit:
        folder = tmp_path / "n"
        folder.mkdir(exist_ok=True)
        (folder / "mine.py").write_text(f"import numpy as np\n\n\nclass Mine:\n{code}")
        takes = [f"x{index}: {type_}" for index, type_ in enumerate(takes)]
        answers = {f"n.{each.partition(':')[0]}": each for each in out}
        region = build(takes=takes, answers=answers)
        declares = {
            each["name"]: {key: each[key] for key in ("datatype", "shape")} for each in region["answers"]
        }
        reads = {str(index): f"x{index}" for index in range(len(takes))}
        written = node(
            "n", reads, {name: f"n.{name}" for name in declares}, kind="python", entry="mine:Mine", path="n",
            declares=declares, seldon={"method": method, **asked}, policy=dict(policy or {}),
        )  # fmt: skip
        # As JSON comes that was sorted on the way.
        return Unit(parse_region(json.dumps(region | {"nodes": [written]}, sort_keys=True)), tmp_path)

    return make


# --- Loading -------------------------------------------------------------------------------------------


def test_it_is_made_with_its_parameters_and_loaded_once_in_its_own_folder(load: Load, tmp_path: Path) -> None:
    (tmp_path / "n").mkdir()
    (tmp_path / "n" / "weights.txt").write_text("3")
    before = Path.cwd()
    unit = load(
        """    loaded = 0
    def __init__(self, factor, shift=0.0):
        self.factor, self.shift = factor, shift
        self.weight = float(np.loadtxt("weights.txt"))
    def load(self):
        Mine.loaded += int(np.loadtxt("weights.txt")) - 2
    def predict(self, X, names):
        return X * self.factor * self.weight + self.shift * self.loaded
""",
        parameters={"factor": 2, "shift": 0.5},
    )
    assert unit.ask(X).tolist() == (X * 6 + 0.5).tolist()
    assert unit.ask(X).tolist() == (X * 6 + 0.5).tolist()
    assert Path.cwd() == before


FAULTS: Final[list[tuple[str, Json, str]]] = [
    ("    x = 1\n", {}, "has neither `predict` nor `predict_raw`"),
    ("    def predict(self, X): pass\n", {}, "`predict` of `mine:Mine` cannot be called with the data and its names"),
    ("    def predict_raw(self): pass\n", {}, "`predict_raw` of `mine:Mine` cannot be called with a message"),
    (
        "    def __init__(self, a): pass\n    def predict(self, X, names): pass\n",
        {"parameters": {"b": 1}},
        "cannot be made with `b`: missing a required argument: 'a'",
    ),
    (
        "    def load(self): raise OSError('no file')\n    def predict(self, X, names): pass\n",
        {},
        r"node `n`: OSError: no file \(`mine.py`, line 5\)",
    ),
    (
        "    def predict(self, X, names): pass\n    def init_metadata(self): return {1j}\n",
        {},
        "`init_metadata` gave what JSON cannot hold",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("code", "asked", "said"), FAULTS)
def test_what_cannot_be_asked_does_not_load(load: Load, code: str, asked: Json, said: str) -> None:
    before = Path.cwd()
    with pytest.raises(LoadError, match=said):
        load(code, **asked)
    assert Path.cwd() == before


def test_a_load_that_is_not_implemented_is_none(load: Load) -> None:
    code = "    def load(self): raise NotImplementedError\n    def predict(self, X, names): return X\n"
    assert load(code).ask(X).tolist() == X.tolist()


def test_requests_of_such_a_class_never_run_together(build: Build, node: Build) -> None:
    asked = {"kind": "python", "entry": "mine:Mine", "path": "n", "seldon": {"method": "predict"}}
    nodes = [node("n", {"X": "x"}, {"y": "n.y"}, **asked)]
    whole = build(nodes, takes=["x: FP32[batch, 2]"], answers={"n.y": "y: FP64[batch, 2]"})
    assert parse_region(json.dumps(whole))
    with pytest.raises(RegionError, match="batch: the class of node `n` is told of each request"):
        parse_region(json.dumps(whole | {"batch": {"max_size": 8}}))


# --- What it gets --------------------------------------------------------------------------------------


def test_it_gets_what_json_would_have_been_and_may_change_it(load: Load) -> None:
    unit = load(
        """    def predict(self, X, names, meta=None):
        self.seen = str(X.dtype), list(names), meta
        X[:] = 0
        return np.ones((len(X), 2))
    def tags(self): return {"dtype": self.seen[0], "names": self.seen[1], "meta": self.seen[2]}
""",
        names=["a", "b"],
    )
    given = X.copy()
    parameters = {"tier": "gold", "content_type": "np", "graphc_outputs": ["y"], "other.tag": 1}
    unit.ask(given, parameters=parameters, identity="r1")
    assert given.tolist() == X.tolist()
    assert unit.call.tags == {
        "n.dtype": "float64",
        "n.names": '["a","b"]',
        "n.meta": '{"puid":"r1","tags":{"tier":"gold"}}',
    }


@pytest.mark.parametrize(
    ("type_", "array", "seen"),
    [
        ("FP16[batch]", np.array([0.5], np.float16), "float64"),
        ("INT8[batch]", np.array([-1], np.int8), "int64"),
        ("UINT64[batch]", np.array([2**63], np.uint64), "uint64"),
        ("UINT64[batch]", np.array([2**62], np.uint64), "int64"),
        ("BOOL[batch]", np.array([True]), "bool"),
        ("BYTES[batch]", bytes_array(["é€".encode()], (1,)), "<U2"),
    ],
)
def test_each_datatype_is_what_numpy_makes_of_lists(
    load: Load, type_: str, array: np.ndarray, seen: str
) -> None:
    code = "    def predict(self, X, names): return str(X.dtype)\n"
    unit = load(code, takes=[type_], out=["y: BYTES[1]"])
    assert unit.ask(array).tolist() == [seen.encode()]


@pytest.mark.parametrize(
    ("payload", "given", "seen"),
    [
        ("strData", "né".encode(), "'né'"),
        ("binData", b"\xff", r"b'\xff'"),
        ("jsonData", b'{"a": [1]}', "{'a': [1]}"),
    ],
)
def test_single_payloads_are_one_element(load: Load, payload: str, given: bytes, seen: str) -> None:
    code = "    def predict(self, X, names): return repr(X)\n"
    unit = load(code, takes=["BYTES[batch]"], out=["y: BYTES[batch]"], payload=payload)
    assert unit.ask(bytes_array([given], (1,))).tolist() == [seen.encode()]
    with pytest.raises(
        RunError, match=rf"takes one text or one run of bytes as `{payload}`, and was given 2 values"
    ):
        unit.ask(bytes_array([given, given], (2,)))


@pytest.mark.parametrize(
    ("payload", "said"), [("jsonData", "the text is not JSON"), ("strData", "a text is not UTF-8")]
)
def test_a_client_is_told_of_what_is_none(load: Load, payload: str, said: str) -> None:
    code = "    def predict(self, X, names): return 'x'\n"
    unit = load(code, takes=["BYTES[batch]"], out=["y: BYTES[batch]"], payload=payload)
    with pytest.raises(RequestError, match=f"node `n`: {said}"):
        unit.ask(bytes_array([b"\xff{"], (1,)))


def test_tensors_are_joined_in_their_order(load: Load) -> None:
    code = "    def aggregate(self, Xs, names): return [[each[0, 0] for each in Xs]]\n"
    unit = load(code, "aggregate", takes=["FP32[batch, 1]"] * 11, out=["y: FP64[batch, 11]"])
    arrays = [np.array([[each]], np.float32) for each in range(11)]
    assert unit.ask(*arrays).tolist() == [list(range(11))]


# --- What it gives -------------------------------------------------------------------------------------

GIVEN: Final = [
    ("[[1, 2]]", "y: FP32[1, 2]", [[1.0, 2.0]]),
    ("np.array([[1, 2]], np.int8)", "y: INT64[1, 2]", [[1, 2]]),
    ("np.array([[1.0, 2.0]])", "y: UINT8[1, 2]", [[1, 2]]),
    ("[[None, 2.5]]", "y: FP64[1, 2]", [[None, 2.5]]),
    ("[[True, False]]", "y: BOOL[1, 2]", [[True, False]]),
    ("[[1, 0]]", "y: BOOL[1, 2]", [[True, False]]),
    ("[['a', 'é']]", "y: BYTES[1, 2]", [[b"a", "é".encode()]]),
    ("np.array([['a', 'b']])", "y: BYTES[1, 2]", [[b"a", b"b"]]),
    ("np.array([[b'a', 'b']], object)", "y: BYTES[1, 2]", [[b"a", b"b"]]),
    ("'text'", "y: BYTES[1, 1]", [[b"text"]]),
    ("bytearray(b'xy')", "y: BYTES[1]", [b"xy"]),
    ("{'y': 2}", "y: INT32[1]", [2]),
    ("{'y': np.float32(0.5)}", "y: FP32[1]", [0.5]),
    ("{'y': {'deep': 1}}", "y: BYTES[1]", [b'{"deep":1}']),
    ("{'other': np.array([1])}", "y: BYTES[1]", [b'{"other":[1]}']),
    ("{1: 2}", "y: BYTES[1]", [b'{"1":2}']),
]


@pytest.mark.parametrize(("value", "out", "expected"), GIVEN)
def test_what_it_gives_becomes_the_declared_type(load: Load, value: str, out: str, expected: object) -> None:
    found = load(f"    def predict(self, X, names): return {value}\n", out=[out]).ask(X)
    told = found.tolist()
    assert json.dumps(told, default=repr).replace("NaN", "null") == json.dumps(expected, default=repr)


def test_a_dict_has_several_outputs_by_name(load: Load) -> None:
    code = "    def predict(self, X, names): return {'b': ['x'], 'a': X.sum(axis=1), 'more': 1}\n"
    found = load(code, out=["a: FP32[batch]", "b: BYTES[1]"]).ask(X)
    assert {name: array.tolist() for name, array in found.items()} == {"a": [3, 7], "b": [b"x"]}


REFUSED: Final = [
    (
        "None",
        "y: FP64[batch, 2]",
        "gave an output `y` that is nothing; a class gives an array, a list, a text",
    ),
    ("(1, 2)", "y: FP64[batch, 2]", "gave an output `y` that is of the type `tuple`"),
    ("3.5", "y: FP64[1]", "gave an output `y` that is of the type `float`"),
    ("np.array(3)", "y: FP64[1]", "has no dimensions"),
    ("[[1], [2, 3]]", "y: FP64[batch, 2]", "is no array: its rows differ in length"),
    (
        "X[:, :1]",
        "y: FP64[batch, 2]",
        r"gave an output `y` that has shape \[2, 1\], not \[batch=2, 2\], as declared",
    ),
    ("X + 0.5", "y: INT32[batch, 2]", "holds a number with a fraction where a whole number should be"),
    ("X * 200", "y: UINT8[batch, 2]", "holds a number that is out of range for UINT8"),
    ("X * 1e300", "y: FP32[batch, 2]", "holds a number that is out of range for FP32"),
    ("[[1e39, 1.0]]", "y: FP16[1, 2]", "holds a number that is out of range for FP16"),
    ("X > 2", "y: FP64[batch, 2]", "holds a truth value where a number should be"),
    ("X", "y: BYTES[batch, 2]", "holds a value where a text should be"),
    ("[['a', 1]]", "y: BYTES[1, 2]", "holds a value where a text should be"),
    ("'text'", "y: FP64[1]", "is a text, not FP64"),
    ("{'z': 1}", "y: FP64[1]", "is a text, not FP64"),
    ("{'y': X, 'z': {1j}}", "y: BYTES[1]", "holds a value where a text should be"),
    ("{'z': {1j}}", "y: BYTES[1]", "is a dict that JSON cannot hold"),
]


@pytest.mark.parametrize(("value", "out", "said"), REFUSED)
def test_what_is_not_as_declared_is_told_as_the_nodes_fault(
    load: Load, value: str, out: str, said: str
) -> None:
    with pytest.raises(RunError, match=f"node `n` .*{said}"):
        load(f"    def predict(self, X, names): return {value}\n", out=[out]).ask(X)


def test_outputs_that_are_not_there_are_named(load: Load) -> None:
    out = ["a: FP64[1]", "b: FP64[1]"]
    code = "    def predict(self, X, names): return X if X[0, 0] > 1 else {'a': 1, 'c': 2}\n"
    unit = load(code, out=out)
    with pytest.raises(RunError, match="node `n` gave no output `b`; it gave `a`, `c`"):
        unit.ask(X)
    with pytest.raises(RunError, match="node `n` has 2 outputs, and its class gave no dict of them"):
        unit.ask(X + 1)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("1.0", "gave no branch: `route` returns a whole number, and it is of the type `float`"),
        ("True", "it is of the type `bool`"),
        ("-1", "gave the branch -1; a router of a graph takes one branch, from 0"),
        ("2**40", "gave an output `y` that holds a number that is out of range for INT32"),
    ],
)
def test_a_router_gives_one_branch(load: Load, value: str, said: str) -> None:
    assert load("    def route(self, X, names): return 1\n", "route", out=["y: INT32[1]"]).ask(
        X
    ).tolist() == [1]
    with pytest.raises(RunError, match=f"node `n` .*{said}"):
        load(f"    def route(self, X, names): return {value}\n", "route", out=["y: INT32[1]"]).ask(X)


RAW: Final = [
    ("'text'", "gave a message that is of the type `str`, where a dict should be"),
    ("{}", "gave a message without `data`, `strData`, `binData` or `jsonData`"),
    ("{'data': {}}", "gave a message without `data`"),
    ("{'binData': '!'}", "gave `binData` that is not base64"),
    ("{'data': {'tensor': {'shape': [2, 2], 'values': [1]}}}", "whose `shape` is not that of its `values`"),
    ("{'data': {'tensor': {'shape': [-1], 'values': [1]}}}", "whose `shape` is not that of its `values`"),
    ("{'data': {'tensor': {'values': [1]}}}", "gave a `tensor` without `values` and `shape`"),
    ("{'data': {'ndarray': [[1, 2]]}, 'meta': {'tags': 3}}", "gave `tags` that are no dict"),
    ("{'data': {'ndarray': [[1, 2]]}, 'meta': {'metrics': 3}}", "gave `metrics` that are no list"),
]


@pytest.mark.parametrize(("message", "said"), RAW)
def test_a_message_that_is_none_is_told(load: Load, message: str, said: str) -> None:
    with pytest.raises(RunError, match=f"node `n` .*{said}"):
        load(f"    def predict_raw(self, msg): return {message}\n").ask(X)


# --- Tags ----------------------------------------------------------------------------------------------


def test_tags_are_parameters_of_the_answer_as_v2_has_them(load: Load) -> None:
    code = """    def predict(self, X, names): return X
    def tags(self):
        return {"text": "a", "yes": True, "count": np.int64(3), "share": np.float32(0.5), "list": [1, None],
                "none": None}
"""
    unit = load(code)
    unit.ask(X)
    told = {"text": "a", "yes": True, "count": 3, "share": 0.5, "list": "[1,null]", "none": "null"}
    assert unit.call.tags == {f"n.{name}": value for name, value in told.items()}
    assert all(type(value) in (str, bool, int, float) for value in unit.call.tags.values())


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("    def tags(self): return [1]\n", "gave `tags` that are no dict"),
        ("    def tags(self): return {'x': {1j}}\n", "gave a tag `x` that JSON cannot hold"),
        ("    def tags(self): return dict.fromkeys(range(1025))\n", "gave more than 1024 tags"),
        ("    def tags(self): raise KeyError('gone')\n", "failed: KeyError: 'gone'"),
    ],
)
def test_tags_that_are_none_are_told(load: Load, code: str, said: str) -> None:
    with pytest.raises(RunError, match=f"node `n` {said}"):
        load("    def predict(self, X, names): return X\n" + code).ask(X)


def test_a_request_that_fails_has_no_tags(load: Load) -> None:
    default = {"y": {"value": 0.0, "datatype": "FP64", "shape": ["0", 2]}}
    code = "    def predict(self, X, names): raise ValueError\n    def tags(self): return {'a': 1}\n"
    unit = load(code, policy={"on_error": "default", "default": default})
    assert unit.ask(X).tolist() == [[0, 0], [0, 0]]
    assert (unit.call.tags, unit.call.fallbacks) == ({}, ["n"])


# --- Statuses ------------------------------------------------------------------------------------------

STATED: Final = """    model_error_handler = object()
    def predict(self, X, names):
        error = ValueError("not of ours")
        error.status_code = {status!r}
        raise error
"""


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (404, RequestError, (404, "node `n`: not of ours")),
        (503, RunError, (503, "node `n`: not of ours")),
        (200, RunError, (500, "node `n` failed: ValueError: not of ours")),
        ("404", RunError, (500, "node `n` failed: ValueError: not of ours")),
    ],
)
def test_a_status_of_the_class_is_the_answers(
    load: Load, status: object, kind: type[Exception], told: tuple[int, str]
) -> None:
    with pytest.raises(kind) as caught:
        load(STATED.format(status=status)).ask(X)
    assert (getattr(caught.value, "status", None), str(caught.value)) == told


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (503, 3)])
def test_only_what_is_not_the_requests_fault_is_tried_again(load: Load, status: int, tries: int) -> None:
    counted = STATED.replace(
        "        error =", "        Mine.tries = getattr(Mine, 'tries', 0) + 1\n        error ="
    )
    unit = load(counted.format(status=status), policy={"retries": 2})
    with pytest.raises((RequestError, RunError)):
        unit.ask(X)
    made = next(module for name, module in sys.modules.items() if name.endswith("_n.mine"))
    assert made.Mine.tries == tries


def test_without_a_handler_a_status_is_not_looked_at(load: Load) -> None:
    with pytest.raises(RunError, match="node `n` failed: ValueError: not of ours"):
        load(STATED.replace("model_error_handler", "other").format(status=404)).ask(X)


# --- Seldon's own package ------------------------------------------------------------------------------


@pytest.fixture
def seldon_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand for Seldon's package with classes of the same names, which are only recognised by those."""
    text = """
class SeldonMicroserviceException(Exception):
    status_code = 400
    def __init__(self, message, status_code=None):
        self.message = message
        self.status_code = status_code or self.status_code
class SeldonNotImplementedError(SeldonMicroserviceException): pass
class SeldonResponse:
    def __init__(self, data, tags=None, metrics=None):
        self.data, self.tags, self.metrics = data, tags, metrics
class SeldonComponent:
    def __init__(self, **parameters): pass
    def predict_raw(self, msg): raise SeldonNotImplementedError("no")
    def tags(self): raise SeldonNotImplementedError("no")
    def metrics(self): raise SeldonNotImplementedError("no")
    def init_metadata(self): raise SeldonNotImplementedError("no")
    def load(self): pass
"""
    for name in ("seldon_core", "seldon_core.user_model", "seldon_core.flask_utils"):
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(text if name == "seldon_core.user_model" else "", vars(module))
    kind = vars(sys.modules["seldon_core.user_model"])["SeldonMicroserviceException"]
    vars(sys.modules["seldon_core.flask_utils"])["SeldonMicroserviceException"] = kind


INHERITING: Final = """    pass

from seldon_core.user_model import SeldonComponent, SeldonNotImplementedError, SeldonResponse
from seldon_core.flask_utils import SeldonMicroserviceException

class Mine(SeldonComponent):
"""


@pytest.mark.usefixtures("seldon_core")
def test_places_for_methods_are_no_methods(load: Load) -> None:
    unit = load(
        INHERITING + "    def predict(self, X, names): return SeldonResponse(X, {'a': 1})\n",
        parameters={"z": 1},
    )
    assert unit.ask(X).tolist() == X.tolist()
    assert unit.call.tags == {"n.a": 1}
    with pytest.raises(LoadError, match="has neither `predict` nor `predict_raw`"):
        load(INHERITING + "    pass\n")


@pytest.mark.usefixtures("seldon_core")
def test_a_method_may_say_that_it_is_not_implemented(load: Load) -> None:
    code = INHERITING + "    def predict(self, X, names): raise SeldonNotImplementedError('no')\n"
    with pytest.raises(RunError, match="node `n` has a class that does not implement `predict`"):
        load(code).ask(X)


@pytest.mark.usefixtures("seldon_core")
def test_tags_of_a_call_win_over_those_of_the_class(load: Load) -> None:
    code = INHERITING + (
        "    def predict(self, X, names): return SeldonResponse(X, tags={'a': 2}, metrics=None)\n"
        "    def tags(self): return {'a': 1, 'b': 1}\n"
    )
    unit = load(code)
    unit.ask(X)
    assert unit.call.tags == {"n.a": 2, "n.b": 1}


@pytest.mark.usefixtures("seldon_core")
def test_errors_of_seldons_own_bear_a_status(load: Load) -> None:
    code = INHERITING + "    def predict(self, X, names): raise SeldonMicroserviceException('no such', 404)\n"
    with pytest.raises(RequestError, match="node `n`: no such") as caught:
        load(code).ask(X)
    assert caught.value.status == 404


# --- One at a time -------------------------------------------------------------------------------------


def test_one_call_at_a_time_keeps_tags_with_their_request(load: Load) -> None:
    unit = load(
        """    def predict(self, X, names):
        import time
        self.first = X[0, 0]
        time.sleep(0.002)
        return X
    def tags(self): return {"first": self.first}
"""
    )

    def ask(number: int) -> bool:
        call = Call()
        execute(unit.region, unit.runners, {"x0": X + number}, call)
        return call.tags == {"n.first": 1.0 + number}

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(40)))


def test_a_call_that_is_given_up_leaves_the_next_its_turn(load: Load) -> None:
    code = (
        "    def predict(self, X, names):\n        import time\n        time.sleep(X[0, 0])\n        return X\n"
        "    def tags(self): return {'a': 1}\n"
    )
    unit = load(code, policy={"timeout_ms": 200})
    start = time.perf_counter()
    with pytest.raises(RunError, match="no answer within 200ms"):
        unit.ask(X * 0.5)
    assert time.perf_counter() - start < 0.45
    until = start + 5
    while time.perf_counter() < until and any(
        each.daemon for each in threading.enumerate() if "Thread" in each.name
    ):
        time.sleep(0.02)
    assert unit.ask(X * 0).tolist() == (X * 0).tolist()


# --- Metrics -------------------------------------------------------------------------------------------


def page(prefix: str) -> dict[str, float]:
    """The samples of the page whose names begin so, by name and labels; without those of creation."""
    found: dict[str, float] = {}
    for family in REGISTRY.collect():
        for each in family.samples:
            if each.name.startswith(prefix) and not each.name.endswith("_created"):
                labels = ",".join(f"{name}={text}" for name, text in sorted(each.labels.items()))
                found[f"{each.name}{{{labels}}}"] = each.value
    return found


METRICS: Final = """    def predict(self, X, names): return X
    def metrics(self): return {metrics}
"""


def test_metrics_are_on_the_page_under_their_names(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELDON_DEPLOYMENT_ID", "fraud")
    monkeypatch.setenv("PREDICTOR_ID", "main")
    metrics = """[
        {"type": "COUNTER", "key": "shown_calls", "value": 2},
        {"type": "COUNTER", "key": "shown_calls_more_total", "value": np.float32(1), "tags": {"kind": "a"}},
        {"type": "GAUGE", "key": "shown_size", "value": len("abc"), "tags": {"kind": 7, "method": "mine"}},
        {"type": "TIMER", "key": "shown_time", "value": 250},
    ]"""
    unit = load(METRICS.format(metrics=metrics))
    unit.ask(X)
    unit.ask(X)
    own = "deployment_name=fraud,method=predict,model_name=n,predictor_name=main"
    found = page("shown_")
    assert found.pop(f"shown_calls_total{{{own}}}") == 4
    tagged = own.replace("method", "kind=a,method")
    assert found.pop(f"shown_calls_more_total{{{tagged}}}") == 2
    assert found.pop(f"shown_size{{{tagged.replace('=a', '=7')}}}") == 3
    assert found.pop(f"shown_time_sum{{{own}}}") == 0.5
    assert found.pop(f"shown_time_count{{{own}}}") == 2
    assert {name.partition("{")[0] for name in found} == {"shown_time_bucket"}
    above = 1 + np.count_nonzero(np.geomspace(0.001, 30, 50) >= 0.25)
    assert sorted(found.values()) == [0] * (51 - above) + [2] * above


def test_labels_may_differ_from_call_to_call(load: Load) -> None:
    code = """    def predict(self, X, names):
        self.tags_ = {"a": "1"} if X[0, 0] > 1 else {"b": "2", "c": "3"}
        return X
    def metrics(self): return [{"type": "COUNTER", "key": "varied", "value": 1, "tags": self.tags_}]
"""
    unit = load(code)
    unit.ask(X)
    unit.ask(X + 1)
    assert page("varied") == {
        "varied_total{b=2,c=3,method=predict,model_name=n}": 1,
        "varied_total{a=1,method=predict,model_name=n}": 1,
    }
    assert generate_latest().decode().count("# TYPE varied_total counter") == 1


BAD_METRICS: Final = [
    ("{}", "gave `metrics` that are no list"),
    ("[1]", "gave a metric that has no `key`, or no `type` of COUNTER, GAUGE and TIMER"),
    ("[{'type': 'SET', 'key': 'a', 'value': 1}]", "gave a metric that has no `key`, or no `type`"),
    (
        "[{'type': 'GAUGE', 'key': 'bad_a', 'value': 'x'}]",
        "gave a metric that `bad_a` has a `value` that is no number",
    ),
    (
        "[{'type': 'COUNTER', 'key': 'bad_b', 'value': -1}]",
        "gave a metric that `bad_b` counts down, and is a COUNTER",
    ),
    ("[{'type': 'COUNTER', 'key': 'bad_c', 'value': float('nan')}]", "`bad_c` counts down"),
    ("[{'type': 'GAUGE', 'key': '', 'value': 1}]", "has a name that is no metric's"),
    ("[{'type': 'GAUGE', 'key': 'graphc_faults', 'value': 1}]", "or that another metric has"),
    ("[{'type': 'GAUGE', 'key': 'bad_e', 'value': 1, 'tags': [1]}]", "`bad_e` has `tags` that are no dict"),
    ("[{'type': 'GAUGE', 'key': 'bad_f', 'value': 1, 'tags': {'__x': 'y'}}]", "Prometheus does not take"),
    (
        "[{'type': 'GAUGE', 'key': 'bad_g', 'value': 1}, {'type': 'TIMER', 'key': 'bad_g', 'value': 1}]",
        "`bad_g` is a TIMER, and was a GAUGE before",
    ),
]


@pytest.mark.parametrize(("metrics", "said"), BAD_METRICS)
def test_metrics_that_are_none_are_told(load: Load, metrics: str, said: str) -> None:
    from graphc_runtimes.metrics import faults

    faults()
    with pytest.raises(RunError, match=f"node `n` .*{said}"):
        load(METRICS.format(metrics=metrics)).ask(X)
    # The page is one all the same.
    assert b"python_info" in generate_latest()


def test_a_metric_has_no_more_series_than_anybody_looks_at(
    load: Load, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(class_metrics, "MOST_SERIES", 3)
    code = """    def predict(self, X, names):
        self.last = str(X[0, 0])
        return X
    def metrics(self): return [{"type": "COUNTER", "key": "many", "value": 1, "tags": {"of": self.last}}]
"""
    unit = load(code)
    for number in (0, 1, 2, 3, 4, 0):
        unit.ask(X + number)
    assert sorted(page("many").values()) == [1, 1, 2]
    assert [each.getMessage() for each in caplog.records] == [
        "the metric `many` has 3 combinations of labels; no more are kept"
    ]


# --- Behind the planes ---------------------------------------------------------------------------------

SERVED: Final = """
class Mine:
    model_error_handler = object()
    def __init__(self): self.seen = 0
    def predict(self, X, names, meta=None):
        self.seen += 1
        if X[0, 0] > 1:
            error = ValueError("no such row")
            error.status_code = int(X[0, 0])
            raise error
        self.meta = meta
        return X
    def tags(self): return {"seen": self.seen, "meta": self.meta}
    def init_metadata(self): return {"custom": {"team": "risk"}}
"""


@pytest.fixture
def served(tmp_path: Path, build: Build, node: Build) -> Json:
    """Return the region of a class that fails with the status that its input says."""
    (tmp_path / "n").mkdir()
    (tmp_path / "n" / "mine.py").write_text(SERVED)
    written = node(
        "n", {"X": "x"}, {"y": "n.y"}, kind="python", entry="mine:Mine", path="n", seldon={"method": "predict"},
        declares={"y": {"datatype": "FP32", "shape": ["batch", 2]}},
    )  # fmt: skip
    return build([written], takes=["x: FP32[batch, 2]"], answers={"n.y": "y: FP32[batch, 2]"})


def asked(first: float, **more: Any) -> bytes:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [first, 0.0]}
    return json.dumps({"inputs": [tensor], **more}).encode()


def test_an_answer_over_rest_has_the_tags_and_a_failure_the_status(
    serve: Callable[..., Running], served: Json
) -> None:
    client = serve(served).connect()
    for turn in range(1, 4):
        fine = client.ask(asked(1.0, id="r7", parameters={"tier": "gold"})).json
        meta = json.dumps({"puid": "r7", "tags": {"tier": "gold"}}, separators=(",", ":"))
        assert fine["parameters"] == {"tier": "gold", "n.seen": 2 * turn - 1, "n.meta": meta}
        for status in (404,):
            failed = client.ask(asked(status))
            assert (failed.status, failed.json) == (status, {"error": "node `n`: no such row"})
    for status in (400, 418, 500, 503, 599):
        assert client.ask(asked(status)).status == status
