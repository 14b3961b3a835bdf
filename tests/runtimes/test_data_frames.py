"""Tensors as the columns of a data frame: kinds, order, missing values, batches of any length."""

import importlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from graphc_runtimes.adapters.frames import FrameReader
from graphc_runtimes.adapters.sklearn import load_sklearn
from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.environment import Environment
from graphc_runtimes.errors import LoadError
from graphc_runtimes.execute import Runner
from graphc_runtimes.region import ModelNode, Read

# scikit-learn, joblib and pandas carry no types that are of use here.
JOBLIB: Final[Any] = importlib.import_module("joblib")
PANDAS: Final[Any] = importlib.import_module("pandas")
COMPOSE: Final[Any] = importlib.import_module("sklearn.compose")
IMPUTE: Final[Any] = importlib.import_module("sklearn.impute")
LINEAR: Final[Any] = importlib.import_module("sklearn.linear_model")
PIPELINE: Final[Any] = importlib.import_module("sklearn.pipeline")
PREPROCESSING: Final[Any] = importlib.import_module("sklearn.preprocessing")

FRAME: Final[Any] = PANDAS.DataFrame(
    {
        "age": [20.0, np.nan, 40.0, 50.0],
        "job": np.array(["cook", "smith", np.nan, "cook"], dtype=object),
        "count": [1, 2, 3, 4],
        "id": [9, 8, 7, 6],
    }
)


def fitted() -> Any:
    numbers = PIPELINE.make_pipeline(IMPUTE.SimpleImputer(), PREPROCESSING.StandardScaler())
    words = PIPELINE.make_pipeline(
        IMPUTE.SimpleImputer(strategy="constant", fill_value="?"), PREPROCESSING.OneHotEncoder()
    )
    parts = COMPOSE.ColumnTransformer([("numbers", numbers, ["age", "count"]), ("words", words, ["job"])])
    return PIPELINE.make_pipeline(parts, LINEAR.LinearRegression()).fit(FRAME, [1.0, 2.0, 3.0, 5.0])


def load(model: object, folder: Path, *names: str) -> Runner:
    JOBLIB.dump(model, folder / "m.joblib")
    inputs = {name: Read(name) for name in names}
    node = ModelNode(
        kind="model", name="m", framework="sklearn", path="m.joblib", inputs=inputs, outputs={"predict": "y"}
    )
    return load_sklearn(node, Environment("", None, folder, "cpu", 1))


def words(*texts: str) -> np.ndarray[Any, np.dtype[Any]]:
    made = np.empty(len(texts), dtype=object)
    made[:] = [each.encode() for each in texts]
    return made


def test_a_pipeline_answers_as_it_does_for_its_own_table(tmp_path: Path) -> None:
    model = fitted()
    run = load(model, tmp_path, "job", "count", "age")
    given = {
        "job": words("cook", "smith", "", "cook"),
        "count": np.array([[1], [2], [3], [4]]),
        "age": np.array([20, np.nan, 40, 50], np.float32),
    }
    answer = run(given)["predict"]
    assert answer.dtype == np.float64
    np.testing.assert_array_equal(answer, model.predict(FRAME))


def test_a_batch_without_rows_is_answered_without_rows(tmp_path: Path) -> None:
    run = load(fitted(), tmp_path, "age", "job", "count")
    given = {"age": np.zeros(0, np.float32), "job": words(), "count": np.zeros(0, np.int64)}
    assert run(given)["predict"].shape == (0,)


def test_one_column_called_x_is_a_column(tmp_path: Path) -> None:
    model = LINEAR.LinearRegression().fit(PANDAS.DataFrame({"X": [1.0, 2.0]}), [1.0, 2.0])
    assert load(model, tmp_path, "X")({"X": np.array([3.0])})["predict"].tolist() == pytest.approx([3.0])


def test_numbers_fitted_on_a_table_may_come_as_one_tensor(tmp_path: Path) -> None:
    frame = FRAME[["count", "id"]]
    model = LINEAR.LinearRegression().fit(frame, [1.0, 2.0, 3.0, 5.0])
    by_column = load(model, tmp_path, "id", "count")(
        {"count": frame["count"].to_numpy(), "id": frame["id"].to_numpy()}
    )
    assert by_column["predict"].tolist() == model.predict(frame).tolist()


@pytest.mark.parametrize(
    ("names", "columns", "message"),
    [
        (["age", "jobs"], ["age", "job"], "the estimator was fitted on no column `jobs`"),
        (["age"], [], "the estimator was fitted on an array: it takes one input, `X`"),
    ],
)
def test_columns_that_are_not_the_estimators_do_not_load(
    names: list[str], columns: list[str], message: str
) -> None:
    with pytest.raises(LoadError, match=f"^{message}$"):
        FrameReader(dict.fromkeys(names), columns)


def test_columns_that_disagree_are_refused() -> None:
    reader = FrameReader({"a": 1, "b": 1}, ["a", "b"])
    with pytest.raises(ArrayError, match="has columns of different lengths"):
        reader.count({"a": np.zeros(1), "b": np.zeros(2)})
    with pytest.raises(ArrayError, match="takes one value a row as `b`"):
        reader.read({"a": np.zeros(2), "b": np.zeros((2, 3))})


def test_kinds_stay_as_they_are() -> None:
    given = {
        "i": np.array([1, 2]),
        "b": np.array([True, False]),
        "t": words("x", ""),
        "f": np.array([1.5, np.nan]),
    }
    frame = FrameReader(given, list("tfib")).read(given)
    assert list(frame.columns) == list("tfib")
    assert [frame[name].dtype.kind for name in "ibf"] == ["i", "b", "f"]
    assert frame["t"].tolist()[0] == "x"
    assert frame["t"].isna().tolist() == [False, True]
