"""The exported models of each example graph, run by their own libraries, answer as the originals did."""

import base64
import importlib.util
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol, cast

import joblib  # pyright: ignore[reportMissingTypeStubs]
import lightgbm
import numpy as np
import onnxruntime as ort  # pyright: ignore[reportMissingTypeStubs]
import pandas
import pytest
import xgboost
from numpy.typing import NDArray

Array = NDArray[np.generic]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Answer = Mapping[str, Array]

GRAPHS: Final = Path(__file__).parents[2] / "graphs"
FOLDERS: Final = sorted(path.parent for path in GRAPHS.glob("*/graph.yaml"))
DTYPES: Final = {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64, "BYTES": np.object_}
CONFIG_MAP_LIMIT: Final = 1_000_000
MODEL_LIMIT: Final = 300_000


class Classifier(Protocol):
    def predict(self, x: Array, /) -> Array: ...


class Port(Protocol):
    name: str
    type: str
    shape: list[int | str | None]


class Session(Protocol):
    def get_inputs(self) -> list[Port]: ...
    def get_outputs(self) -> list[Port]: ...
    def run(self, outputs: list[str], inputs: Mapping[str, Array], /) -> list[Array]: ...


def session(path: Path) -> Session:
    return cast("Session", ort.InferenceSession(path, providers=["CPUExecutionProvider"]))


def onnx(folder: Path, name: str, x: Array) -> dict[str, Array]:
    model = session(folder / f"models/{name}.onnx")
    names = [output.name for output in model.get_outputs()]
    return dict(zip(names, model.run(names, {"X": x}), strict=True))


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def words(*names: str) -> NDArray[np.object_]:
    return np.array([name.encode() for name in names], dtype=object)


def wine_average(folder: Path, x: Floats) -> Answer:
    scaled = onnx(folder, "scale", x)["scaled"]
    each = [
        onnx(folder, name, rows) for name, rows in (("linear", scaled), ("network", scaled), ("forest", x))
    ]
    mean = np.mean(np.stack([answer["probabilities"] for answer in each]).astype(np.float32), axis=0)
    return {"probabilities": mean, "cultivar": mean.argmax(axis=1)}


def cancer_vote(folder: Path, x: Floats) -> Answer:
    linear = cast("Classifier", joblib.load(folder / "models/linear.joblib"))  # pyright: ignore[reportUnknownMemberType]
    boosted = xgboost.Booster(model_file=folder / "models/boosted.ubj").predict(xgboost.DMatrix(x))
    bayes = onnx(folder, "bayes", x)["label"]
    votes = np.stack([linear.predict(x), boosted >= 0.5, bayes]).astype(np.int64)
    vote = (votes.sum(axis=0) >= 2).astype(np.int64)
    return {"vote": vote, "diagnosis": module(folder / "post.py").to_label(vote)}


def iris_cascade(folder: Path, x: Floats) -> Answer:
    small = cast("Floats", onnx(folder, "small", x)["probabilities"])
    large = cast("Floats", onnx(folder, "large", x)["probabilities"])
    probabilities = np.where(small.max(axis=1, keepdims=True) >= 0.9, small, large)
    species = words("setosa", "versicolor", "virginica")[probabilities.argmax(axis=1)]
    return {"probabilities": probabilities, "species": species}


def digits_image(folder: Path, image: NDArray[np.object_]) -> Answer:
    pixels = cast("NDArray[np.uint8]", module(folder / "decode.py").to_pixels(image))
    probabilities = onnx(folder, "network", (pixels / 255).astype(np.float32))["probabilities"]
    digits = words("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return {"probabilities": probabilities, "digit": digits[cast("Floats", probabilities).argmax(axis=1)]}


def diabetes_route(folder: Path, x: Floats) -> Answer:
    lean, heavy = (onnx(folder, name, x)["progression"] for name in ("lean", "heavy"))
    return {"progression": np.where(x[:, 2:3] < 28, lean, heavy)}


def diabetes_tier(folder: Path, x: Floats, tier: str = "") -> Answer:
    return onnx(folder, "thorough" if tier == "gold" else "quick", x)


def diabetes_range(folder: Path, x: NDArray[np.float64]) -> Answer:
    each = [
        lightgbm.Booster(model_file=folder / f"models/{name}.txt").predict(x)
        for name in ("low", "middle", "high")
    ]
    least, usual, most = np.sort(np.array(each), axis=0)
    return {"least": least, "usual": usual, "most": most}


def diabetes_table(folder: Path, **columns: Array) -> Answer:
    pipeline = cast("Classifier", joblib.load(folder / "models/progression.joblib"))  # pyright: ignore[reportUnknownMemberType]
    texts = {name: [each.decode() or math.nan for each in columns[name].tolist()] for name in ("sex", "ward")}
    return {"progression": pipeline.predict(cast("Array", pandas.DataFrame(columns | texts)))}


def cancer_rollout(folder: Path, x: Floats, predictor: str = "main") -> Answer:
    model = {"main": "linear", "canary": "refit", "forest": "forest"}[predictor]
    probabilities = cast("Floats", onnx(folder, model, x)["probabilities"])
    return {
        "probabilities": probabilities,
        "diagnosis": words("malignant", "benign")[probabilities.argmax(axis=1)],
    }


def wine_class(folder: Path, x: Floats) -> Answer:
    numbers = {name: np.array(each) for name, each in json.loads((folder / "bayes.json").read_text()).items()}
    likely = np.exp(-((x[:, None] - numbers["mean"]) ** 2) / (2 * numbers["variance"])) / np.sqrt(
        2 * np.pi * numbers["variance"]
    )
    joint = numbers["prior"] * likely.prod(axis=2)
    mean = (onnx(folder, "linear", x)["probabilities"] + joint / joint.sum(axis=1, keepdims=True)) / 2
    return {"probabilities": mean.astype(np.float32), "cultivar": mean.argmax(axis=1)}


BY_HAND: Final[Mapping[str, Callable[..., Answer]]] = {
    "wine-average": wine_average,
    "wine-class": wine_class,
    "cancer-vote": cancer_vote,
    "iris-cascade": iris_cascade,
    "digits-image": digits_image,
    "diabetes-route": diabetes_route,
    "diabetes-tier": diabetes_tier,
    "cancer-rollout": cancer_rollout,
    "diabetes-range": diabetes_range,
    "diabetes-table": diabetes_table,
}


def read(tensor: Mapping[str, Any]) -> Array:
    data = tensor["data"]
    if tensor["datatype"] == "BYTES":
        binary = tensor.get("parameters", {}).get("content_type") == "base64"
        data = [base64.b64decode(item) if binary else item.encode() for item in data]
    return np.array(data, dtype=DTYPES[tensor["datatype"]]).reshape(tensor["shape"])


def assert_answers(
    folder: Path, request: Mapping[str, Any], expected: Mapping[str, Any], **asked: Any
) -> None:
    inputs = {tensor["name"]: read(tensor) for tensor in request["inputs"]}
    answer = BY_HAND[folder.name](folder, **inputs, **request.get("parameters", {}), **asked)
    assert set(answer) == {tensor["name"] for tensor in expected["outputs"]}
    for tensor in expected["outputs"]:
        assert_same(answer[tensor["name"]], read(tensor))


def assert_same(got: Array, wanted: Array) -> None:
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    if wanted.dtype.kind == "f":
        np.testing.assert_allclose(cast("Floats", got), cast("Floats", wanted), rtol=1e-5, atol=1e-5)
    else:
        np.testing.assert_array_equal(got, wanted)


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def test_every_graph_has_its_evaluation_by_hand() -> None:
    assert sorted(BY_HAND) == [folder.name for folder in FOLDERS]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_request_gives_the_expected_answer(folder: Path) -> None:
    assert_answers(folder, load(folder / "request.json"), load(folder / "expected.json"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_cases_give_their_expected_answers(folder: Path) -> None:
    cases = load(folder / "cases.json")
    rows = [case["request"]["inputs"][0]["shape"][0] for case in cases]
    assert max(rows) >= 30
    for case in cases:
        asked = {"predictor": case["predictor"]} if "predictor" in case else {}
        assert_answers(folder, case["request"], case["expected"], **asked)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_graph_fits_a_config_map(folder: Path) -> None:
    sizes = {path.name: path.stat().st_size for path in folder.glob("models/*")}
    assert sizes
    assert max(sizes.values()) < MODEL_LIMIT
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < CONFIG_MAP_LIMIT


@pytest.mark.parametrize(
    "path", sorted(GRAPHS.glob("*/models/*.onnx")), ids=lambda path: f"{path.parts[-3]}-{path.stem}"
)
def test_onnx_models_take_batches_of_x_in_fp32(path: Path) -> None:
    model = session(path)
    (x,) = model.get_inputs()
    assert (x.name, x.type, x.shape[0]) == ("X", "tensor(float)", "batch")
    assert all(output.shape[0] == "batch" for output in model.get_outputs())


def test_images_are_the_digits_that_they_are_named_after() -> None:
    folder = GRAPHS / "digits-image"
    files = sorted(folder.glob("images/*.png"))
    answer = digits_image(folder, np.array([path.read_bytes() for path in files], dtype=object))
    assert [label.decode() for label in answer["digit"].tolist()] == [path.stem for path in files]
