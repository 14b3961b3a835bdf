"""The services that BentoML serves."""

import asyncio
import os
from pathlib import Path

import bentoml
import numpy as np
from mean_graph import load

MODELS = Path(os.environ["PEER_MODELS"])


@bentoml.service
class Scale:
    def __init__(self) -> None:
        self.session = load(MODELS / "scale.onnx")

    @bentoml.api
    def run(self, x: np.ndarray) -> np.ndarray:
        return self.session.run(["scaled"], {"X": x.astype(np.float32)})[0]


class _Model:
    name = ""

    def __init__(self) -> None:
        self.session = load(MODELS / f"{self.name}.onnx")


@bentoml.service
class First(_Model):
    name = "first"

    @bentoml.api
    def run(self, x: np.ndarray) -> np.ndarray:
        return self.session.run(["probabilities"], {"X": x.astype(np.float32)})[0]


@bentoml.service
class Second(_Model):
    name = "second"

    @bentoml.api
    def run(self, x: np.ndarray) -> np.ndarray:
        return self.session.run(["probabilities"], {"X": x.astype(np.float32)})[0]


@bentoml.service
class Third(_Model):
    name = "third"

    @bentoml.api
    def run(self, x: np.ndarray) -> np.ndarray:
        return self.session.run(["probabilities"], {"X": x.astype(np.float32)})[0]


@bentoml.service
class Mean:
    scale = bentoml.depends(Scale)
    first = bentoml.depends(First)
    second = bentoml.depends(Second)
    third = bentoml.depends(Third)

    @bentoml.api
    async def infer(self, shape: list[int], data: list[float]) -> dict:
        x = np.array(data, np.float32).reshape(shape)
        scaled = await self.scale.to_async.run(x)
        models = (self.first, self.second, self.third)
        y = np.mean(await asyncio.gather(*(model.to_async.run(scaled) for model in models)), axis=0)
        return {"shape": list(y.shape), "data": y.ravel().tolist()}
