"""What one writes by hand: FastAPI with a typed body, the models called in the handler."""

import sys
from pathlib import Path

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

sys.path.append(str(Path(__file__).parents[1]))
from mean_graph import MeanGraph

port, folder = int(sys.argv[1]), Path(sys.argv[2])
graph = MeanGraph(folder)
application = FastAPI()


class Tensor(BaseModel):
    shape: list[int]
    data: list[float]


@application.post("/infer")
async def infer(request: Tensor) -> Tensor:
    y = graph(np.array(request.data, np.float32).reshape(request.shape))
    return Tensor(shape=list(y.shape), data=y.ravel().tolist())


uvicorn.run(application, port=port, log_level="warning", access_log=False)
