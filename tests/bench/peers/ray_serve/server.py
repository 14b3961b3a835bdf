"""Ray Serve: a deployment for each model and one that composes them by their handles, as its documentation does."""

import asyncio
import os
import sys
import time
from pathlib import Path

# Else, where `uv run` started all this, Ray's workers start by it too, in that environment and not in this one.
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"

import numpy as np
import ray
from ray import serve

HERE = str(Path(__file__).parents[1])
sys.path.append(HERE)
from mean_graph import MODELS, load  # noqa: E402


@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Model:
    def __init__(self, path: str, output: str) -> None:
        self.session, self.output = load(Path(path)), output

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.session.run([self.output], {"X": x})[0]


@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Mean:
    def __init__(self, scale, *models) -> None:
        self.scale, self.models = scale, models

    async def __call__(self, request):
        body = await request.json()
        x = np.array(body["data"], np.float32).reshape(body["shape"])
        scaled = self.scale.remote(x)
        y = np.mean(await asyncio.gather(*(model.remote(scaled) for model in self.models)), axis=0)
        return {"shape": list(y.shape), "data": y.ravel().tolist()}


if __name__ == "__main__":
    port, folder = int(sys.argv[1]), Path(sys.argv[2]).resolve()
    # On a busy machine its own patience is too short.
    os.environ["RAY_raylet_start_wait_time_s"] = "120"  # noqa: SIM112
    ray.init(include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": HERE}}, log_to_driver=False)
    serve.start(http_options={"port": port})
    parts = [Model.options(name="scale").bind(str(folder / "scale.onnx"), "scaled")]
    parts += [Model.options(name=each).bind(str(folder / f"{each}.onnx"), "probabilities") for each in MODELS]
    serve.run(Mean.bind(*parts), route_prefix="/infer")
    while True:
        time.sleep(60)
