"""Classes for Seldon's language wrapper in a unit of graphc's answer as they do behind the real wrapper.

The same classes get the same generated requests here and from `seldon-core-microservice`: what they are given (types,
names, what they are told of the request), what they answer, their tags, their metrics and their statuses agree.
"""
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

import base64
import functools
import itertools
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from graphc.cases.run_cases import describe_plan, lay_out
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.run.plan import free_ports
from graphc.server_start import Started
from prometheus_client.parser import text_string_to_metric_families
from real_servers import RealServer, environment, serve
from server_environments import find_python

pytestmark = pytest.mark.slow

Json = dict[str, Any]

CLASSES: Final = Path(__file__).parent / "seldon_classes"
ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = find_python("3.12")
NEWEST: Final = "1.19.0"
NODE: Final = "n"
PLAIN: Final[Json] = {
    "factor": ("INT", "3"),
    "offset": ("FLOAT", "0.25"),
    "word": ("STRING", "ab"),
    "loud": ("BOOL", "true"),
}
PATHS: Final = {"transform_input": "transform-input", "transform_output": "transform-output"}
ANSWERS: Final = {
    "array": {"y": "SAME"}, "list": {"y": "SAME"}, "text": {"y": "BYTES[1]"}, "bytes": {"y": "BYTES[1]"},
    "dict": {"total": "FP64[1]", "rows": "FP64[batch]", "word": "BYTES[1]", "few": "INT32[2]"},
    "json": {"y": "BYTES[1]"},
}  # fmt: skip
"""The outputs that a node declares for each form of answer; SAME is the type of its input."""


# --- Asking --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """How a class is asked by one graph, and by which form it answers."""

    entry: str
    method: str
    payload: str = "ndarray"
    types: tuple[str, ...] = ("FP64[batch, 2]",)
    out: Mapping[str, str] = field(default_factory=lambda: {"y": "FP64[batch, 2]"})
    names: tuple[str, ...] = ()
    parameters: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, "tuple[str, str]"])

    def graph(self) -> Json:
        """Return the file of a graph that is this one node."""
        inputs = {f"x{index}": type_ for index, type_ in enumerate(self.types)}
        listed = [
            {"name": name, "type": kind, "value": value} for name, (kind, value) in self.parameters.items()
        ]
        asked = {
            "method": self.method,
            "payload": self.payload,
            "names": list(self.names),
            "parameters": listed,
        }
        node = {
            "python": f"{self.entry}:{self.entry}",
            "seldon": asked,
            "in": list(inputs),
            "out": dict(self.out),
        }
        return {
            "apiVersion": "graphc/v1", "kind": "InferenceGraph", "metadata": {"name": "wrapped"}, "inputs": inputs,
            "nodes": {NODE: node}, "outputs": {name: f"{NODE}.{name}" for name in self.out},
            # Of another image nobody knows here whether it has Seldon's package.
            "runtime": {"image": "registry.example.com/own"},
        }  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """One request: the tensors, and the form of answer that it asks for."""

    setting: Setting
    tensors: tuple[np.ndarray, ...]
    tags: Mapping[str, object]
    number: int

    def for_us(self) -> Json:
        """Return it as V2 has it."""
        inputs = [
            {"name": f"x{index}", "shape": list(each.shape), "datatype": type_.partition("[")[0],
             "data": each.ravel().tolist()}
            for index, (each, type_) in enumerate(zip(self.tensors, self.setting.types, strict=True))
        ]  # fmt: skip
        return {"inputs": inputs, "id": f"request-{self.number}", "parameters": dict(self.tags)}

    def for_wrapper(self) -> Json:
        """Return it as Seldon's protocol has it."""
        meta = {"puid": f"request-{self.number}", "tags": dict(self.tags)}
        messages = [{**self._payload(each), "meta": meta} for each in self.tensors]
        return {"seldonMessages": messages} if self.setting.method == "aggregate" else messages[0]

    def _payload(self, array: np.ndarray) -> Json:
        payload, names = self.setting.payload, list(self.setting.names)
        match payload:
            case "ndarray":
                return {"data": {"names": names, "ndarray": array.tolist()}}
            case "tensor":
                flat = array.ravel().tolist()
                return {"data": {"names": names, "tensor": {"shape": list(array.shape), "values": flat}}}
            case "binData":
                return {payload: base64.b64encode(array[0].encode()).decode()}
            case "jsonData":
                return {payload: json.loads(array[0])}
            case _:
                return {payload: array[0]}


@dataclass
class Found:
    """What was answered: a status, outputs by name, tags, and what failed said."""

    status: int
    outputs: Mapping[str, object] = field(default_factory=dict[str, object])
    tags: Mapping[str, object] = field(default_factory=dict[str, object])
    said: str = ""


def ask_us(asked: Sequence[Asked], folder: Path, python: str) -> tuple[list[Found], str]:
    """Return what units of graphc answer in one process, and what its metrics page says then."""
    jobs: list[Json] = []
    for index, (setting, group) in enumerate(itertools.groupby(asked, lambda each: each.setting)):
        requests = [{"request": each.for_us(), "headers": {}} for each in group]
        jobs.append(_job(setting, folder / str(index)) | {"cases": requests})
    result = folder / "result.json"
    path = os.pathsep.join(str(ROOT / each) for each in ("components", "runtimes"))
    done = subprocess.run(
        [python, str(CLASSES / "answer.py")], input=json.dumps({"jobs": jobs, "result": str(result)}), text=True,
        capture_output=True, env=os.environ | {"PYTHONPATH": path}, timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(result.read_text())
    assert all("answers" in each for each in told["answers"]), told["answers"]
    answers = itertools.chain.from_iterable(each["answers"] for each in told["answers"])
    return [_read_ours(each) for each in answers], told["metrics"]


def _job(setting: Setting, folder: Path) -> Json:
    folder.mkdir(parents=True)
    (folder / f"{setting.entry}.py").write_text((CLASSES / f"{setting.entry}.py").read_text())
    (folder / "graph.json").write_text(json.dumps(setting.graph()))
    done = compile_files(Request((str(folder / "graph.json"),), purpose="local"))
    assert not done.sink.has_errors, [each.message for each in done.sink]
    (graph,) = done.graphs
    lay_out(graph, "main", folder / "artifacts")
    return {"root": describe_plan(graph.plans["main"]), "artifacts": str(folder / "artifacts")}


def _read_ours(answer: Json) -> Found:
    body = answer["body"]
    if answer["status"] != 200:
        return Found(answer["status"], said=body["error"])
    outputs = {each["name"]: _decode(each) for each in body["outputs"]}
    return Found(200, outputs, body["parameters"])


def _decode(tensor: Json) -> np.ndarray:
    if (tensor.get("parameters") or {}).get("content_type") == "base64":
        return np.array([base64.b64decode(each) for each in tensor["data"]], object).reshape(tensor["shape"])
    return np.array(tensor["data"]).reshape(tensor["shape"])


def ask_wrapper(asked: Sequence[Asked], server: RealServer) -> list[Found]:
    """Return what the real wrapper answers."""
    return [_ask_wrapper(each, server) for each in asked]


def _ask_wrapper(asked: Asked, server: RealServer) -> Found:
    method = asked.setting.method
    request = urllib.request.Request(
        f"{server.url}/{PATHS.get(method, method)}",
        json.dumps(asked.for_wrapper()).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            body = json.load(response)
    except urllib.error.HTTPError as error:
        return Found(error.code, said=json.load(error)["status"]["info"])
    return Found(200, _read_payload(body, asked.setting.out), body.get("meta", {}).get("tags", {}))


def _read_payload(body: Json, out: Mapping[str, str]) -> Mapping[str, object]:
    (first, *others) = out
    if "jsonData" in body:
        found = body["jsonData"]
        return {name: np.array(found[name]) for name in out} if others else {first: found}
    if "strData" in body:
        return {first: body["strData"]}
    if "binData" in body:
        return {first: base64.b64decode(body["binData"])}
    data = body["data"]
    if "tensor" in data:
        return {first: np.array(data["tensor"]["values"]).reshape(data["tensor"]["shape"])}
    return {first: np.array(data["ndarray"])}


# --- Comparing -----------------------------------------------------------------------------------------


def agree(ours: Found, real: Found, asked: Asked) -> None:
    """Assert that two answers are the same."""
    told = f"{asked}\n{ours}\n{real}"
    assert ours.status == real.status, told
    assert real.said in ours.said, told
    assert ours.outputs.keys() == real.outputs.keys(), told
    for name, value in real.outputs.items():
        _agree_value(ours.outputs[name], value, told)
    own = {name.removeprefix(f"{NODE}."): value for name, value in ours.tags.items() if "." in name}
    # A raw method says by itself what the tags are, as a router does; else those of the request come back, too.
    is_alone = asked.setting.entry == "Raw" or asked.setting.method == "route"
    given = {} if is_alone else dict(asked.tags)
    assert ours.tags.items() >= (asked.tags if ours.status == 200 else {}).items(), told
    expected = {name: _plain(value) for name, value in real.tags.items()}
    assert (given if real.tags else {}) | {name: _plain(value) for name, value in own.items()} == expected, (
        told
    )


def _agree_value(ours: object, real: object, told: str) -> None:
    assert isinstance(ours, np.ndarray)
    match real:
        case np.ndarray():
            assert ours.size == real.size, told
            assert ours.ravel().tolist() == real.ravel().tolist(), told
        case str() | bytes():
            # V2 has bytes as a text where they are one.
            elements = [each.encode() if isinstance(each, str) else each for each in ours.tolist()]
            assert elements == [real.encode() if isinstance(real, str) else real], told
        case _:
            assert json.loads(ours.tolist()[0]) == real, told


def _plain(value: object) -> object:
    """Return a tag with its JSON read: a parameter of V2 holds what is nested as a text."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        return json.loads(value)
    return value


Sample = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name, and its labels."""
OF_PLACE: Final = frozenset(
    {"deployment_name", "model_name", "model_image", "model_version", "predictor_name", "predictor_version"}
    | {"seldon_deployment_name", "image_name", "image_version", "worker_id"}
)
"""Labels that say where a metric comes from."""


def read_metrics(page: str, prefix: str) -> Mapping[Sample, float]:
    """Return the metrics of classes on a page, by name and labels; the bounds of buckets are rounded."""
    found: dict[Sample, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name.startswith(prefix) and not sample.name.endswith("_created"):
                labels = {name: text for name, text in sample.labels.items() if name not in OF_PLACE}
                if "le" in labels:
                    labels["le"] = f"{float(labels['le']):.6g}"
                key = sample.name, tuple(sorted(labels.items()))
                found[key] = found.get(key, 0) + sample.value
    return found


# --- Servers -------------------------------------------------------------------------------------------


@contextmanager
def wrapper(setting: Setting, folder: Path) -> Generator[tuple[RealServer, Callable[[], str]]]:
    """Run the real wrapper around a class; yields it, and what fetches its metrics page."""
    (ports,) = free_ports(1, set())
    bin_folder = wrapper_environment() / "bin"
    parameters = [
        {"name": name, "type": kind, "value": value} for name, (kind, value) in setting.parameters.items()
    ]
    folder.mkdir()

    def start(own: Any) -> Started:
        command = [
            "seldon-core-microservice", setting.entry, "--service-type", "MODEL", "--http-port", str(own.http),
            "--grpc-port", str(own.grpc), "--metrics-port", str(ports.http), "--parameters", json.dumps(parameters),
        ]  # fmt: skip
        return Started(tuple(command), {"PYTHONPATH": str(CLASSES)})

    def page() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{ports.http}/metrics", timeout=10) as response:
            return response.read().decode()

    with serve(start, bin_folder, folder, "/health/ping") as server:
        yield server, page


@functools.cache
def wrapper_environment() -> Path:
    """Return the environment of the newest wrapper, or of the last one for an older Python."""
    if PYTHON is not None:
        return environment("seldon-1.19", PYTHON)
    return environment("seldon-1.18")


def compare(asked: Sequence[Asked], prefix: str, folder: Path, python: str = sys.executable) -> list[Found]:
    """Assert that the class answers all requests alike, and counts alike; return what it answered."""
    ordered = sorted(asked, key=lambda each: str(each.setting))
    ours, own_page = ask_us(ordered, folder / "ours", python)
    with wrapper(ordered[0].setting, folder / "wrapper") as (server, page):
        real = ask_wrapper(ordered, server)
        real_page = page()
    for each, mine, theirs in zip(ordered, ours, real, strict=True):
        agree(mine, theirs, each)
    counted = read_metrics(own_page, prefix)
    assert counted == read_metrics(real_page, prefix)
    assert counted
    return ours


# --- Requests ------------------------------------------------------------------------------------------


def draw(type_: str, rng: np.random.Generator, rows: int) -> np.ndarray:
    """Return made-up values of a type, as JSON has them."""
    datatype, _, shape = type_.rstrip("]").partition("[")
    dims = [rows if dim.strip() == "batch" else int(dim) for dim in shape.split(",")]
    match datatype:
        case "BYTES":
            letters = list("aé€x \"'\\0")
            return np.array(
                ["".join(rng.choice(letters, 3)) for _ in range(int(np.prod(dims)))], object
            ).reshape(dims)
        case "BOOL":
            return rng.integers(0, 2, dims).astype(bool)
        case "FP32" | "FP64":
            return (rng.normal(size=dims) * 10.0 ** rng.integers(-3, 6)).astype(np.float32).astype(np.float64)
        case _:
            return rng.integers(0, 100, dims)


def plain_settings() -> Iterator[tuple[Setting, str]]:
    """Yield the ways in which the plain class is asked, with the form of the answer."""
    whole = functools.partial(Setting, "Plain", parameters=PLAIN, names=("age", "income"))
    numbers = ("FP64[batch, 2]", "FP32[batch, 2]", "INT64[batch, 2]", "INT32[batch, 2]", "UINT8[batch, 2]")
    for method in ("predict", "transform_input", "transform_output"):
        for payload, type_ in itertools.product(("ndarray", "tensor"), (*numbers, "BOOL[batch, 2]")):
            out = type_.replace("UINT8", "INT32").replace("FP32", "FP64")
            yield whole(method=method, payload=payload, types=(type_,), out={"y": out}), "array"
        for type_ in ("BYTES[batch, 2]", "FP64[batch, 2, 3]"):
            form = "array" if type_.startswith("BYTES") else "list"
            yield whole(method=method, types=(type_,), out={"y": type_}), form
    for method, form in itertools.product(
        ("predict", "transform_input"), ("list", "dict", "fail", "unhandled")
    ):
        out = ANSWERS.get(form, {"y": "SAME"})
        yield whole(method=method, out={k: v.replace("SAME", "FP64[batch, 2]") for k, v in out.items()}), form
    for payload, form in itertools.product(("strData", "binData", "jsonData"), ("text", "bytes", "json")):
        if (payload, form) != ("binData", "json"):
            single = whole(
                method="predict", payload=payload, types=("BYTES[1]",), out=ANSWERS[form], names=()
            )
            yield single, form
    yield whole(method="route", out={"branch": "INT32[1]"}), "array"
    yield whole(method="route", payload="tensor", out={"branch": "INT64[1, 1]"}), "array"
    for count in (1, 2, 3):
        types = ("FP64[batch, 2]",) * count
        yield whole(method="aggregate", types=types, out={"y": f"FP64[batch, {2 * count}]"}), "array"
    yield whole(method="aggregate", types=("BYTES[batch, 1]",) * 2, out={"y": "BYTES[batch, 2]"}), "array"


def make_requests(settings: Sequence[tuple[Setting, str]], times: int) -> list[Asked]:
    """Return requests of each setting, with values that are always the same."""
    rng, found = np.random.default_rng(7), list[Asked]()
    for (setting, form), _ in itertools.product(settings, range(times)):
        rows = int(rng.integers(1, 4))
        tensors = tuple(draw(type_, rng, rows) for type_ in setting.types)
        if setting.payload == "jsonData":
            given: list[object] = [{"a": 1.5}, [1, "b", None], "text", 3]
            tensors = (np.array([json.dumps(given[int(rng.integers(4))])], object),)
        tags = {"form": form, "customer": "c-1", "weight": 0.5, "vip": True}
        if setting.method == "aggregate":
            # The wrapper joins the tags of all messages, and a graph's request has one set of them.
            tags = {"form": form}
        found.append(Asked(setting, tensors, tags, len(found)))
    return found


# --- Tests ---------------------------------------------------------------------------------------------


def test_a_plain_class_is_asked_and_answers_as_behind_the_real_wrapper(tmp_path: Path) -> None:
    settings = list(plain_settings())
    assert {each.method for each, _ in settings} == {"predict", "route", "aggregate", *PATHS}
    found = compare(make_requests(settings, 4), "plain_", tmp_path)
    assert Counter(each.status for each in found)[500] == 16
    assert all(f"{NODE}.seen" in each.tags for each in found if each.status == 200)


def raw_settings() -> Iterator[tuple[Setting, str]]:
    """Yield the ways in which the class of raw methods is asked."""
    whole = functools.partial(Setting, "Raw", names=("a", "b"))
    for payload in ("ndarray", "tensor"):
        for method in ("predict", "transform_input"):
            for type_ in ("FP64[batch, 2]", "INT64[batch, 2]"):
                yield whole(method=method, payload=payload, types=(type_,), out={"y": type_}), payload
        yield whole(method="route", payload=payload, out={"branch": "INT32[1]"}), payload
        yield whole(method="aggregate", payload=payload, types=("FP64[batch, 2]",) * 2), payload
    yield whole(method="predict", types=("BYTES[batch, 2]",), out={"y": "BYTES[batch, 2]"}), "ndarray"
    for payload in ("strData", "binData", "jsonData"):
        out = {"y": "BYTES[1]"}
        yield whole(method="predict", payload=payload, types=("BYTES[1]",), out=out, names=()), payload
    yield whole(method="predict"), "refuse"


def test_a_class_of_raw_methods_is_asked_with_whole_messages(tmp_path: Path) -> None:
    found = compare(make_raw_requests(), "raw_", tmp_path)
    assert Counter(each.status for each in found)[422] == 3


def make_raw_requests() -> list[Asked]:
    """Return the requests of raw methods; a class that answers with a whole message says itself what its tags are."""
    return [
        Asked(each.setting, each.tensors, {"form": each.tags["form"]}, each.number)
        for each in make_requests(list(raw_settings()), 3)
    ]


FORMS: Final[Mapping[str, int]] = {
    "response": 200, "array": 200, "usual": 400, "missing": 404, "own": 418, "other": 500, "later": 503,
}  # fmt: skip
"""The forms of answer that the inheriting class knows, with their statuses."""


def test_a_class_that_inherits_from_seldons_own_needs_the_extra_and_no_more(tmp_path: Path) -> None:
    if PYTHON is None:
        pytest.skip("seldon-core 1.19.0 takes Python 3.12, which this machine has not")
    python = str(environment("seldon-unit", PYTHON) / "bin" / "python")
    setting = Setting("Inherited", "predict", parameters={"factor": ("INT", "4"), "unknown": ("STRING", "x")})
    asked = make_requests([(setting, form) for form in FORMS], 2)
    found = compare(asked, "inherited_", tmp_path, python)
    statuses = {str(each.tags["form"]): found.status for each, found in zip(asked, found, strict=True)}
    assert statuses == FORMS
