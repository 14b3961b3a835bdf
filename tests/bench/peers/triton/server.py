"""Triton, by PyTriton: one model in Python that does it all."""

import logging
import sys
from pathlib import Path

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

sys.path.append(str(Path(__file__).parents[1]))
from mean_graph import MeanGraph

port, folder = int(sys.argv[1]), Path(sys.argv[2])
logging.disable(logging.INFO)
graph = MeanGraph(folder)
shape = tuple(dim if isinstance(dim, int) else -1 for dim in graph.scale.get_inputs()[0].shape[1:])


@batch
def infer(x):
    return {"y": graph(x)}


config = TritonConfig(
    http_port=port, grpc_port=int(sys.argv[3]), metrics_port=int(sys.argv[4]), log_verbose=0
)
with Triton(config=config) as triton:
    triton.bind(
        model_name="mean",
        infer_func=infer,
        inputs=[Tensor(name="x", dtype=np.float32, shape=shape)],
        outputs=[Tensor(name="y", dtype=np.float32, shape=(-1,))],
        config=ModelConfig(max_batch_size=128),
    )
    triton.serve()
