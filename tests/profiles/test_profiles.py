"""Profiles of clusters: those that come with graphc, files, and what they make of images."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from graphc.cli import main
from graphc.diagnostics import Sink
from graphc.profiles.profile import Engine, Image, Ingress, Place, Profile, RuntimeImage
from graphc.profiles.read_profile import SHIPPED, find_profile, read_profile, shipped_profiles

DIGEST = "sha256:" + "a" * 64
FILE = """
apiVersion: graphc/v1
kind: ClusterProfile
metadata: {name: ours}
ingress:
  kind: gateway
  gateway: ingress/public
  listener: https
  host: "*.example.com"
  grpc_host: grpc.example.com
  path: /models/{graph}/
runtime: {registry: registry.example.com:5000/team}
"""


def read(name: str) -> tuple[Profile | None, list[str]]:
    sink = Sink()
    source = find_profile(name, sink)
    profile = read_profile(source, sink) if source else None
    return profile, [each.message for each in sink]


@pytest.mark.parametrize("name", shipped_profiles())
def test_shipped_profiles_are_sound_and_named_as_their_files(name: str) -> None:
    profile, messages = read(name)
    assert messages == []
    assert profile is not None
    assert profile.name == name
    result = CliRunner().invoke(main, ["check", str(SHIPPED / f"{name}.yaml")])
    assert (result.exit_code, result.stdout) == (0, "1 profile, no problems found\n")


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(FILE)
    profile, messages = read(str(tmp_path / "cluster.yaml"))
    assert messages == []
    assert profile == Profile(
        "ours",
        Ingress(
            "gateway",
            Place("ingress", "public"),
            "https",
            "*.example.com",
            "grpc.example.com",
            "/models/{graph}",
        ),
        RuntimeImage("registry.example.com:5000/team"),
        engine=Engine(RuntimeImage("registry.example.com:5000/team")),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file holds no document"),
        (FILE + "---" + FILE, "does not hold one document of kind `ClusterProfile`"),
        ("kind: InferenceGraph\n", "does not hold one document of kind `ClusterProfile`"),
        ("- a\n", "does not hold one document of kind `ClusterProfile`"),
    ],
)
def test_a_file_that_holds_something_else(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(text)
    profile, messages = read(str(tmp_path / "cluster.yaml"))
    assert profile is None
    assert len(messages) == 1
    assert message in messages[0]


def test_a_profile_that_is_wrong_keeps_a_graph_from_being_compiled(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(FILE.replace("gateway: ingress/public", "gateway: public"))
    graph = Path(__file__).parents[2] / "graphs" / "iris-cascade" / "graph.yaml"
    result = CliRunner().invoke(main, ["compile", "--profile", str(tmp_path / "cluster.yaml"), str(graph)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "`public` is not a namespace and a name" in result.stderr
    assert "cluster.yaml:7:12" in result.stderr


ASKED = Image("graphc-runtime", "0.1.0")


@pytest.mark.parametrize(
    ("runtime", "asked", "wanted"),
    [
        (RuntimeImage(), ASKED, "graphc-runtime:0.1.0"),
        (RuntimeImage(), Image("graphc-runtime", "0.1.0", DIGEST), f"graphc-runtime@{DIGEST}"),
        (RuntimeImage(registry="r.example.com/team"), ASKED, "r.example.com/team/graphc-runtime:0.1.0"),
        (RuntimeImage(registry="r.example.com"), Image("a.example.com/own", "1"), "a.example.com/own:1"),
        (RuntimeImage(registry="r.example.com"), Image("team/own", "1"), "r.example.com/team/own:1"),
        (RuntimeImage(image="r.example.com/own"), ASKED, "r.example.com/own:0.1.0"),
        (RuntimeImage(tag="2"), Image("own", "1", DIGEST), "own:2"),
        (RuntimeImage(digest=DIGEST), ASKED, f"graphc-runtime@{DIGEST}"),
    ],
)
def test_images(runtime: RuntimeImage, asked: Image, wanted: str) -> None:
    assert runtime.locate(asked) == wanted


def test_a_live_cluster_takes_the_kubernetes_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    done = CliRunner().invoke(main, ["profile"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "the Kubernetes client is not installed; `graphc-compiler[cluster]` has it" in done.stderr
