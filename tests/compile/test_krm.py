"""`graphc krm`: what a functionConfig asks for, and what it asks wrongly."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from graphc.cli import main

WINE = Path(__file__).parents[2] / "graphs" / "wine-average"
Json = dict[str, Any]


def call(items: list[Json], spec: Json | None) -> Result:
    config: Json = {"apiVersion": "graphc/v1", "kind": "GraphFiles", "metadata": {"name": "graphs"}}
    body: Json = {"apiVersion": "config.kubernetes.io/v1", "kind": "ResourceList", "items": items}
    if spec is not None:
        body["functionConfig"] = config | {"spec": spec}
    return CliRunner().invoke(main, ["krm"], input=yaml.safe_dump(body))


def kinds(result: Result) -> set[str]:
    return {each["kind"] for each in yaml.safe_load(result.stdout)["items"]}


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(WINE)


@pytest.mark.parametrize("as_item", [False, True])
def test_a_target_is_compiled_for(as_item: bool) -> None:
    graph = yaml.safe_load((WINE / "graph.yaml").read_text())
    for target, kind in (("kubernetes", "Deployment"), ("seldon", "SeldonDeployment")):
        spec: Json = {"target": target} | ({} if as_item else {"files": ["graph.yaml"]})
        result = call([graph] if as_item else [], spec)
        assert result.exit_code == 0, result.stderr
        assert kind in kinds(result)


def test_a_profile_is_read(tmp_path: Path) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text(
        "apiVersion: graphc/v1\nkind: ClusterProfile\nmetadata: {name: p}\ntarget: kubernetes\n"
    )
    assert "Deployment" in kinds(call([], {"files": ["graph.yaml"], "profile": str(profile)}))


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"fils": ["graph.yaml"]}, "did you mean `files`?"),
        ({"files": "graph.yaml"}, "`files` is not a list of files"),
        ({"optimisation": 3}, "`optimisation` is not 0, 1 or 2"),
        ({"optimisation": True}, "`optimisation` is not 0, 1 or 2"),
        ({"settings": ["a"]}, "`settings` is not a mapping of plain values"),
        ({"target": 1}, "`target` is not the name of a target"),
        ({"files": ["graph.yaml"], "target": "nope"}, "nope"),
        ({"files": ["graph.yaml"], "profile": "nope"}, "nope"),
    ],
)
def test_what_is_asked_wrongly_is_an_error(spec: Json, told: str) -> None:
    result = call([], spec)
    assert result.exit_code == 1
    assert told in result.stderr
    assert yaml.safe_load(result.stdout)["results"]
