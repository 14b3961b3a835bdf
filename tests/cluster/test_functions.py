"""The real kustomize runs graphc as a function, Argo CD's plugin prints manifests, and the server takes both."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
EXAMPLE: Final = ROOT / "graphs" / "wine-average"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

Json = dict[str, Any]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


def graphc() -> Path:
    found = shutil.which("graphc", path=Path(sys.executable).parent)
    assert found is not None
    return Path(found)


def build(kustomize: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [kustomize, "build", "--enable-alpha-plugins", "--enable-exec", folder]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def compiled(path: Path) -> list[Json]:
    done = subprocess.run([graphc(), "compile", path], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


def by_name(documents: list[Json]) -> dict[tuple[str, str], Json]:
    return {(each["kind"], each["metadata"]["name"]): each for each in documents}


def sort(path: Path) -> None:
    """Sort a file's keys, as kustomize does with all that it reads: the order of a graph's outputs is by name then."""
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()), sort_keys=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of an example, as a kustomization that gives all objects a label and a namespace."""
    shutil.copytree(EXAMPLE, tmp_path / "wine")
    return tmp_path / "wine"


def function() -> str:
    return yaml.safe_dump({"exec": {"path": str(graphc()), "args": ["krm"]}})


def write(folder: Path, name: str, document: Json) -> None:
    (folder / name).write_text(yaml.safe_dump(document, sort_keys=False))


def test_a_graph_file_is_a_generator(kustomize: Path, folder: Path) -> None:
    sort(folder / "graph.yaml")
    wanted = by_name(compiled(folder / "graph.yaml"))
    graph = yaml.safe_load((folder / "graph.yaml").read_text())
    graph["metadata"]["annotations"] = {"config.kubernetes.io/function": function()}
    write(folder, "graph.yaml", graph)
    write(folder, "kustomization.yaml", {"generators": ["graph.yaml"]})
    done = build(kustomize, folder)
    assert done.returncode == 0, done.stderr
    assert by_name(list(yaml.safe_load_all(done.stdout))) == wanted


def test_a_generator_names_files_and_kustomize_goes_on_from_there(
    kustomize: Path, folder: Path, seldon: Kubectl, new_namespace: Callable[..., str]
) -> None:
    namespace = new_namespace()
    files: Json = {
        "apiVersion": "graphc/v1",
        "kind": "GraphFiles",
        "metadata": {"name": "graphs", "annotations": {"config.kubernetes.io/function": function()}},
        "spec": {"files": ["graph.yaml"], "optimisation": 0},
    }
    write(folder, "files.yaml", files)
    write(folder, "kustomization.yaml", {"generators": ["files.yaml"], "namespace": namespace})
    done = build(kustomize, folder)
    assert done.returncode == 0, done.stderr
    documents = list(yaml.safe_load_all(done.stdout))
    assert {each["metadata"]["namespace"] for each in documents} == {namespace}
    (deployment,) = [each for each in documents if each["kind"] == "SeldonDeployment"]
    assert len(deployment["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"]) > 1
    applied = seldon("apply", "--server-side", "--validate=strict", "-f", "-", text=done.stdout)
    assert applied.returncode == 0, applied.stderr


def test_graphs_among_the_resources_are_compiled_by_a_transformer(kustomize: Path, folder: Path) -> None:
    sort(folder / "graph.yaml")
    wanted = by_name(compiled(folder / "graph.yaml"))
    transformer: Json = {
        "apiVersion": "graphc/v1",
        "kind": "GraphFiles",
        "metadata": {"name": "compile", "annotations": {"config.kubernetes.io/function": function()}},
    }
    metadata, data = {"name": "other"}, {"on": "yes", "n": "01"}
    other: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    write(folder, "compile.yaml", transformer)
    write(folder, "other.yaml", other)
    write(
        folder,
        "kustomization.yaml",
        {"resources": ["graph.yaml", "other.yaml"], "transformers": ["compile.yaml"]},
    )
    done = build(kustomize, folder)
    assert done.returncode == 0, done.stderr
    assert by_name(list(yaml.safe_load_all(done.stdout))) == wanted | {("ConfigMap", "other"): other}


def test_a_broken_graph_fails_the_build_and_says_where(kustomize: Path, folder: Path) -> None:
    graph = yaml.safe_load((folder / "graph.yaml").read_text())
    graph["metadata"]["annotations"] = {"config.kubernetes.io/function": function()}
    graph["nodes"]["linear"]["in"] = {"X": "scale.scalled"}
    write(folder, "graph.yaml", graph)
    write(folder, "kustomization.yaml", {"generators": ["graph.yaml"]})
    done = build(kustomize, folder)
    assert done.returncode
    assert "GC202" in done.stderr
    assert "did you mean `scale.scaled`?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("given", ["", "{}", "kind: Pod\n", "[1]", "\x00", "kind: ResourceList\nitems: 3\n"])
def test_what_is_no_resource_list_is_said_plainly(given: str) -> None:
    done = subprocess.run([graphc(), "krm"], input=given, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    if given.startswith("kind: ResourceList"):
        assert yaml.safe_load(done.stdout)["items"] == []
    else:
        assert done.returncode == 1
        assert "holds no ResourceList" in done.stderr


def test_argo_cds_plugin_prints_what_the_server_takes(
    folder: Path, seldon: Kubectl, new_namespace: Callable[..., str]
) -> None:
    plugin = yaml.safe_load((ROOT / "k8s" / "argocd" / "plugin.yaml").read_text())["spec"]
    assert list(folder.glob(plugin["discover"]["find"]["glob"].removeprefix("./")))
    # Argo CD runs the command in the application's folder, and gives parameters as variables.
    environ = {"PATH": f"{graphc().parent}:/usr/bin:/bin", "PARAM_OPTIMISATION": "0", "HOME": str(folder)}
    environ |= {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    generate = plugin["generate"]
    done = subprocess.run(
        [*generate["command"], *generate["args"]], cwd=folder, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    arguments = ("apply", "--server-side", "--validate=strict", "-n", new_namespace(), "-f", "-")
    applied = seldon(*arguments, text=done.stdout)
    assert applied.returncode == 0, applied.stderr
    (folder / "graph.yaml").write_text("kind: InferenceGraph\n")
    broken = subprocess.run(
        [*generate["command"], *generate["args"]], cwd=folder, env=environ, capture_output=True, text=True
    )
    assert broken.returncode == 1
    assert broken.stdout == ""
    assert "error[GC" in broken.stderr
