"""FastAPI by hand: the body decoded by json, no models of pydantic; run by uvicorn on uvloop and httptools."""

import json
import os
from pathlib import Path

import numpy as np
import uvicorn
from computation import load
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

compute = load(os.environ["CASE"], Path(os.environ["MODELS"]))
app = FastAPI()
DATATYPES = {"float32": "FP32", "int64": "INT64"}


@app.post("/v2/models/{name}/infer")
async def infer(name: str, request: Request) -> JSONResponse:
    """Answer a V2 request."""
    body = json.loads(await request.body())
    (tensor,) = body["inputs"]
    outputs = compute(np.array(tensor["data"], np.float32).reshape(tensor["shape"]))
    return JSONResponse(
        {
            "model_name": name,
            "outputs": [
                {
                    "name": key,
                    "datatype": DATATYPES[str(array.dtype)],
                    "shape": list(array.shape),
                    "data": array.ravel().tolist(),
                }
                for key, array in outputs.items()
            ],
        }
    )


uvicorn.run(
    app,
    host="127.0.0.1",
    port=int(os.environ["PORT"]),
    loop="uvloop",
    http="httptools",
    access_log=False,
    log_level="warning",
)
