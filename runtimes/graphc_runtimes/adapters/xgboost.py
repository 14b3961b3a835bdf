"""Runs an XGBoost model: the one module that talks to xgboost."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import json
from collections.abc import Callable, Mapping
from typing import Protocol, cast

import numpy as np
import xgboost
from graphc_components.datatypes import Array

from graphc_runtimes.adapters.artifact import find_file
from graphc_runtimes.adapters.batch import over_rows
from graphc_runtimes.arrays import as_tensor
from graphc_runtimes.devices import has_gpu, note_fallback
from graphc_runtimes.environment import Environment
from graphc_runtimes.errors import LoadError
from graphc_runtimes.execute import Runner
from graphc_runtimes.region import ModelNode


class _Booster(Protocol):
    def attr(self, key: str) -> str | None: ...

    def set_param(self, params: Mapping[str, object]) -> None: ...

    def save_config(self) -> str: ...

    def inplace_predict(self, data: Array, *, iteration_range: tuple[int, int]) -> object: ...

    def predict(self, data: object, *, validate_features: bool) -> object: ...


def _choose_device(environment: Environment) -> str:
    is_built = xgboost.build_info().get("USE_CUDA") is True
    if environment.device == "cpu":
        return "cpu"
    if not environment.is_preferred:
        if not is_built:
            asked = environment.device
            raise LoadError(f"GRAPHC_DEVICE asks for `{asked}`, and this XGBoost was built without CUDA")
        return "cuda"
    # Without a device XGBoost would go on with the CPU too, and only print it.
    if is_built and has_gpu():
        return "cuda"
    note_fallback(
        environment,
        "the container has no NVIDIA device" if is_built else "this XGBoost was built without CUDA",
    )
    return "cpu"


def load_xgboost(node: ModelNode, environment: Environment) -> Runner:
    """Return the runner of a booster; its input is `X`, its output `predict` (FP32). Raises LoadError.

    A model that was stopped early uses the trees up to its best iteration, as XGBoost's own estimators do.
    """
    if list(node.inputs) != ["X"] or list(node.outputs) != ["predict"]:
        raise LoadError("an XGBoost model takes `X` and gives `predict`")
    device = _choose_device(environment)
    path = find_file(node.path, environment, (".ubj", ".json"))
    booster = cast("_Booster", xgboost.Booster(model_file=path))
    booster.set_param({"device": device})
    if environment.threads is not None:
        booster.set_param({"nthread": environment.threads})
    predict = _linear(booster, environment) if _is_linear(booster) else _trees(booster)

    def run(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        return {"predict": over_rows(predict, inputs["X"])}

    return run


def _is_linear(booster: _Booster) -> bool:
    return json.loads(booster.save_config())["learner"]["gradient_booster"]["name"] == "gblinear"


def _trees(booster: _Booster) -> Callable[[Array], Array]:
    best = booster.attr("best_iteration")
    trees = (0, int(best) + 1 if best else 0)

    def predict(rows: Array) -> Array:
        return as_tensor(booster.inplace_predict(rows, iteration_range=trees)).astype(np.float32, copy=False)

    return predict


def _linear(booster: _Booster, environment: Environment) -> Callable[[Array], Array]:
    """Return what asks a linear booster, which has no prediction in place, and no iterations to choose from."""

    def predict(rows: Array) -> Array:
        # The graph has matched the columns; names of theirs, which the model may have, do not travel.
        data = xgboost.DMatrix(rows, nthread=environment.threads)
        return as_tensor(booster.predict(data, validate_features=False)).astype(np.float32, copy=False)

    return predict
