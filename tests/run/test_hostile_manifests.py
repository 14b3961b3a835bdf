"""Manifests that would lead a run out of its folder, or that the file system or the kernel refuses, are refused."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from graphc.cli.run_command import command
from graphc.compare.start import DATABASE
from graphc.run.environment import check_words, expand

ANY_PORT = ("--port", "0", "--grpc-port", "0")
RUNTIME = {"name": "MLSERVER_MODEL_IMPLEMENTATION", "value": "tiny_affine.Affine"}
UP = "/../../../../../../../.."
LONG = "a" * 300

Run = Callable[..., Result]
Fields = Mapping[str, object]


def predictor(
    name: str = "main",
    container: Fields | None = None,
    pod: Fields | None = None,
    graph: Fields | None = None,
) -> dict[str, object]:
    containers = [{"name": "m", "image": "i:1", "env": [RUNTIME]} | dict(container or {})]
    return {
        "name": name,
        "graph": {"name": "m", "type": "MODEL"} | dict(graph or {}),
        "componentSpecs": [{"spec": {"containers": containers} | dict(pod or {})}],
    }


def manifest(*predictors: Fields, **spec: object) -> str:
    deployment = {
        "kind": "SeldonDeployment",
        "metadata": {"name": "d"},
        "spec": {"protocol": "v2", "predictors": list(predictors)} | spec,
    }
    config_map = {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": "v"}}
    return yaml.safe_dump_all([config_map, deployment])


def with_volume(source: Fields, path: str = "/v", sub_path: str = "", name: str = "v") -> dict[str, object]:
    mount = {"name": name, "mountPath": path, "subPath": sub_path}
    return predictor(container={"volumeMounts": [mount]}, pod={"volumes": [{"name": name} | dict(source)]})


def with_items(*paths: str) -> dict[str, object]:
    return with_volume({"configMap": {"name": "c", "items": [{"key": "k", "path": each} for each in paths]}})


def with_fetch(*args: str) -> dict[str, object]:
    mount = {"name": "v", "mountPath": "/mnt/graphc/lr"}
    words = ["python", "-m", "graphc_runtimes.fetch"]
    init = {"name": "load", "command": words, "args": list(args), "volumeMounts": [mount]}
    pod: dict[str, object] = {"initContainers": [init], "volumes": [{"name": "v", "emptyDir": {}}]}
    return predictor(container={"volumeMounts": [mount]}, pod=pod)


def with_value(value: str, *others: str) -> dict[str, object]:
    env = [{"name": f"V{index}", "value": each} for index, each in enumerate((value, *others))]
    return predictor(container={"env": [RUNTIME, *env]})


@pytest.fixture
def run(tmp_path: Path, modules: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a manifest that is refused, and hold that nothing is left of the attempt."""
    state, folder = tmp_path / "state", tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(modules))
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setenv(DATABASE, str(state / "compare.db"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("graphc.run.run_documents.Run", None)

    def make(text: str, *arguments: str) -> Result:
        (tmp_path / "f.yaml").write_text(text)
        before = {*tmp_path.rglob("*")}
        result = CliRunner().invoke(command, [str(tmp_path / "f.yaml"), *ANY_PORT, *arguments])
        assert result.exit_code == 1, result.output
        assert isinstance(result.exception, SystemExit)
        assert {*tmp_path.rglob("*")} == before
        return result

    return make


CASES = {
    "fetch": (
        with_fetch("file:///etc/hostname", f"{UP}/tmp/x"),
        f"unit `m` cannot be prepared: the path `{UP}/tmp/x` has `..`",
    ),
    "fetch to a relative folder": (
        with_fetch("file:///etc/hostname", "x"),
        "unit `m` cannot be prepared: the path `x` is not absolute",
    ),
    "fetch of a NUL": (
        with_fetch("file:///a\0b", "/mnt/graphc/lr"),
        "unit `m` cannot be prepared: `file:///a\\x00b` has a NUL character",
    ),
    "start": (
        predictor(container={"command": ["mlserver"], "args": ["start", f"{UP}/etc"]}),
        f"unit `m` cannot be prepared: the path `{UP}/etc` has `..`",
    ),
    "start at a NUL": (
        predictor(container={"command": ["mlserver"], "args": ["start", "/a\0b"]}),
        "unit `m` cannot be prepared: the path `/a\\x00b` has a NUL character",
    ),
    "start at a long name": (
        predictor(container={"command": ["mlserver"], "args": ["start", f"/{LONG}"]}),
        f"unit `m` cannot be prepared: the path `/{LONG[:58]}…` has a name of more than 255 bytes",
    ),
    "start at a long path": (
        predictor(container={"command": ["mlserver"], "args": ["start", "/abcdefg" * 600]}),
        "unit `m` cannot be prepared: file name too long: `",
    ),
    "start at a file": (
        with_volume({"configMap": {"name": "c"}}, path="/mnt/models", sub_path="k"),
        "unit `m` cannot be prepared: file exists: `",
    ),
    "model folder": (
        predictor(container={"env": [RUNTIME, {"name": "MLSERVER_MODELS_DIR", "value": f"{UP}/etc"}]}),
        f"unit `m` cannot be prepared: the path `{UP}/etc` has `..`",
    ),
    "value": (
        with_value("/mnt/models/../../../../../../etc/passwd"),
        "unit `m` cannot be prepared: the path `/mnt/models/../../../../../../etc/passwd` has `..`",
    ),
    "URI": (
        predictor(graph={"implementation": "SKLEARN_SERVER", "modelUri": "http://[x"}),
        "the model of unit `m` is at `http://[x`, which is not a URI",
    ),
    "fetch of a file elsewhere": (
        with_fetch("file:///etc/hostname", "/mnt/graphc/lr"),
        "unit `m` is to read `/etc/hostname`, which lies outside the manifest's folder",
    ),
    "fetch of a path elsewhere": (
        with_fetch("/etc", "/mnt/graphc/lr"),
        "unit `m` is to read `/etc`, which lies outside the manifest's folder",
    ),
    "model elsewhere": (
        predictor(graph={"implementation": "SKLEARN_SERVER", "modelUri": "file:///proc/self/environ"}),
        "unit `m` is to read `/proc/self/environ`, which lies outside the manifest's folder",
    ),
    "items in one another": (
        with_items("a", "a/b"),
        "`a/b` in config map `c` cannot be written: file exists",
    ),
    "items around one another": (
        with_items("a/b", "a"),
        "`a` in config map `c` cannot be written: is a directory",
    ),
    "item that leads up": (with_items("../a"), "`../a` in config map `c` is not a usable file name"),
    "sub-path through a file": (
        with_volume({"configMap": {"name": "c"}}, sub_path="k/below"),
        "unit `m` cannot be prepared: not a directory: `",
    ),
    "long sub-path": (
        with_volume({"emptyDir": {}}, sub_path=LONG),
        "container `m` has a mount without a usable path",
    ),
    "sub-path that leads up": (
        with_volume({"emptyDir": {}}, sub_path="../.."),
        "container `m` has a mount without a usable path",
    ),
    "mount of a NUL": (
        with_volume({"emptyDir": {}}, path="/a\0b"),
        "container `m` has a mount without a usable path",
    ),
    "volume's name": (
        with_volume({"emptyDir": {}}, name="../v"),
        "container `m` mounts `../v`, which is not a volume of its pod",
    ),
    "unit's name": (
        predictor(container={"name": "../m"}, graph={"name": "../m"}),
        "`../m` is not a unit name that a container can have",
    ),
    "unit's NUL": (
        predictor(container={"name": "a\0b"}, graph={"name": "a\0b"}),
        "`a\\x00b` is not a unit name that a container can have",
    ),
    "predictor's name": (
        predictor("../../../../tmp/x"),
        "`../../../../tmp/x` is not a name that a predictor can have",
    ),
    "predictor's long name": (predictor(LONG), f"`{LONG[:59]}…` is not a name that a predictor can have"),
    "values that grow": (
        with_value("x" * 1000, *("".join([f"$(V{index})"] * 1000) for index in range(4))),
        "unit `m` cannot be prepared: `$(V0)$(V0)$(V0)$(V0)$(V0)$(V0)$(V0)$(V0)$(V0)$(V0)$(V0)$(V0…` "
        "gets longer than 128 KiB",
    ),
    "value too long": (
        with_value("x" * 140_000),
        f"unit `m` cannot be prepared: `V0={'x' * 56}…` is longer than 128 KiB",
    ),
    "traffic in words": (
        predictor() | {"traffic": "fifty"},
        "the `traffic` of predictor `main` is `fifty`, which is not a whole number up to 2147483647",
    ),
    "traffic without end": (
        predictor() | {"traffic": float("inf")},
        "the `traffic` of predictor `main` is `inf`, which is not a whole number up to 2147483647",
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("versions", [1, 2])
def test_it_is_refused_and_leaves_nothing(case: str, versions: int, run: Run) -> None:
    hostile, message = CASES[case]
    if "traffic" in hostile and versions == 1:
        pytest.skip("a predictor that is alone gets all the traffic")
    others = [predictor("other") | {"traffic": 50}] * (versions - 1)
    result = run(manifest({"traffic": 50} | hostile, *others))
    assert f"error: {message}" in result.stderr
    assert "versions are compared" not in result.stderr


def test_a_name_that_stands_twice_is_said(run: Run) -> None:
    result = run(manifest(predictor() | {"traffic": 50}, predictor() | {"traffic": 50}))
    assert result.stderr == "error: `d` has 2 predictors of the name `main`\n"


def test_a_claims_folder_stays_what_it_is(run: Run, tmp_path: Path) -> None:
    (tmp_path / "claim").mkdir()
    (tmp_path / "secret.joblib").write_text("x")
    source = {"persistentVolumeClaim": {"claimName": "shelf"}}
    mounted = with_volume(source, path="/mnt")
    mount = ("--mount", f"shelf={tmp_path / 'claim'}")
    graph = {"name": "m", "implementation": "SKLEARN_SERVER"}
    below = {"graph": graph | {"modelUri": str(tmp_path / "secret.joblib")}}
    assert "below a folder of yours" in run(manifest(mounted | below), *mount).stderr
    up = {"graph": graph | {"modelUri": "pvc://shelf/../secret.joblib"}}
    assert "the path `/../secret.joblib` has `..`" in run(manifest(predictor() | up), *mount).stderr


def test_files_of_the_manifests_folder_and_of_claims_may_be_read(run: Run, tmp_path: Path) -> None:
    graph = {"name": "m", "implementation": "SKLEARN_SERVER"}
    (tmp_path / "link.joblib").symlink_to("/etc/hostname")
    # The volume is refused too, so that nothing starts.
    linked = with_volume({"hostPath": {}}) | {
        "graph": graph | {"modelUri": (tmp_path / "link.joblib").as_uri()}
    }
    outside = "which lies outside the manifest's folder\n  = help: name the folder that it may read: `--mount"
    assert outside in run(manifest(linked)).stderr
    said = run(manifest(linked), "--mount", "etc=/etc").stderr
    assert "outside" not in said
    assert "`hostPath`, which a local run cannot provide" in said
    long = predictor(graph=graph | {"modelUri": str(tmp_path / LONG)})
    assert "unit `m` cannot be prepared: file name too long: `" in run(manifest(long)).stderr


def test_a_host_that_cannot_be_is_said_before_anything_starts(run: Run) -> None:
    for host in ("a" * 80, "ä" * 80):
        result = run(manifest(predictor()), "--host", host)
        assert result.stderr == f"error: cannot listen at {host}: it is not the name of a host\n"
    result = run(manifest(predictor()), "--host", "192.0.2.1")
    assert result.stderr == "error: cannot listen at 192.0.2.1: cannot assign requested address\n"


def test_what_would_command_the_terminal_is_escaped(run: Run) -> None:
    red = "\x1b[31mred\nline"
    said = run(manifest(predictor(), protocol=red)).stderr
    assert said == ("error: `d` speaks protocol `\\x1b[31mred\\x0aline`; a local run speaks v2 only\n")
    for each in (predictor(graph={"name": red}), predictor(container={"name": red}), predictor(red)):
        said = run(manifest(each)).stderr
        assert "\x1b" not in said
        assert "\\x1b[31mred\\x0aline" in said


@pytest.mark.parametrize("source", [{"emptyDir": None}, {}, {"secret": None}])
def test_a_volume_without_a_source_is_an_empty_folder(
    source: Fields, plan: Callable[..., object], tmp_path: Path
) -> None:
    text = manifest(with_volume(source))
    plan(text)
    assert [*(tmp_path / "run" / "volumes" / "0").iterdir()] == [tmp_path / "run" / "volumes" / "0" / "v"]
    assert (tmp_path / "run" / "units" / "m" / "root" / "v").is_symlink()


def test_references_that_never_end_take_no_time() -> None:
    started = time.process_time()
    for text in ("$(" * 50_000, ")" + "$(" * 50_000, "$(A)" + "$(" * 50_000 + "$$"):
        expected = text.replace("$(A)", "1").replace("$$", "$")
        assert expand(text, {"A": "1"}) == expected
    assert time.process_time() - started < 2


def test_an_environment_that_no_process_can_have_is_refused() -> None:
    env = {f"V{index}": "x" * 100_000 for index in range(64)}
    with pytest.raises(ValueError, match="the environment is longer than this system lets a process have"):
        check_words(("python",), env)


def test_many_predictors_are_refused_in_time(run: Run) -> None:
    started = time.process_time()
    result = run(manifest(*(predictor(f"p{index}") | {"traffic": 1} for index in range(1500))))
    assert result.stderr == "error: `d` has more than 1000 units\n"
    assert time.process_time() - started < 20
