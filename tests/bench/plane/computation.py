"""The examples' computation by hand, as the peers run it: onnxruntime and numpy, nothing else."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

Arrays = Mapping[str, Any]


def load(case: str, folder: Path) -> Callable[[Any], Arrays]:
    """Return the computation of a case over its one input."""
    return _wine(folder) if case.startswith("wine") else _image(folder)


def _open(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    threads = os.environ.get("GRAPHC_THREADS")
    if threads:
        options.intra_op_num_threads = int(threads)
        options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _wine(folder: Path) -> Callable[[Any], Arrays]:
    scale, linear, network, forest = (
        _open(folder / f"{name}.onnx") for name in ("scale", "linear", "network", "forest")
    )

    def compute(x: Any) -> Arrays:
        (scaled,) = scale.run(["scaled"], {"X": x})
        (first,) = linear.run(["probabilities"], {"X": scaled})
        (second,) = network.run(["probabilities"], {"X": scaled})
        (third,) = forest.run(["probabilities"], {"X": x})
        probabilities = np.mean([first, second, third], axis=0)
        return {"probabilities": probabilities, "cultivar": probabilities.argmax(axis=-1)}

    return compute


def _image(folder: Path) -> Callable[[Any], Arrays]:
    model = _open(folder / "image.onnx")
    return lambda x: {"probabilities": model.run(["probabilities"], {"X": x})[0]}
