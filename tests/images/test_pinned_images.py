"""The images install what the workspace's lock file has, and graphc judges by the same versions."""

import importlib.util
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest
from graphc.artefacts.onnx_operators import LOCALES, read_table
from graphc.runtime_image import read_image

ROOT: Final = Path(__file__).parents[2]
IMAGES: Final = ROOT / "runtimes" / "images"


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "compiler" / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not there to read its lock file")
def test_what_images_install_is_the_workspaces_lock(tmp_path: Path) -> None:
    subprocess.run(["sh", IMAGES / "lock", tmp_path], check=True, capture_output=True, timeout=200)
    for name in ("cpu.lock", "gpu.lock", "engine.lock"):
        assert (tmp_path / name).read_text() == (IMAGES / name).read_text(), "run sh runtimes/images/lock"


def test_the_table_is_of_the_lock() -> None:
    table = ROOT / "compiler" / "graphc" / "runtime_image.txt"
    assert tool("list_image").write_table() == table.read_text(), "run python compiler/tools/list_image.py"


def test_what_models_are_judged_by_is_what_runs_them_here() -> None:
    """Else a model that tests ran here could still fail in the image."""
    image = read_image()
    assert read_table().runtime == image.packages["onnxruntime"]
    if image.python == f"{sys.version_info[0]}.{sys.version_info[1]}":
        for name in ("onnxruntime", "scikit-learn", "xgboost-cpu", "lightgbm", "numpy", "joblib"):
            assert version(name) == image.packages[name]


@pytest.mark.parametrize(
    ("name", "lock"),
    [("Dockerfile", "cpu.lock"), ("Dockerfile.gpu", "gpu.lock"), ("Dockerfile.engine", "engine.lock")],
)
def test_images_are_made_of_pinned_files(name: str, lock: str) -> None:
    text = (IMAGES / name).read_text()
    assert f"--require-hashes -r /src/runtimes/images/{lock}" in text
    assert re.search(r"^FROM \S+@sha256:", text, re.MULTILINE) or re.search(
        r"^FROM \S+:\d+\.\d+", text, re.MULTILINE
    )
    # Whatever else is installed comes with the sources, and asks for nothing more.
    for line in re.findall(r"pip install .*", text):
        assert "--require-hashes" in line or "--no-deps" in line or "$TENSORRT" in line


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.gpu"])
def test_images_have_the_locales_that_models_may_name(name: str) -> None:
    text = (IMAGES / name).read_text()
    made = set(re.findall(r"localedef .* (\w+\.\S+) \\$", text, re.MULTILINE))
    assert made == set(LOCALES) - {"C.UTF-8", "C", "POSIX", ""}


def test_modules_of_the_image_are_known() -> None:
    image = read_image()
    for name in (
        "sklearn.linear_model",
        "numpy",
        "xgboost",
        "lightgbm",
        "PIL.Image",
        "json",
        "graphc_runtimes",
    ):
        assert image.has_module(name), name
    for name in ("__main__", "riskteam.models", "torch", "graphc"):
        assert not image.has_module(name), name
