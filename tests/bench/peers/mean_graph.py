"""The graph that every peer serves, by hand: a scaler, three models that read it, and their mean."""

from pathlib import Path

import numpy as np
import onnxruntime as ort

MODELS = ("first", "second", "third")


def load(path: Path) -> ort.InferenceSession:
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

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the mean of the models' probabilities."""
        (scaled,) = self.scale.run(["scaled"], {"X": x})
        found = [model.run(["probabilities"], {"X": scaled})[0] for model in self.models]
        return np.mean(found, axis=0)
