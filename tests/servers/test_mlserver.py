"""The real MLServer with the runtimes of LightGBM and scikit-learn, beside a unit of graphc."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from graphc_components.datatypes import Array
from graphc_runtimes.errors import ServerFaultError
from mlserver_models import X, run_models, write_models
from real_servers import RealServer, asking, run_beside, same

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    folder = tmp_path_factory.mktemp("mlserver") / "models"
    return folder, *write_models(folder)


@pytest.fixture(scope="module")
def server(models: tuple[Path, Any, Any]) -> Iterator[RealServer]:
    with run_models(models[0]) as it:
        yield it


def test_models_of_both_runtimes_answer_as_their_libraries(
    server: RealServer, models: tuple[Path, Any, Any]
) -> None:
    _, boosted, linear = models

    def ask(model: str, out: dict[str, str], x: Array) -> Array:
        run = asking("mlserver", server.url, ["x"], out, model=model)
        return run({"x": x})[next(iter(out))]

    same(ask("boosted", {"predict": "FP64[batch, 1]"}, X), np.asarray(boosted.predict(X))[:, None], "float64")
    same(ask("linear", {"predict": "INT64[batch, 1]"}, X), linear.predict(X)[:, None], "int64")
    same(ask("linear", {"predict_proba": "FP64[batch, 2]"}, X), linear.predict_proba(X), "float64")


@pytest.mark.parametrize(
    ("model", "x", "out", "said"),
    [
        ("nobody", X, "predict", r"answered 404: Model nobody not found"),
        ("boosted", X[:, :2], "predict", r"answered [45]\d\d: "),
        ("linear", X[:, :2], "predict", r"answered [45]\d\d: .*2 features"),
        ("linear", X, "nothing", r"(answered [45]\d\d: |gave no output `nothing`)"),
    ],
)
def test_a_fault_is_told_in_the_servers_words_and_the_next_request_served(
    server: RealServer, model: str, x: Array, out: str, said: str
) -> None:
    with pytest.raises(ServerFaultError, match=r"\(MLServer\) " + said):
        asking("mlserver", server.url, ["x"], {out: "FP64[batch, 1]"}, model=model)({"x": x})
    run = asking("mlserver", server.url, ["x"], {"predict": "INT64[batch, 1]"}, model="linear")
    assert run({"x": X})["predict"].shape == (4, 1)


GRAPH: Final = """
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: mixed}
inputs: {x: "FP32[batch, 3]"}
servers:
  own: {kind: mlserver, image: "registry.example.com/mlserver:1", models: models}
nodes:
  boosted: {server: own, in: {x: x}, out: {predict: "FP64[batch, 1]"}}
  linear: {server: own, in: {x: x}, out: {predict: "INT64[batch, 1]"}}
outputs: {boosted: boosted, linear: linear}
"""


def test_graphc_runs_both_runtimes_beside_a_unit(models: tuple[Path, Any, Any], tmp_path: Path) -> None:
    folder, boosted, linear = models
    shutil.copytree(folder, tmp_path / "models")
    shutil.rmtree(tmp_path / "models" / "slow")
    found = run_beside(tmp_path, GRAPH, "mlserver", f"x={json.dumps(X.tolist())}")
    np.testing.assert_allclose(found["boosted"], boosted.predict(X), rtol=1e-6)
    assert found["linear"] == linear.predict(X).tolist()


def test_a_server_that_dies_during_a_request_is_told(models: tuple[Path, Any, Any]) -> None:
    with run_models(models[0]) as server:
        run = asking("mlserver", server.url, ["x"], {"predict": "INT64[batch, 1]"}, model="linear")
        assert run({"x": X})["predict"].shape == (4, 1)
        dying = asking("mlserver", server.url, ["x"], {"predict": "INT64[batch, 1]"}, model="slow")
        with pytest.raises(ServerFaultError, match=r"\(MLServer\) closed the connection before its answer"):
            dying({"x": X})
        server.process.wait(30)
        with pytest.raises(ServerFaultError, match=r"\(MLServer\) refuses connections"):
            run({"x": X})
