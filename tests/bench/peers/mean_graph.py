"""The graph that every peer serves, by hand: a scaler, three models that read it, and their mean."""
# pyright: reportMissingTypeStubs=false

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

# It says little of its types.
ort: Any = onnxruntime

MODELS = ("first", "second", "third")


def load(path: Path) -> Any:
    """Open a model with one thread: these are too small for more, and requests are what runs side by side."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class MeanGraph:
    """All four models in one process."""

    def __init__(self, folder: Path) -> None:
        self.scale = load(folder / "scale.onnx")
        self.models = [load(folder / f"{name}.onnx") for name in MODELS]

    def __call__(self, x: Any) -> Any:
        """Return the mean of the models' probabilities."""
        (scaled,) = self.scale.run(["scaled"], {"X": x})
        found = [model.run(["probabilities"], {"X": scaled})[0] for model in self.models]
        return np.mean(found, axis=0)
