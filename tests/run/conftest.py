"""What the local tests share: a tiny MLServer model for foreign manifests, and a way to plan its run."""

import os
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml
from graphc.diagnostics import Sink
from graphc.run.load import load_manifests
from graphc.run.manifest import read_manifest
from graphc.run.plan import RunPlan, Workplace, free_ports, plan_run
from graphc.run.problem import Findings
from graphc.run.volumes import LocalFiles, Sources

MODEL = """
import os
from mlserver import MLModel
from mlserver.types import InferenceResponse, MetadataModelResponse, MetadataTensor, ResponseOutput

class Affine(MLModel):
    async def load(self):
        self.factor = float(os.environ.get("FACTOR", "2"))
        if self.factor == 0:
            raise ValueError("a factor of zero")
        return True

    async def metadata(self):
        return MetadataModelResponse(
            name=self.name,
            platform="test",
            inputs=[MetadataTensor(name="x", datatype="FP32", shape=[-1, 2])],
            outputs=[MetadataTensor(name="y", datatype="FP32", shape=[-1, 2])],
        )

    async def predict(self, payload):
        first = payload.inputs[0]
        data = [self.factor * value for value in first.data]
        output = ResponseOutput(name="y", shape=first.shape, datatype="FP32", data=data)
        return InferenceResponse(id=payload.id, model_name=self.name, outputs=[output])
"""

Plan = Callable[..., tuple[RunPlan, Findings]]


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "tiny_affine.py").write_text(textwrap.dedent(MODEL))
    return folder


@pytest.fixture
def manifest_text() -> Callable[..., str]:
    return write_manifest


def write_manifest(**factors: float) -> str:
    names = list(factors) or ["m"]
    graph: dict[str, object] = {}
    for name in reversed(names):
        graph = {"name": name, "type": "MODEL", "children": [graph] if graph else []}
    containers = [
        {
            "name": name,
            "image": "example.test/affine:1",
            "env": [
                {"name": "MLSERVER_MODEL_IMPLEMENTATION", "value": "tiny_affine.Affine"},
                {"name": "MLSERVER_PARALLEL_WORKERS", "value": "0"},
                {"name": "FACTOR", "value": str(factors.get(name, 2))},
            ],
        }
        for name in names
    ]
    predictor = {
        "name": "main",
        "traffic": 100,
        "graph": graph,
        "componentSpecs": [{"spec": {"containers": containers}}],
    }
    return yaml.safe_dump(
        {
            "apiVersion": "machinelearning.seldon.io/v1",
            "kind": "SeldonDeployment",
            "metadata": {"name": "tiny"},
            "spec": {"protocol": "v2", "predictors": [predictor]},
        }
    )


@pytest.fixture
def plan(tmp_path: Path, modules: Path) -> Plan:
    def make(
        text: str,
        claims: Mapping[str, Path] | None = None,
        overrides: Mapping[str, LocalFiles] | None = None,
    ) -> tuple[RunPlan, Findings]:
        findings = Findings()
        sink = Sink()
        manifest = read_manifest(load_manifests({"test.yaml": text}, sink, findings).documents, findings)
        assert not len(sink)
        deployment = manifest.deployments[0]
        place = Workplace(
            tmp_path / "run",
            Sources(manifest.config_maps, claims or {}, overrides or {}),
            os.environ | {"PYTHONPATH": str(modules)},
        )
        return plan_run(deployment, deployment.predictors[0], place, findings), findings

    return make


@pytest.fixture
def unused_port() -> int:
    return free_ports(1)[0].http
