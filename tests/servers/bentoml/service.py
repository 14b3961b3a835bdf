"""A service with APIs of each form that a graph asks, and those that fail."""

import asyncio
import os
from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import DType, Shape


@bentoml.service(traffic={"timeout": 1})
class Scorer:
    @bentoml.api
    def total(self, x: np.ndarray) -> np.ndarray:
        return x.astype(np.float32).sum(axis=1, keepdims=True)

    @bentoml.api(route="/v1/shout")
    def shout(self, texts: list[str]) -> list[str]:
        return [text.upper() for text in texts]

    @bentoml.api
    def scaled(self, x: np.ndarray, factor: np.ndarray) -> dict:
        return {"y": (x * factor).tolist(), "count": len(x)}

    @bentoml.api(batchable=True)
    def doubled(self, x: np.ndarray) -> np.ndarray:
        return x * 2

    @bentoml.api
    def typed(self, x: Annotated[np.ndarray, Shape((2, 2)), DType("float32")]) -> np.ndarray:
        return x

    @bentoml.api
    def gaps(self, x: np.ndarray) -> np.ndarray:
        return np.where(x > 1, np.nan, x)

    @bentoml.api
    def refuse(self, x: np.ndarray) -> np.ndarray:
        raise bentoml.exceptions.InvalidArgument("x has to be positive")

    @bentoml.api
    def fail(self, x: np.ndarray) -> np.ndarray:
        raise ValueError("known to the server's log alone")

    @bentoml.api
    async def wait(self, x: np.ndarray) -> np.ndarray:
        await asyncio.sleep(30)
        return x

    @bentoml.api
    def die(self, x: np.ndarray) -> np.ndarray:
        os._exit(3)

    @bentoml.api
    def page(self, x: np.ndarray) -> str:
        return "<html>"
