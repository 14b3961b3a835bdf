"""Triton's ensemble: a Python model for each node, which the server that PyTriton brings along schedules."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import onnxruntime
import pytriton

port, folder = sys.argv[1], Path(sys.argv[2]).resolve()
HERE = Path(__file__).parent
BUNDLED = Path(pytriton.__file__).parent / "tritonserver"
SITE = str(Path(pytriton.__file__).parents[1])
MODELS = ("first", "second", "third")


def tensors(kind: str, shapes: dict[str, list[int]]) -> str:
    listed = (f'{{ name: "{name}" data_type: TYPE_FP32 dims: {shape} }}' for name, shape in shapes.items())
    return f"{kind} [ {', '.join(listed)} ]\n"


def write_part(repository: Path, part: str, takes: dict[str, list[int]], gives: list[int]) -> None:
    (repository / part / "1").mkdir(parents=True)
    # Triton's stub of Python looks into no environment by itself.
    path = f"import sys\n\nsys.path.append({SITE!r})\n"
    (repository / part / "1" / "model.py").write_text(path + (HERE / "mean_part.py").read_text())
    told = {"part": part, "here": str(HERE.parent), "models": str(folder)}
    parameters = "".join(
        f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}\n' for key, value in told.items()
    )
    text = f'name: "{part}"\nbackend: "python"\nmax_batch_size: 128\n{tensors("input", takes)}'
    text += f"{tensors('output', {'y': gives})}{parameters}instance_group [ {{ kind: KIND_CPU count: 1 }} ]\n"
    (repository / part / "config.pbtxt").write_text(text)


def step(model: str, takes: dict[str, str], gives: str) -> str:
    maps = "".join(f' input_map {{ key: "{key}" value: "{value}" }}' for key, value in takes.items())
    return f'{{ model_name: "{model}" model_version: -1{maps} output_map {{ key: "y" value: "{gives}" }} }}'


def write_ensemble(repository: Path, x: list[int]) -> None:
    (repository / "ensemble" / "1").mkdir(parents=True)
    steps = [step("scale", {"x": "x"}, "scaled"), *(step(each, {"x": "scaled"}, each) for each in MODELS)]
    steps.append(step("mean", {each: each for each in MODELS}, "y"))
    text = f'name: "ensemble"\nplatform: "ensemble"\nmax_batch_size: 128\n{tensors("input", {"x": x})}'
    text += f"{tensors('output', {'y': [-1]})}ensemble_scheduling {{ step [ {', '.join(steps)} ] }}\n"
    (repository / "ensemble" / "config.pbtxt").write_text(text)


repository = Path(tempfile.mkdtemp())
session = onnxruntime.InferenceSession(folder / "scale.onnx", providers=["CPUExecutionProvider"])
x = [dim if isinstance(dim, int) else -1 for dim in session.get_inputs()[0].shape[1:]]
write_part(repository, "scale", {"x": x}, x)
for each in MODELS:
    write_part(repository, each, {"x": x}, [-1])
write_part(repository, "mean", {each: [-1] for each in MODELS}, [-1])
write_ensemble(repository, x)

backends = Path(tempfile.mkdtemp()) / "backends"
shutil.copytree(BUNDLED / "backends", backends)
stub = BUNDLED / "python_backend_stubs" / f"{sys.version_info.major}.{sys.version_info.minor}"
shutil.copy(stub / "triton_python_backend_stub", backends / "python")
libraries = [str(path) for path in Path(SITE).glob("*pytriton.libs")]
libraries.append(os.environ.get("LD_LIBRARY_PATH", ""))
binary = str(BUNDLED / "bin" / "tritonserver")
command = [binary, "--model-repository", str(repository), "--backend-directory", str(backends)]
command += ["--http-address", "127.0.0.1", "--http-port", port, "--grpc-port", sys.argv[3]]
command += ["--metrics-port", sys.argv[4], "--log-info", "false"]
os.execve(
    binary,
    command,
    os.environ | {"LD_LIBRARY_PATH": os.pathsep.join(libraries), "PYTHONPATH": SITE},
)
