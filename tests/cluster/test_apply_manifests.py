"""A real API server takes every manifest that graphc emits, twice without a change."""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.documents import write_yaml
from graphc.lower.options import Options

HERE: Final = Path(__file__).parent
GRAPHS: Final = sorted([*HERE.glob("graphs/*.yaml"), *HERE.parents[1].glob("graphs/*/graph.yaml")])
GOLDENS: Final = sorted(HERE.parent.glob("golden/**/*.yaml"))

# What kubectl's client-side apply writes into an annotation, and the API server's limit for all of these.
LAST_APPLIED: Final = 262_144

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

Json = dict[str, Any]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]
NewNamespace = Callable[..., str]


@dataclass(frozen=True)
class Case:
    """A manifest: a graph at a level, or a golden as it stands, of any target."""

    path: Path
    level: int | None = None

    def __str__(self) -> str:
        stem = self.path.parent.name if self.path.stem == "graph" else self.path.stem
        plain = "-plain" if "kubernetes" in self.path.parent.name else ""
        return stem + plain if self.level is None else f"{stem}-O{self.level}"

    def text(self) -> str:
        if self.level is None:
            return self.path.read_text()
        return compile_graph(self.path, self.level)


def compile_graph(path: Path, level: int = 1, target: str | None = None) -> str:
    done = compile_files(Request([str(path)], {}, {}, Options(level), target=target))
    assert {each.rule.code for each in done.sink} <= {"GC307"}, (
        "only a warning of large documents is expected"
    )
    return write_yaml([document for emission in done.emissions for document in emission.documents])


def documents_of(text: str) -> list[Json]:
    return [each for each in yaml.load_all(text, yaml.CSafeLoader) if each]


def is_manifest(path: Path) -> bool:
    """Say whether a golden holds manifests that one `kubectl -n` can take: those of a single namespace."""
    text = path.read_text()
    holds = "kind: SeldonDeployment\n" in text or "kind: Deployment\n" in text
    return holds and len(namespaces_of(documents_of(text))) == 1


def namespaces_of(documents: Sequence[Mapping[str, Any]]) -> set[str | None]:
    return {document["metadata"].get("namespace") for document in documents}


CASES: Final = [Case(path, level) for path in GRAPHS for level in (0, 1)] + [
    Case(path) for path in GOLDENS if is_manifest(path)
]


def settle(documents: Sequence[Mapping[str, Any]], new_namespace: NewNamespace) -> str:
    """Make the namespace that the documents name, or a new one, and return it."""
    (name,) = namespaces_of(documents)
    return new_namespace(name)


def apply(kubectl: Kubectl, text: str, *arguments: str) -> list[str]:
    """Apply a manifest, which the server must take without a warning, and return what became of each object."""
    done = kubectl("apply", *arguments, "-f", "-", text=text)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split(maxsplit=1)[1] for line in done.stdout.splitlines()]


def versions_of(kubectl: Kubectl, text: str, namespace: str) -> list[tuple[str, str, int | None]]:
    got = json.loads(kubectl("get", "-n", namespace, "-o", "json", "-f", "-", text=text).stdout)
    found = [each["metadata"] for each in got.get("items", [got])]
    return [(each["name"], each["resourceVersion"], each.get("generation")) for each in found]


def delete(kubectl: Kubectl, text: str, namespace: str) -> None:
    done = kubectl("delete", "-n", namespace, "--wait=false", "-f", "-", text=text)
    assert not done.returncode, done.stderr


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.usefixtures("routes", "scalers")
def test_server_side_apply_is_strict_and_repeats_without_a_change(
    case: Case, seldon: Kubectl, new_namespace: NewNamespace
) -> None:
    text = case.text()
    documents = documents_of(text)
    namespace = settle(documents, new_namespace)
    how = ("--server-side", "--validate=strict", "-n", namespace)
    assert apply(seldon, text, *how) == ["serverside-applied"] * len(documents)
    before = versions_of(seldon, text, namespace)
    assert len(before) == len(documents)
    apply(seldon, text, *how)
    assert versions_of(seldon, text, namespace) == before
    difference = seldon("diff", "--server-side", "-n", namespace, "-f", "-", text=text)
    assert (difference.returncode, difference.stdout, difference.stderr) == (0, "", "")
    delete(seldon, text, namespace)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.usefixtures("routes", "scalers")
def test_client_side_apply_repeats_without_a_change(
    case: Case, seldon: Kubectl, new_namespace: NewNamespace
) -> None:
    text = case.text()
    documents = documents_of(text)
    namespace = settle(documents, new_namespace)
    assert apply(seldon, text, "-n", namespace) == ["created"] * len(documents)
    # kubectl sends the selector of a budget anew each time, changed or not.
    again = ["configured" if each["kind"] == "PodDisruptionBudget" else "unchanged" for each in documents]
    assert apply(seldon, text, "-n", namespace) == again
    difference = seldon("diff", "-n", namespace, "-f", "-", text=text)
    assert (difference.returncode, difference.stdout, difference.stderr) == (0, "", "")
    delete(seldon, text, namespace)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("--server-side", ".spec.predictors[0].traffik: field not declared in schema"),
        ("--dry-run=server", 'unknown field "spec.predictors[0].traffik"'),
    ],
)
def test_the_server_refuses_what_it_does_not_know(
    how: str, message: str, seldon: Kubectl, new_namespace: NewNamespace
) -> None:
    *_, deployment = documents_of(compile_graph(GRAPHS[0]))
    deployment["spec"]["predictors"][0]["traffik"] = 1
    done = seldon("apply", how, "-n", new_namespace(), "-f", "-", text=json.dumps(deployment))
    assert done.returncode
    assert message in done.stderr


def test_a_changed_graph_is_a_difference_and_is_applied_over_the_other(
    seldon: Kubectl, new_namespace: NewNamespace
) -> None:
    path = next(path for path in GRAPHS if path.parent.name == "cancer-vote")
    namespace = new_namespace()
    old, new = compile_graph(path, 0), compile_graph(path, 1)
    apply(seldon, old, "--server-side", "-n", namespace)
    assert seldon("diff", "--server-side", "-n", namespace, "-f", "-", text=new).returncode == 1
    apply(seldon, new, "--server-side", "-n", namespace)
    assert seldon("diff", "--server-side", "-n", namespace, "-f", "-", text=new).returncode == 0


def padded_graph(folder: Path, size: int) -> str:
    """Compile a graph that ships a Python module of that many bytes."""
    code = "def run(x):\n    return x\n"
    (folder / "big.py").write_text(code + "#" * (size - len(code)))
    node = {"python": "big:run", "in": {"x": "x"}, "out": {"y": "FP32[batch]"}}
    graph = {"apiVersion": "graphc/v1", "kind": "InferenceGraph", "metadata": {"name": "big"}}
    graph |= {"inputs": {"x": "FP32[batch]"}, "nodes": {"big": node}, "outputs": {"y": "big"}}
    (folder / "graph.yaml").write_text(yaml.safe_dump(graph, sort_keys=False))
    return compile_graph(folder / "graph.yaml")


def test_artefacts_above_what_client_side_apply_remembers_need_server_side_apply(
    seldon: Kubectl, new_namespace: NewNamespace, tmp_path: Path
) -> None:
    text = padded_graph(tmp_path, LAST_APPLIED)
    namespace = new_namespace()
    done = seldon("apply", "-n", namespace, "-f", "-", text=text)
    assert done.returncode
    assert f"may not be more than {LAST_APPLIED} bytes" in done.stderr
    assert set(apply(seldon, text, "--server-side", "-n", namespace)) == {"serverside-applied"}


def test_the_largest_artefact_that_graphc_ships_is_not_too_large_for_the_server(
    seldon: Kubectl, new_namespace: NewNamespace, tmp_path: Path
) -> None:
    text = padded_graph(tmp_path, 1_048_576)
    assert set(apply(seldon, text, "--server-side", "-n", new_namespace())) == {"serverside-applied"}


@pytest.mark.parametrize(
    ("form", "target", "made"),
    [
        ("yaml", "seldon", "seldondeployment.machinelearning.seldon.io/cancer-vote"),
        ("json", "seldon", "seldondeployment.machinelearning.seldon.io/cancer-vote"),
        ("yaml", "kubernetes", "deployment.apps/cancer-vote-main"),
    ],
)
def test_compile_is_piped_into_kubectl(
    form: str,
    target: str,
    made: str,
    seldon: Kubectl,
    new_namespace: NewNamespace,
    binaries: Path,
    kubeconfig: Path,
) -> None:
    graphc = shutil.which("graphc", path=Path(sys.executable).parent)
    assert graphc is not None
    path = next(path for path in GRAPHS if path.parent.name == "cancer-vote")
    compiling = shlex.join([graphc, "compile", "--target", target, "--format", form, str(path)])
    applying = shlex.join([str(binaries / "kubectl"), "apply", "--dry-run=server", "-f", "-"])
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(kubeconfig.parent), "KUBECONFIG": str(kubeconfig)}
    namespace = new_namespace()
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{compiling} | {applying} -n {namespace}"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert f"{made} created (server dry run)" in lines
    assert len(lines) == len(documents_of(compile_graph(path, target=target)))
    assert not seldon("get", "seldondeployments,deployments,configmaps", "-n", namespace).stdout
