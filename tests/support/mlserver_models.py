"""Models of LightGBM and scikit-learn for a real MLServer, and one that is slow to load and ends its server."""

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import joblib  # pyright: ignore[reportMissingTypeStubs]
import lightgbm
import numpy as np
from graphc.server_start import start_server
from real_servers import RealServer, environment, serve
from sklearn.linear_model import LogisticRegression  # pyright: ignore[reportMissingTypeStubs]

RANDOM: Final = np.random.default_rng(3)
ROWS: Final = RANDOM.normal(size=(60, 3))
LABELS: Final = (ROWS.sum(axis=1) > 0).astype(np.int64)
X: Final = ROWS[:4].astype(np.float32)
SLOW: Final = """
import asyncio, os
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse

class Slow(MLModel):
    async def load(self) -> bool:
        await asyncio.sleep(2)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        os._exit(9)
"""


def settings(name: str, runtime: str, file: str | None, **more: Any) -> str:
    parameters = {} if file is None else {"parameters": {"uri": f"./{file}"}}
    return json.dumps({"name": name, "implementation": runtime, **parameters, **more})


def write_models(folder: Path) -> tuple[Any, Any]:
    train: Any = getattr(lightgbm, "train")  # noqa: B009 (it is typed in part)
    boosted = train(
        {"objective": "binary", "num_leaves": 4, "verbose": -1, "min_data_in_leaf": 2},
        lightgbm.Dataset(ROWS, LABELS), 5,
    )  # fmt: skip
    linear: Any = LogisticRegression()
    linear.fit(ROWS, LABELS)
    for name in ("boosted", "linear", "slow"):
        (folder / name).mkdir(parents=True)
    boosted.save_model(folder / "boosted" / "model.bst")
    dump: Any = getattr(joblib, "dump")  # noqa: B009 (it is typed in part)
    dump(linear, folder / "linear" / "model.joblib")
    (folder / "boosted" / "model-settings.json").write_text(
        settings("boosted", "mlserver_lightgbm.LightGBMModel", "model.bst")
    )
    (folder / "linear" / "model-settings.json").write_text(
        settings("linear", "mlserver_sklearn.SKLearnModel", "model.joblib")
    )
    (folder / "slow" / "slowly.py").write_text(SLOW)
    (folder / "slow" / "model-settings.json").write_text(settings("slow", "slowly.Slow", None))
    return boosted, linear


def run_models(folder: Path) -> AbstractContextManager[RealServer]:
    bin_folder = environment("mlserver") / "bin"
    return serve(
        lambda ports: start_server("mlserver", ports, str(folder)),
        bin_folder,
        folder.parent,
        "/v2/health/ready",
    )
