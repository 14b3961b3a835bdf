"""What a target does not do as a file asks: it is reported, explained, and may be allowed."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from graphc.cli import main
from graphc.targets.find import find_target, list_targets

GRAPH: Final = """\
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {{name: score, namespace: models}}
{fields}
inputs: {{x: "{datatype}[batch, 3]"}}
nodes:
  left: {{component: softmax, in: x, replicas: 2}}
  right: {{component: normalise, in: x, replicas: 2}}
  both: {{component: mean, in: [left, right]}}
outputs: {{answer: both}}
predictors:
  main: {{traffic: 100}}
  beta: {{when: {{header: {{X-Version: beta}}}}}}
"""
CALLS: Final = "transport: grpc\n"


def call(folder: Path, command: str, *options: str, fields: str = "", datatype: str = "FP32") -> Result:
    path = folder / "graph.yaml"
    path.write_text(GRAPH.format(fields=fields, datatype=datatype))
    return CliRunner().invoke(main, [command, str(path), "--profile", "istio", *options])


def losses(done: Result) -> set[tuple[str, bool]]:
    plans: list[Any] = json.loads(done.stdout)
    return {(each["code"], each["allowed"]) for plan in plans for each in plan.get("losses", [])}


@pytest.mark.parametrize("name", list_targets())
def test_losses_are_rules_of_different_codes(name: str) -> None:
    codes = [rule.code for rule in find_target(name).losses]
    assert len(codes) == len(set(codes))


def test_a_loss_rejects_the_graph_and_is_explained(tmp_path: Path) -> None:
    done = call(tmp_path, "explain", "--output-format", "json", fields=CALLS, datatype="FP16")
    assert done.exit_code == 1
    assert "error[GC331]" in done.stderr
    assert losses(done) == {("GC331", False)}
    assert call(tmp_path, "compile", fields=CALLS, datatype="FP16").stdout == ""


def test_an_allowed_error_is_a_warning(tmp_path: Path) -> None:
    allowed = CALLS + "allow_loss: [GC331]"
    done = call(tmp_path, "explain", "--output-format", "json", fields=allowed, datatype="FP16")
    assert done.exit_code == 0
    assert "warning[GC331]" in done.stderr
    assert losses(done) == {("GC331", True)}
    compiled = call(tmp_path, "compile", fields=allowed, datatype="FP16")
    assert compiled.exit_code == 0
    assert "kind: SeldonDeployment" in compiled.stdout


def test_an_allowed_warning_is_explained_alone(tmp_path: Path) -> None:
    for fields, said in (("", True), ("allow_loss: [GC332]", False)):
        done = call(tmp_path, "explain", "--output-format", "json", fields=fields)
        assert done.exit_code == 0
        assert ("warning[GC332]" in done.stderr) is said
        assert losses(done) == {("GC332", not said)}


def test_the_text_has_the_losses_at_its_end(tmp_path: Path) -> None:
    done = call(tmp_path, "explain", fields="allow_loss: [GC332]")
    tail = done.stdout.rpartition("losses on the target\n")[2]
    assert tail.startswith("  GC332 calls-end-executor, allowed: no route leads gRPC to `score`")
    assert "losses on the target" not in call(tmp_path, "explain", fields=CALLS).stdout


@pytest.mark.parametrize("code", ["GC304", "GC999", "gRPC"])
def test_only_losses_can_be_allowed(tmp_path: Path, code: str) -> None:
    done = call(tmp_path, "check", fields=f"allow_loss: [GC331, {code}]")
    assert done.exit_code == 1
    assert f"error[GC105]: `allow_loss` cannot be `{code}`" in done.stdout
    assert "it takes `GC331`, `GC332`" in done.stdout


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize(("target", "found"), [("echo", {("GC403", True)}), ("seldon", {("GC332", True)})])
def test_a_file_may_allow_what_each_of_several_targets_loses(
    tmp_path: Path, target: str, found: set[tuple[str, bool]]
) -> None:
    profile = tmp_path / "profile.yaml"
    gateway = "{kind: gateway, gateway: ingress/public, host: a.example.com, grpc_host: g.example.com}"
    profile.write_text(
        f"apiVersion: graphc/v1\nkind: ClusterProfile\nmetadata: {{name: ours}}\ningress: {gateway}\n"
    )
    fields = "allow_loss: [GC332, GC403]"
    options = ["--output-format", "json", "--target", target, "--profile", str(profile)]
    done = call(tmp_path, "explain", *options, fields=fields)
    assert done.exit_code == 0, done.stderr
    assert losses(done) == found
