"""One file has one meaning: to `check`, `run`, `engine` and `plan`, and it is the one that kubectl gives it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner
from graphc.cli import main
from graphc.cli.engine_command import read_document
from graphc.cluster.offline import read_other
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.diagnostics import Sink
from graphc.run.load import load_manifests
from graphc.run.problem import Findings
from graphc.source.located import Plain, to_plain

# kubectl 1.34 reads each of these values as `MEANT` has them.
ODD: Final = """\
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {name: odd, namespace: models, annotations: {at: 1:30, on: 2024-01-02, old: '0420'}}
spec:
  protocol: seldon
  protocol: v2
  predictors:
    - &first
      name: first
      replicas: 010
      traffic: 1_00
      graph: &graph {name: score, implementation: SKLEARN_SERVER, modelUri: "s3://models/score"}
      componentSpecs:
        - spec:
            containers: [{name: score}]
            volumes: [{name: code, configMap: {name: code, optional: yes, defaultMode: 0644}}]
    - <<: *first
      name: second
      shadow: on
      graph: {<<: *graph, modelUri: "s3://models/other"}
"""
POD: Final[Plain] = {
    "spec": {
        "containers": [{"name": "score"}],
        "volumes": [{"name": "code", "configMap": {"name": "code", "optional": True, "defaultMode": 420}}],
    }
}
MEANT: Final[Plain] = {
    "apiVersion": "machinelearning.seldon.io/v1",
    "kind": "SeldonDeployment",
    "metadata": {
        "name": "odd",
        "namespace": "models",
        "annotations": {"at": "1:30", "true": "2024-01-02", "old": "0420"},
    },
    "spec": {
        "protocol": "v2",
        "predictors": [
            {
                "name": "first",
                "replicas": 8,
                "traffic": 100,
                "graph": {
                    "name": "score",
                    "implementation": "SKLEARN_SERVER",
                    "modelUri": "s3://models/score",
                },
                "componentSpecs": [POD],
            },
            {
                "name": "second",
                "replicas": 8,
                "traffic": 100,
                "shadow": True,
                "graph": {
                    "name": "score",
                    "implementation": "SKLEARN_SERVER",
                    "modelUri": "s3://models/other",
                },
                "componentSpecs": [POD],
            },
        ],
    },
}
WARNED: Final = [("GC013", 3), ("GC010", 6), ("GC012", 10)]


def _checked(path: Path) -> Plain:
    done = compile_files(Request([str(path)], takes_manifests=True))
    return to_plain(done.manifests[0])


def _run(path: Path) -> Plain:
    return load_manifests({str(path): path.read_text()}, Sink(), Findings()).documents[0].plain


def _served(path: Path) -> Plain:
    return read_document(path).plain


def _planned_against(path: Path) -> Plain:
    return read_other(str(path), Request([]))[0]


READERS: Final = (_checked, _run, _served, _planned_against)


@pytest.mark.parametrize("read", READERS)
def test_every_command_sees_one_meaning(read: Callable[[Path], Plain], tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(ODD)
    assert read(path) == MEANT


@pytest.mark.parametrize("read", READERS)
def test_a_list_is_its_items(read: Callable[[Path], Plain], tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [MEANT]}))
    assert read(path) == MEANT


@pytest.mark.parametrize("arguments", [("check",), ("run",), ("engine", "--predictor", "first")])
def test_every_command_warns_of_the_same(arguments: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    # Nothing is served: no unit says where it listens, and none is here.
    path.write_text(ODD.replace("protocol: v2", "protocol: grpc"))
    command, *options = arguments
    done = CliRunner().invoke(main, [command, str(path), *options])
    assert done.exit_code == 1
    for code, line in WARNED:
        assert f"warning[{code}]: " in done.output
        assert f" --> {path}:{line}:" in done.output
    assert done.output.count("warning[GC01") == len(WARNED)


REFUSED: Final = {
    "~: text": "GC013",
    "<<: text": "GC014",
    "protocol: [": "GC004",
    "protocol: &a [*a]": "GC008",
    "protocol: *nothing": "GC009",
    "protocol: !!int v2": "GC015",
}


@pytest.mark.parametrize("written", REFUSED)
@pytest.mark.parametrize("command", ["check", "run", "engine"])
def test_every_command_refuses_the_same(command: str, written: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(ODD.replace("protocol: seldon", written))
    done = CliRunner().invoke(main, [command, str(path)])
    assert done.exit_code == 1
    assert f"error[{REFUSED[written]}]" in done.output
    assert f" --> {path}:" in done.output
