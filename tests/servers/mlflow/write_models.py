"""Writes models with MLflow, in its own environment: `python write_models.py FOLDER`."""

import json
import sys
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.types.schema import Schema, TensorSpec
from sklearn.linear_model import LinearRegression

warnings.simplefilter("ignore")


class Twice(mlflow.pyfunc.PythonModel):
    """Doubles a named tensor and sums its rows."""

    def predict(self, context, model_input, params=None):
        """Answer with two named tensors."""
        return {"double": model_input["x"] * 2, "sum": model_input["x"].sum(axis=1)}


def write(folder: Path, name: str, save, **more) -> None:
    """Save a model with the settings for MLServer beside it."""
    save(path=str(folder / name / "model"), pip_requirements=[], **more)
    settings = {
        "name": name,
        "implementation": "mlserver_mlflow.MLflowRuntime",
        "parameters": {"uri": "./model"},
    }
    (folder / name / "model-settings.json").write_text(json.dumps(settings))


def main() -> None:
    """Write a model of columns, one of a tensor without a name, and one of named tensors."""
    folder = Path(sys.argv[1])
    rows = np.arange(12.0).reshape(4, 3)
    frame = pd.DataFrame(rows, columns=list("abc"))
    for name, given in (("columns", frame), ("unnamed", rows)):
        model = LinearRegression().fit(given, rows.sum(axis=1))
        signature = infer_signature(given, model.predict(given))
        write(folder, name, mlflow.sklearn.save_model, sk_model=model, signature=signature)
    x, double = (TensorSpec(np.dtype("float32"), (-1, 3), name) for name in ("x", "double"))
    signature = ModelSignature(Schema([x]), Schema([double, TensorSpec(np.dtype("float32"), (-1,), "sum")]))
    write(folder, "named", mlflow.pyfunc.save_model, python_model=Twice(), signature=signature)


if __name__ == "__main__":
    main()
