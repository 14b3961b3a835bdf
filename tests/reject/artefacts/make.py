"""Writes the artefacts of this case: `python tests/reject/artefacts/make.py`."""

import importlib
import pickle
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper

# scikit-learn and pandas carry no types.
COMPOSE: Final[Any] = importlib.import_module("sklearn.compose")
LINEAR: Final[Any] = importlib.import_module("sklearn.linear_model")
PANDAS: Final[Any] = importlib.import_module("pandas")
PIPELINE: Final[Any] = importlib.import_module("sklearn.pipeline")
PREPROCESSING: Final[Any] = importlib.import_module("sklearn.preprocessing")

HERE: Final = Path(__file__).parent


def make_onnx() -> onnx.ModelProto:
    """A model with outputs that are of an unknown shape, and a sequence."""
    row = helper.make_tensor_value_info("X", TensorProto.FLOAT, ["N", 4])
    loose = helper.make_tensor_value_info("loose", TensorProto.FLOAT, None)
    rows = helper.make_tensor_sequence_value_info("rows", TensorProto.FLOAT, None)
    nodes = [
        helper.make_node("Identity", ["X"], ["loose"]),
        helper.make_node("SplitToSequence", ["X"], ["rows"]),
    ]
    graph = helper.make_graph(nodes, "odd", [row], [loose, rows])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def make_columns() -> Any:
    """A pipeline that selects the columns of a table by name."""
    table = PANDAS.DataFrame({"size": [0.0, 1.0], "colour": ["red", "blue"], "c": [0, 1], "d": [0, 1]})
    chosen = COMPOSE.ColumnTransformer(
        [
            ("scale", PREPROCESSING.StandardScaler(), ["size"]),
            ("encode", PREPROCESSING.OneHotEncoder(), ["colour"]),
        ]
    )
    return PIPELINE.make_pipeline(chosen, LINEAR.LinearRegression()).fit(table, [0.0, 1.0])


def main() -> None:
    """Write them all."""
    (HERE / "odd.onnx").write_bytes(make_onnx().SerializeToString())
    (HERE / "text.onnx").write_text("not a model\n")
    fitted = pickle.dumps(LINEAR.LinearRegression().fit(np.eye(4), np.arange(4)))
    (HERE / "cut.joblib").write_bytes(fitted[: len(fitted) // 2])
    (HERE / "unfitted.joblib").write_bytes(pickle.dumps(LINEAR.LinearRegression()))
    (HERE / "columns.joblib").write_bytes(pickle.dumps(make_columns()))
    # Pickle's text form: objects of a class that graphc does not know, and of one that only its author has.
    (HERE / "own.pkl").write_bytes(b"(ilightgbm.sklearn\nLGBMRanker\n.")
    (HERE / "theirs.pkl").write_bytes(b"(iriskteam.models\nScore\n.")
    (HERE / "script.pkl").write_bytes(b"(i__main__\nScore\n.")
    state = b"(dV_sklearn_version\nV1.3.2\nsVn_outputs_\nI1\nsb."
    (HERE / "older.pkl").write_bytes(b"csklearn.tree._classes\nDecisionTreeRegressor\n)R" + state)


if __name__ == "__main__":
    main()
