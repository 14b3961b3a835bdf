"""Runs a LightGBM model in LightGBM's own format: the one module that talks to lightgbm."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from collections.abc import Mapping
from typing import Protocol, cast

import lightgbm
import numpy as np
from graphc_components.datatypes import Array

from graphc_runtimes.adapters.artifact import find_file
from graphc_runtimes.adapters.batch import over_rows
from graphc_runtimes.arrays import as_tensor
from graphc_runtimes.environment import Environment
from graphc_runtimes.errors import LoadError
from graphc_runtimes.execute import Runner
from graphc_runtimes.region import ModelNode


class _Booster(Protocol):
    def predict(self, data: Array, *, num_threads: int) -> object: ...


def load_lightgbm(node: ModelNode, environment: Environment) -> Runner:
    """Return the runner of a booster; its input is `X`, its output `predict` (FP64). Raises LoadError.

    LightGBM computes on the CPU, even if a GPU is asked for. A file holds the trees up to the best iteration only.
    """
    if list(node.inputs) != ["X"] or list(node.outputs) != ["predict"]:
        raise LoadError("a LightGBM model takes `X` and gives `predict`")
    path = find_file(node.path, environment, (".txt",))
    booster = cast("_Booster", lightgbm.Booster(model_file=path))
    threads = environment.threads or 0

    def predict(rows: Array) -> Array:
        return as_tensor(booster.predict(_features(rows), num_threads=threads)).astype(np.float64, copy=False)

    def run(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        return {"predict": over_rows(predict, inputs["X"])}

    return run


def _features(rows: Array) -> Array:
    # LightGBM takes whole numbers for float32, which does not hold them all.
    is_taken = rows.dtype.kind == "f" and rows.dtype.itemsize >= 4
    return rows if is_taken else rows.astype(np.float64)
