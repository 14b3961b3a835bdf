"""Each way to run a node, loaded from real artefacts."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import asyncio
import importlib
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
import pytest
import xgboost
from graphc_runtimes.adapters import load_runner
from graphc_runtimes.choose import Call
from graphc_runtimes.devices import find_fallback, find_variants, has_gpu
from graphc_runtimes.environment import Device, Environment
from graphc_runtimes.errors import LoadError, RunError
from graphc_runtimes.execute import Runner, execute
from graphc_runtimes.region import DecidingNode, Region
from onnx import TensorProto, helper

LIGHTGBM: Any = importlib.import_module("lightgbm")

Json = dict[str, object]
Load = Callable[..., Runner]

X = np.array([[0.0, 1.0], [5.0, 6.0]], dtype=np.float32)
EMPTY = X[:0]


def _environment(folder: Path, device: Device = "cpu") -> Environment:
    return Environment(region="", unit=None, artifacts=folder, device=device, threads=1)


@pytest.fixture
def load(tmp_path: Path, region: Callable[..., Region], node: Callable[..., Json]) -> Load:
    """Load one node; its inputs are all tensors of the message."""

    def build(inputs: list[str], outputs: list[str], device: Device = "cpu", **fields: object) -> Runner:
        reads = {name: f"in.{name}" for name in inputs}
        written = node("n", reads, {name: f"n.{name}" for name in outputs}, **fields)
        (parsed,) = region([written], takes=[f"in.{name}: FP32[batch]" for name in inputs]).nodes
        assert not isinstance(parsed, DecidingNode)
        return asyncio.run(load_runner(parsed, _environment(tmp_path, device)))

    return build


def _model(framework: str, path: str) -> dict[str, object]:
    return {"kind": "model", "framework": framework, "path": path}


# --- Threads -------------------------------------------------------------------------------------------


def _write_repeated(path: Path, times: int) -> None:
    """Write a model that takes two numbers a row, and works on each so many times."""
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in ("X", "Y")]
    names = ["X", *(f"t{number}" for number in range(times - 1)), "Y"]
    nodes = [helper.make_node("Erf", [a], [b]) for a, b in itertools.pairwise(names)]
    graph = helper.make_graph(nodes, "repeated", infos[:1], infos[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))


@pytest.mark.parametrize(
    ("threads", "times", "expected"), [(None, 1, 1), (None, 5000, 0), (3, 1, 3), (3, 5000, 3)]
)
def test_a_model_that_is_quick_has_one_thread_where_nothing_is_said(
    threads: int | None,
    times: int,
    expected: int,
    tmp_path: Path,
    region: Callable[..., Region],
    node: Callable[..., Json],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _write_repeated(tmp_path / "m.onnx", times)
    given: list[int] = []
    start = onnxruntime.InferenceSession

    def open_session(path: str, options: Any, **fields: Any) -> Any:
        given.append(options.intra_op_num_threads)
        return start(path, options, **fields)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    written = node("n", {"X": "x"}, {"Y": "n.Y"}, **_model("onnx", "m.onnx"))
    (parsed,) = region([written], takes=["x: FP32[batch, 2]"]).nodes
    assert not isinstance(parsed, DecidingNode)
    run = asyncio.run(load_runner(parsed, replace(_environment(tmp_path), threads=threads)))
    assert run({"X": X})["Y"].shape == (2, 2)
    assert given[-1] == expected


# --- Components ----------------------------------------------------------------------------------------


def test_a_component_gets_its_inputs_in_the_order_of_their_positions(load: Load) -> None:
    names = [str(index) for index in (0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9)]
    weights = [1.0, *[0.0] * 9, 1.0]
    run = load(
        names, ["output"], kind="component", component="weighted-mean", parameters={"weights": weights}
    )
    inputs = {name: np.array([float(name)]) for name in names}
    assert run(inputs)["output"].tolist() == [5.0]


@pytest.mark.parametrize(
    ("component", "parameters", "message"),
    [
        ("maen", {}, "node `n`: there is no component `maen` in this image"),
        ("mean", {"weigths": []}, "node `n`: `weigths` is not a parameter of `mean`"),
    ],
)
def test_a_component_that_is_not_known_does_not_load(
    load: Load, component: str, parameters: Json, message: str
) -> None:
    with pytest.raises(LoadError, match=f"^{message}"):
        load(["0"], ["output"], kind="component", component=component, parameters=parameters)


# --- ONNX ----------------------------------------------------------------------------------------------


def test_onnx_gives_the_outputs_in_use_and_no_other(
    load: Load, tmp_path: Path, write_double: Callable[[Path], None]
) -> None:
    write_double(tmp_path / "m.onnx")
    results = load(["X"], ["Z"], **_model("onnx", "m.onnx"))({"X": X})
    assert {name: array.tolist() for name, array in results.items()} == {"Z": (-X).tolist()}


def test_onnx_takes_a_batch_without_rows(
    load: Load, tmp_path: Path, write_double: Callable[[Path], None]
) -> None:
    write_double(tmp_path / "m.onnx")
    result = load(["X"], ["Y"], **_model("onnx", "."))({"X": EMPTY})["Y"]
    assert (result.shape, result.dtype) == ((0, 2), np.float32)


def test_a_model_whose_names_are_others_does_not_load(
    load: Load, tmp_path: Path, write_double: Callable[[Path], None]
) -> None:
    write_double(tmp_path / "m.onnx")
    with pytest.raises(LoadError, match="node `n`: the model takes `X`, and the graph gives `x`"):
        load(["x"], ["Y"], **_model("onnx", "m.onnx"))
    with pytest.raises(LoadError, match="node `n`: the model has no output `y`; it has `Y`, `Z`"):
        load(["X"], ["y"], **_model("onnx", "m.onnx"))


def test_a_device_that_is_not_there_is_never_replaced_by_another(
    load: Load, tmp_path: Path, write_double: Callable[[Path], None]
) -> None:
    write_double(tmp_path / "m.onnx")
    with pytest.raises(LoadError, match="GRAPHC_DEVICE asks for CUDAExecutionProvider; onnxruntime here has"):
        load(["X"], ["Y"], "cuda", **_model("onnx", "m.onnx"))


def test_a_device_that_is_preferred_is_replaced_and_that_is_said_once(
    load: Load, tmp_path: Path, write_double: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    write_double(tmp_path / "m.onnx")
    wanted = load(["X"], ["Y"], **_model("onnx", "m.onnx"))({"X": X})["Y"]
    assert find_fallback(_environment(tmp_path)) is None
    for _ in range(2):
        result = load(["X"], ["Y"], "prefer-cuda", **_model("onnx", "m.onnx"))({"X": X})["Y"]
        assert result.tolist() == wanted.tolist()
    reason = find_fallback(_environment(tmp_path, "prefer-cuda"))
    assert reason is not None
    assert reason.startswith("GRAPHC_DEVICE asks for CUDAExecutionProvider; onnxruntime here has")
    (record,) = (each for each in caplog.records if each.name == "mlserver.graphc")
    assert (record.levelname, record.getMessage()) == (
        "WARNING",
        f"no GPU, so models run on the CPU: {reason}",
    )


@pytest.mark.parametrize(("device", "times"), [("prefer-cuda", 3), ("cpu", 3)])
def test_the_model_that_is_named_for_the_cpu_runs_there_and_that_is_said(
    device: Device,
    times: int,
    load: Load,
    tmp_path: Path,
    write_double: Callable[[Path], None],
    write_triple: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_double(tmp_path / "m.onnx")
    (tmp_path / "cpu").mkdir()
    write_triple(tmp_path / "cpu" / "small.onnx")
    fields = _model("onnx", "m.onnx") | {"cpu_path": "cpu/small.onnx"}
    assert load(["X"], ["Y"], device, **fields)({"X": X})["Y"].tolist() == (times * X).tolist()
    assert find_variants(_environment(tmp_path, device)) == {"n": "cpu/small.onnx"}
    said = [each.getMessage() for each in caplog.records if each.name == "mlserver.graphc"]
    assert said[0] == "node `n` runs its model for the CPU, `cpu/small.onnx`"
    assert len(said) == (2 if device == "prefer-cuda" else 1)


def test_the_model_that_is_named_for_the_cpu_never_stands_for_a_gpu_that_has_to_be(
    load: Load, tmp_path: Path, write_double: Callable[[Path], None]
) -> None:
    write_double(tmp_path / "m.onnx")
    with pytest.raises(LoadError, match="GRAPHC_DEVICE asks for CUDAExecutionProvider; onnxruntime here has"):
        load(["X"], ["Y"], "cuda", **_model("onnx", "m.onnx"), cpu_path="m.onnx")


def test_a_model_for_the_cpu_that_is_not_there_is_said(
    load: Load, tmp_path: Path, write_double: Callable[[Path], None]
) -> None:
    write_double(tmp_path / "m.onnx")
    with pytest.raises(LoadError, match=r"there is no `absent\.onnx`"):
        load(["X"], ["Y"], "prefer-cuda", **_model("onnx", "m.onnx"), cpu_path="absent.onnx")


def test_a_model_that_is_no_good_is_no_reason_to_go_without_a_gpu(load: Load, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("not a model")
    with pytest.raises(LoadError, match="node `n`: "):
        load(["X"], ["Y"], "prefer-cuda", **_model("onnx", "m.onnx"))
    assert find_fallback(_environment(tmp_path, "prefer-cuda")) is None


def test_a_container_has_the_devices_that_it_was_given(tmp_path: Path) -> None:
    for name in ("null", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert not has_gpu(tmp_path)
    (tmp_path / "nvidia0").touch()
    assert has_gpu(tmp_path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.onnx", "there is no `none.onnx`"),
        ("../m.onnx", "the path `../m.onnx` does not stay within the artefacts' folder"),
        ("folder", "the folder `folder` has 0 files that end in `.onnx`, not one"),
        ("bad.onnx", "node `n`: "),
    ],
)
def test_an_artefact_that_cannot_be_read_does_not_load(
    load: Load, tmp_path: Path, path: str, message: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "bad.onnx").write_text("not a model")
    with pytest.raises(LoadError, match=message):
        load(["X"], ["Y"], **_model("onnx", path))


def test_a_locale_that_is_missing_is_told_in_a_line(load: Load, tmp_path: Path) -> None:
    infos = [helper.make_tensor_value_info(name, TensorProto.STRING, ["batch"]) for name in ("X", "Y")]
    normalise = helper.make_node(
        "StringNormalizer", ["X"], ["Y"], case_change_action="LOWER", locale="xx_XX.UTF-8"
    )
    graph = helper.make_graph([normalise], "text", infos[:1], infos[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(made, str(tmp_path / "m.onnx"))
    with pytest.raises(LoadError) as caught:
        load(["X"], ["Y"], **_model("onnx", "m.onnx"))
    said = str(caught.value)
    assert said.startswith(
        "node `n`: the model changes texts by the locale `xx_XX.UTF-8`, which this machine lacks"
    )
    assert "localedef -i xx_XX -f UTF-8 xx_XX.UTF-8" in said
    assert "\n" not in said


@pytest.mark.parametrize("framework", ["onnx", "sklearn", "xgboost", "lightgbm"])
def test_a_file_that_is_none_is_told_in_a_line_that_names_the_node(
    load: Load, tmp_path: Path, framework: str
) -> None:
    (tmp_path / "m").write_bytes(b"not a model\nat all\n")
    with pytest.raises(LoadError) as caught:
        load(["X"], ["predict"], **_model(framework, "m"))
    said = str(caught.value)
    assert said.startswith("node `n`: ")
    assert "\n" not in said
    assert str(tmp_path) not in said


# --- scikit-learn --------------------------------------------------------------------------------------


def test_sklearn_gives_the_outputs_asked_for_with_fixed_types(
    load: Load, tmp_path: Path, write_classifier: Callable[..., None]
) -> None:
    write_classifier(tmp_path / "m.joblib")
    outputs = ["predict", "predict_proba", "decision_function"]
    results = load(["X"], outputs, **_model("sklearn", "m.joblib"))({"X": X})
    assert results["predict"].tolist() == [0, 1]
    assert {name: array.dtype for name, array in results.items()} == {
        "predict": np.int64,
        "predict_proba": np.float64,
        "decision_function": np.float64,
    }


def test_sklearn_labels_may_be_texts(
    load: Load, tmp_path: Path, write_classifier: Callable[..., None]
) -> None:
    write_classifier(tmp_path / "m.pkl", texts=True)
    result = load(["X"], ["predict"], **_model("sklearn", "m.pkl"))({"X": X})["predict"]
    assert result.dtype == np.object_
    assert result.tolist() == [b"low", b"high"]


def test_sklearn_takes_a_batch_without_rows(
    load: Load, tmp_path: Path, write_classifier: Callable[..., None]
) -> None:
    write_classifier(tmp_path / "m.joblib")
    results = load(["X"], ["predict", "predict_proba"], **_model("sklearn", "m.joblib"))({"X": EMPTY})
    assert {name: (array.shape, array.dtype) for name, array in results.items()} == {
        "predict": ((0,), np.int64),
        "predict_proba": ((0, 2), np.float64),
    }


def test_sklearn_without_the_method_does_not_load(
    load: Load, tmp_path: Path, write_classifier: Callable[..., None]
) -> None:
    write_classifier(tmp_path / "m.joblib")
    with pytest.raises(LoadError, match="node `n`: LogisticRegression has no output `transform`"):
        load(["X"], ["transform"], **_model("sklearn", "m.joblib"))
    with pytest.raises(LoadError, match="node `n`: LogisticRegression has no output `fit`"):
        load(["X"], ["fit"], **_model("sklearn", "m.joblib"))


# --- XGBoost -------------------------------------------------------------------------------------------


@pytest.fixture
def booster(tmp_path: Path) -> "xgboost.Booster":
    rows = np.array([[0.0, 0.0], [1.0, 1.0], [4.0, 4.0], [6.0, 6.0]])
    data = xgboost.DMatrix(rows, label=[0.0, 1.0, 4.0, 6.0])
    return xgboost.train({"max_depth": 2, "nthread": 1, "min_child_weight": 0}, data, num_boost_round=8)


@pytest.mark.parametrize("suffix", ["ubj", "json"])
def test_xgboost_predicts_what_its_booster_does(
    load: Load, tmp_path: Path, booster: "xgboost.Booster", suffix: str
) -> None:
    booster.save_model(tmp_path / f"m.{suffix}")
    run = load(["X"], ["predict"], **_model("xgboost", f"m.{suffix}"))
    result = run({"X": X})["predict"]
    assert result.dtype == np.float32
    assert result.tolist() == booster.predict(xgboost.DMatrix(X)).tolist()
    assert run({"X": EMPTY})["predict"].shape == (0,)


@pytest.mark.skipif(has_gpu(), reason="there is a GPU")
def test_xgboost_goes_without_a_gpu_that_it_prefers(
    load: Load, tmp_path: Path, booster: "xgboost.Booster"
) -> None:
    booster.save_model(tmp_path / "m.ubj")
    run = load(["X"], ["predict"], "prefer-cuda", **_model("xgboost", "m.ubj"))
    assert run({"X": X})["predict"].tolist() == booster.predict(xgboost.DMatrix(X)).tolist()
    assert find_fallback(_environment(tmp_path, "prefer-cuda")) is not None


def test_xgboost_that_was_stopped_early_stops_there(
    load: Load, tmp_path: Path, booster: "xgboost.Booster"
) -> None:
    booster.set_attr(best_iteration="2")
    booster.save_model(tmp_path / "m.ubj")
    result = load(["X"], ["predict"], **_model("xgboost", "m.ubj"))({"X": X})["predict"]
    assert result.tolist() == booster.predict(xgboost.DMatrix(X), iteration_range=(0, 3)).tolist()
    assert result.tolist() != booster.predict(xgboost.DMatrix(X)).tolist()


@pytest.mark.parametrize("objective", ["reg:squarederror", "binary:logistic", "multi:softprob"])
@pytest.mark.parametrize("kind", ["gbtree", "dart", "gblinear"])
def test_xgboost_of_every_kind_answers_as_its_booster(
    load: Load, tmp_path: Path, kind: str, objective: str
) -> None:
    rows, labels = np.random.default_rng(2).random((30, 2)), np.arange(30) % 2
    classes = {"num_class": 2} if objective.startswith("multi") else {}
    parameters = {"booster": kind, "objective": objective, "nthread": 1, **classes}
    names = ["age", "weight"]
    trained = xgboost.train(parameters, xgboost.DMatrix(rows, labels, feature_names=names), 5)
    trained.set_attr(best_iteration="4")
    trained.save_model(tmp_path / "m.ubj")
    run = load(["X"], ["predict"], **_model("xgboost", "m.ubj"))
    for datatype in ("f2", "f4", "f8", "i1", "u2", "i8", "?"):
        given = X.astype(datatype)
        expected = trained.predict(xgboost.DMatrix(given), validate_features=False)
        assert run({"X": given})["predict"].tolist() == expected.tolist()
    assert run({"X": EMPTY})["predict"].shape == (0, *([2] if classes else []))


# --- LightGBM ------------------------------------------------------------------------------------------


def _train_lightgbm(path: Path, target: np.ndarray[Any, Any], **parameters: object) -> Any:
    rows = np.random.default_rng(2).random((60, 2)) * 6
    given = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 2, **parameters}
    LIGHTGBM.train(given, LIGHTGBM.Dataset(rows, target), 5).save_model(path)
    return LIGHTGBM.Booster(model_file=path)


@pytest.mark.parametrize("datatype", ["f2", "f4", "f8", "i1", "u2", "i8", "?"])
def test_lightgbm_predicts_what_its_booster_does(load: Load, tmp_path: Path, datatype: str) -> None:
    trained = _train_lightgbm(tmp_path / "m.txt", np.arange(60) % 3, objective="multiclass", num_class=3)
    run = load(["X"], ["predict"], **_model("lightgbm", "m.txt"))
    given = X.astype(datatype)
    result = run({"X": given})["predict"]
    assert result.dtype == np.float64
    assert result.tolist() == trained.predict(given.astype(np.float64)).tolist()
    assert run({"X": given[:0]})["predict"].shape == (0, 3)


def test_lightgbm_tells_large_whole_numbers_apart(load: Load, tmp_path: Path) -> None:
    """By float32, which it takes them for by itself, these two are one."""
    rows = np.array([[2**24], [2**24 + 1]] * 30)
    given = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 2}
    data = LIGHTGBM.Dataset(rows.astype(np.float64), np.arange(60) % 2)
    LIGHTGBM.train(given, data, 5).save_model(tmp_path / "m.txt")
    run = load(["X"], ["predict"], **_model("lightgbm", "m.txt"))
    first, second = run({"X": rows[:2].astype(np.int64)})["predict"].tolist()
    assert first < second


def test_a_lightgbm_model_that_is_none_does_not_load(load: Load, tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("a note")
    with pytest.raises(LoadError, match="node `n`: "):
        load(["X"], ["predict"], **_model("lightgbm", "m.txt"))


# --- The user's own Python -----------------------------------------------------------------------------


def _python(entry: str, path: str | None, **declares: Json) -> dict[str, object]:
    return {"kind": "python", "entry": entry, "path": path, "declares": declares}


def test_an_error_at_import_is_told_with_its_line(load: Load, tmp_path: Path) -> None:
    (tmp_path / "n").mkdir()
    (tmp_path / "n" / "steps.py").write_text(
        "import math\n\nLIMIT = math.nothing\n\ndef f(X):\n    return X\n"
    )
    with pytest.raises(LoadError, match=r"node `n`: AttributeError: .*`steps.py`, line 3") as caught:
        load(["X"], ["Y"], **_python("steps:f", "n"))
    assert "\n" not in str(caught.value)


FORMS: Final = """
async def later(x):
    return x

def parts(x):
    yield x

def other(x, y):
    return x

class Needy:
    def __init__(self, path):
        self.path = path

    def __call__(self, x):
        return x

class Mute:
    pass

class Late:
    async def __call__(self, x):
        return x

class Adder:
    def __init__(self):
        self.term = 1

    def __call__(self, x):
        return x + self.term
"""
"""Forms that the user's own code may have; the last is sound."""


def test_a_plain_class_is_made_once_and_called(load: Load, tmp_path: Path) -> None:
    (tmp_path / "forms.py").write_text(FORMS)
    run = load(["x"], ["y"], **_python("forms:Adder", "."))
    assert run({"x": X})["y"].tolist() == (X + 1).tolist()


LABELS: Json = {"datatype": "BYTES", "shape": ["batch"]}


def test_two_nodes_may_have_modules_of_the_same_name(
    tmp_path: Path, region: Callable[..., Region], node: Callable[..., Json]
) -> None:
    nodes: list[Json] = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "post.py").write_text(
            "import names\n\ndef label(x):\n    return [names.NAME] * len(x)\n"
        )
        (tmp_path / name / "names.py").write_text(f"NAME = {name!r}\n")
        nodes.append(
            node(name, {"x": "x"}, {"label": f"{name}.label"}, **_python("post:label", name, label=LABELS))
        )
    built = region(nodes, takes=["x: FP32[batch, 2]"])
    runners: dict[str, Runner] = {}
    for parsed in built.nodes:
        assert not isinstance(parsed, DecidingNode)
        runners[parsed.name] = asyncio.run(load_runner(parsed, _environment(tmp_path)))
    tensors = execute(built, runners, {"x": X}, Call())
    assert tensors["one.label"].tolist() == [b"one", b"one"]
    assert tensors["two.label"].tolist() == [b"two", b"two"]


def test_a_function_may_change_what_it_is_given(load: Load, tmp_path: Path) -> None:
    (tmp_path / "post.py").write_text("def f(x):\n    x += 1\n    return {'a': x, 'b': x.sum(axis=1)}\n")
    run = load(["x"], ["a", "b"], **_python("post:f", "."))
    given = X.copy()
    assert run({"x": given})["b"].tolist() == [3.0, 13.0]
    assert given.tolist() == X.tolist()


def test_an_entry_of_the_image_is_imported_by_its_name(load: Load) -> None:
    assert (
        load(["a"], ["output"], **_python("numpy:sort", None))({"a": -X})["output"].tolist()
        == np.sort(-X).tolist()
    )


@pytest.mark.parametrize(
    ("source", "declared", "message"),
    [
        ("x.astype('f8')", "FP32", "node `n` gave an output `y` that is FP64, not FP32, as declared"),
        (
            "x[:, :1]",
            "FP32",
            r"node `n` gave an output `y` that has shape \[2, 1\], not \[batch=2, 2\], as declared",
        ),
        ("1.0", "FP32", "node `n` gave an output `y` that has no dimensions; a V2 tensor has at least one"),
        ("None", "FP32", "node `n` gave nothing for its output `y`"),
        ("{'y': None}", "FP32", "node `n` gave nothing for its output `y`"),
        (
            "[[1.0], []]",
            "FP32",
            "node `n` gave an output `y` that is not an array: its rows differ in length",
        ),
        (
            "[object()]",
            "BYTES",
            "node `n` gave an output `y` that holds a value where text or bytes should be",
        ),
        ("{'z': x}", "FP32", "node `n` gave no output `y`; it gave `z`"),
        (
            "x.astype('c8')",
            "FP32",
            "node `n` gave an output `y` that has the numpy type `complex64`, which the V2 protocol lacks",
        ),
        ("x / nothing", "FP32", "node `n` failed: NameError: name 'nothing' is not defined"),
    ],
)
def test_an_output_that_is_not_as_declared_names_the_node(
    tmp_path: Path,
    region: Callable[..., Region],
    node: Callable[..., Json],
    source: str,
    declared: str,
    message: str,
) -> None:
    (tmp_path / "post.py").write_text(f"def f(x):\n    return {source}\n")
    fields = _python("post:f", ".", y={"datatype": declared, "shape": ["batch", 2]})
    built = region([node("n", {"x": "x"}, {"y": "n.y"}, **fields)], takes=["x: FP32[batch, 2]"])
    (parsed,) = built.nodes
    assert not isinstance(parsed, DecidingNode)
    runner = asyncio.run(load_runner(parsed, _environment(tmp_path)))
    with pytest.raises(RunError, match=f"^{message}$"):
        execute(built, {"n": runner}, {"x": X}, Call())


def test_bytes_keep_their_trailing_zeros(load: Load, tmp_path: Path) -> None:
    (tmp_path / "post.py").write_text("def f(x):\n    return [b'a\\0', 'é']\n")
    assert load(["x"], ["y"], **_python("post:f", "."))({"x": X})["y"].tolist() == [b"a\0", "é".encode()]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("post", "node `n`: `post` is not of the form `module:name`"),
        ("post:g", "node `n`: the module `post` has no `g`"),
        ("pots:f", "node `n`: ModuleNotFoundError"),
        ("post:f", "node `n`: `post:f` is neither a function nor an MLServer model"),
        ("broken:f", "node `n`: ZeroDivisionError: division by zero"),
        ("ends:f", "node `n`: SystemExit: 3"),
        ("forms:later", "node `n`: `forms:later` is asynchronous; a node is a plain function"),
        ("forms:parts", "node `n`: `forms:parts` yields; a node returns its outputs"),
        ("forms:other", "node `n`: `forms:other` does not take what the graph gives it, `x`: "),
        ("forms:Needy", "node `n`: `forms:Needy` is a class that cannot be made without arguments"),
        (
            "forms:Mute",
            "node `n`: `forms:Mute` is a class without `__call__`, and not one of MLServer's models",
        ),
        ("forms:Late", "node `n`: `forms:Late` is asynchronous; a node is a plain function"),
    ],
)
def test_an_entry_that_cannot_be_used_does_not_load(
    load: Load, tmp_path: Path, entry: str, message: str
) -> None:
    (tmp_path / "post.py").write_text("f = 1\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "ends.py").write_text("import sys\nsys.exit(3)\n")
    (tmp_path / "forms.py").write_text(FORMS)
    with pytest.raises(LoadError, match=f"^{message}"):
        load(["x"], ["y"], **_python(entry, "."))
