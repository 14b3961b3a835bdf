"""From a predictor to what is started: volumes, mounts, artefacts, and what cannot run here."""

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml
from graphc.run.plan import RunPlan, UnitProcess
from graphc.run.problem import Findings
from graphc.run.volumes import LocalFiles

Plan = Callable[..., tuple[RunPlan, Findings]]

RUNTIME = {"name": "MLSERVER_MODEL_IMPLEMENTATION", "value": "tiny_affine.Affine"}


def manifest(
    container: Mapping[str, object] | None = None,
    pod: Mapping[str, object] | None = None,
    graph: Mapping[str, object] | None = None,
    others: tuple[Mapping[str, object], ...] = (),
) -> str:
    containers = [{"name": "m", "image": "i:1", "env": [RUNTIME]} | dict(container or {})]
    predictor = {
        "name": "main",
        "graph": {"name": "m", "type": "MODEL"} | dict(graph or {}),
        "componentSpecs": [{"spec": {"containers": containers} | dict(pod or {})}],
    }
    deployment = {
        "kind": "SeldonDeployment",
        "metadata": {"name": "d"},
        "spec": {"protocol": "v2", "predictors": [predictor]},
    }
    return yaml.safe_dump_all([*others, deployment])


def empty(name: str) -> dict[str, object]:
    nothing: dict[str, object] = {}
    return {"name": name, "emptyDir": nothing}


def only(plan: Plan, text: str, **sources: object) -> UnitProcess:
    made, findings = plan(text, **sources)
    assert findings == Findings()
    assert len(made.processes) == 1
    return made.processes[0]


def refusals(plan: Plan, text: str, **sources: object) -> list[str]:
    return [str(each) for each in plan(text, **sources)[1].problems]


CONFIG_MAP = {
    "kind": "ConfigMap",
    "metadata": {"name": "c"},
    "data": {"post.py": "x = 1"},
    "binaryData": {"m.onnx": base64.b64encode(b"\x00\xff").decode()},
}


def test_config_maps_lie_where_the_container_has_them(plan: Plan) -> None:
    text = manifest(
        {
            "env": [
                RUNTIME,
                {"name": "PLACE", "value": "/mnt/graphc/post/post.py"},
                {"name": "P", "value": "/p"},
            ],
            "volumeMounts": [
                {"name": "all", "mountPath": "/mnt/graphc/post"},
                {"name": "some", "mountPath": "/mnt/graphc/model/"},
                {"name": "all", "mountPath": "/file.py", "subPath": "post.py"},
            ],
        },
        {
            "volumes": [
                {"name": "all", "configMap": {"name": "c"}},
                {
                    "name": "some",
                    "configMap": {"name": "c", "items": [{"key": "m.onnx", "path": "a/b.onnx"}]},
                },
            ]
        },
        others=(CONFIG_MAP,),
    )
    process = only(plan, text)
    root = Path(process.env["GRAPHC_ARTIFACTS"])
    assert (root / "post" / "post.py").read_text() == "x = 1"
    assert (root / "post" / "m.onnx").read_bytes() == b"\x00\xff"
    assert (root / "model" / "a" / "b.onnx").read_bytes() == b"\x00\xff"
    assert (root / "../../file.py").resolve().read_text() == "x = 1"
    assert process.env["PLACE"] == str(root / "post" / "post.py")
    assert process.env["P"] == "/p"


def test_claims_and_empty_folders(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "claim" / "below").mkdir(parents=True)
    (tmp_path / "claim" / "below" / "model.bin").write_text("data")
    text = manifest(
        {
            "env": [RUNTIME, {"name": "MLSERVER_MODEL_URI", "value": "/mnt/models/model.bin"}],
            "volumeMounts": [
                {"name": "models", "mountPath": "/mnt/models", "subPath": "below"},
                {"name": "scratch", "mountPath": "/scratch"},
                {"name": "scratch", "mountPath": "/part", "subPath": "part"},
            ],
        },
        {
            "volumes": [
                {"name": "models", "persistentVolumeClaim": {"claimName": "shelf"}},
                empty("scratch"),
            ]
        },
    )
    assert refusals(plan, text) == [
        "the volume claim `shelf` is not here\n  = help: give it with `--mount shelf=DIR`"
    ]


def test_a_claims_files_are_seen(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "claim" / "below").mkdir(parents=True)
    (tmp_path / "claim" / "below" / "model.bin").write_text("data")
    text = manifest(
        {
            "env": [RUNTIME, {"name": "MLSERVER_MODEL_URI", "value": "/mnt/models/model.bin"}],
            "volumeMounts": [{"name": "models", "mountPath": "/mnt/models", "subPath": "below"}],
        },
        {"volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "shelf"}}]},
    )
    process = only(plan, text, claims={"shelf": tmp_path / "claim"})
    assert Path(process.env["MLSERVER_MODEL_URI"]).read_text() == "data"
    assert process.argv[-1] == str(Path(process.env["MLSERVER_MODEL_URI"]).parent)


def test_nothing_is_left_in_a_claims_folder(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "claim").mkdir()
    text = manifest(
        {
            "volumeMounts": [
                {"name": "models", "mountPath": "/mnt"},
                {"name": "scratch", "mountPath": "/mnt/deeper/still"},
            ]
        },
        {
            "volumes": [
                {"name": "models", "persistentVolumeClaim": {"claimName": "shelf"}},
                empty("scratch"),
            ]
        },
    )
    assert refusals(plan, text, claims={"shelf": tmp_path / "claim"}) == [
        "container `m` mounts `/mnt/deeper/still` below a folder of yours"
    ]
    assert list((tmp_path / "claim").iterdir()) == []


def test_local_files_stand_for_mounts(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "big.onnx").write_text("model")
    text = manifest(
        {"volumeMounts": [{"name": "v", "mountPath": "/mnt/graphc/lr", "readOnly": True}]},
        {"volumes": [empty("v")]},
    )
    process = only(
        plan,
        text,
        overrides={
            "/mnt/graphc/lr": LocalFiles({"big.onnx": tmp_path / "big.onnx", "d/x": tmp_path / "big.onnx"})
        },
    )
    root = Path(process.env["GRAPHC_ARTIFACTS"])
    assert (root / "lr" / "big.onnx").read_text() == (root / "lr" / "d" / "x").read_text() == "model"


def test_the_users_python_gets_copies_apart_from_its_folder(plan: Plan, tmp_path: Path) -> None:
    """What lies beside a module here, and is not shipped, must not be found from it; nor may it be written to."""
    folder = tmp_path / "graph"
    folder.mkdir()
    for name in ("post.py", "vocab.txt", "secret.txt"):
        (folder / name).write_text("here")
    text = manifest(
        {"volumeMounts": [{"name": "v", "mountPath": "/mnt/graphc/post", "readOnly": True}]},
        {"volumes": [empty("v")]},
    )
    files = {"post.py": folder / "post.py", "data/vocab.txt": folder / "vocab.txt"}
    process = only(plan, text, overrides={"/mnt/graphc/post": LocalFiles(files, copied=True)})
    module = Path(process.env["GRAPHC_ARTIFACTS"], "post", "post.py")
    assert not module.resolve().is_relative_to(folder)
    beside = {each.relative_to(module.resolve().parent) for each in module.resolve().parent.rglob("*")}
    assert beside == {Path("post.py"), Path("data"), Path("data/vocab.txt")}
    assert (module.parent / "data" / "vocab.txt").stat().st_mode & 0o777 == 0o444
    assert (folder / "vocab.txt").stat().st_mode & 0o200


FETCH = ["python", "-m", "graphc_runtimes.fetch", "s3://bucket/$(KEY)", "/mnt/graphc/lr"]


def init(command: list[str], **more: object) -> dict[str, object]:
    mounts = [{"name": "v", "mountPath": "/mnt/graphc/lr"}]
    return {"name": "load", "image": "i:1", "command": command, "volumeMounts": mounts} | more


def with_init(container: dict[str, object]) -> str:
    return manifest(
        {"volumeMounts": [{"name": "v", "mountPath": "/mnt/graphc/lr"}]},
        {"initContainers": [container], "volumes": [empty("v")]},
    )


def test_downloads_go_to_the_volume(plan: Plan) -> None:
    text = with_init(init(FETCH, env=[{"name": "KEY", "value": "lr.onnx"}]))
    made, findings = plan(text)
    assert findings == Findings()
    (fetch,) = made.fetches
    target = Path(made.processes[0].env["GRAPHC_ARTIFACTS"], "lr").resolve()
    assert fetch.argv[1:] == ("-m", "graphc_runtimes.fetch", "s3://bucket/lr.onnx", str(target))
    assert fetch.env["KEY"] == "lr.onnx"


def test_a_downloads_secret_is_the_users_own(plan: Plan) -> None:
    _, findings = plan(with_init(init(FETCH, envFrom=[{"secretRef": {"name": "s3"}}])))
    assert findings.problems == []
    assert [each.message for each in findings.warnings] == [
        "secret `s3` is not here; `load` uses the credentials of your own environment"
    ]


def test_other_init_containers_cannot_run(plan: Plan) -> None:
    assert refusals(plan, with_init(init(["sh", "-c", "cp a b"]))) == [
        "init container `load` of unit `m` cannot run here: "
        "only `python -m graphc_runtimes.fetch URI FOLDER` can"
    ]


def test_an_init_container_of_another_volume_is_left_out(plan: Plan) -> None:
    other = init(["sh", "-c", "true"], volumeMounts=[{"name": "w", "mountPath": "/w"}])
    assert plan(with_init(other))[1] == Findings()


def packaged(implementation: str, uri: str | None) -> str:
    deployment = {
        "kind": "SeldonDeployment",
        "metadata": {"name": "d"},
        "spec": {
            "protocol": "v2",
            "predictors": [
                {
                    "name": "main",
                    "graph": {"name": "m", "implementation": implementation}
                    | ({"modelUri": uri} if uri else {}),
                }
            ],
        },
    }
    return json.dumps(deployment)


def test_a_packaged_server_needs_its_package(plan: Plan, modules: Path, tmp_path: Path) -> None:
    (tmp_path / "model.joblib").write_text("model")
    text = packaged("SKLEARN_SERVER", str(tmp_path / "model.joblib"))
    assert refusals(plan, text) == [
        "unit `m` runs `mlserver_sklearn.SKLearnModel`, and `mlserver_sklearn` is not installed here\n"
        "  = help: pip install mlserver-sklearn"
    ]


def test_a_packaged_server_needs_a_uri(plan: Plan, modules: Path) -> None:
    (modules / "mlserver_xgboost.py").write_text("")
    assert refusals(plan, packaged("XGBOOST_SERVER", "s3://bob:s3cr3t@[x")) == [
        "the model of unit `m` is at `s3://...@[x`, which is not a URI"
    ]


def test_a_packaged_server_finds_its_model(plan: Plan, modules: Path, tmp_path: Path) -> None:
    (modules / "mlserver_xgboost.py").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "model.json").write_text("model")
    process = only(plan, packaged("XGBOOST_SERVER", (tmp_path / "folder").as_uri()))
    assert process.env["MLSERVER_MODEL_IMPLEMENTATION"] == "mlserver_xgboost.XGBoostModel"
    assert Path(process.env["MLSERVER_MODEL_URI"], "model.json").read_text() == "model"


def test_a_packaged_servers_model_is_downloaded(plan: Plan, modules: Path) -> None:
    (modules / "mlserver_mlflow.py").write_text("")
    made, findings = plan(packaged("MLFLOW_SERVER", "gs://bucket/m"))
    assert findings == Findings()
    assert made.fetches[0].argv[3:] == ("gs://bucket/m", made.processes[0].argv[-1])


def test_parameters_reach_the_server(plan: Plan, modules: Path) -> None:
    (modules / "mlserver_huggingface.py").write_text("")
    document = json.loads(packaged("HUGGINGFACE_SERVER", None))
    graph = document["spec"]["predictors"][0]["graph"]
    graph["parameters"] = [{"name": "task", "type": "STRING", "value": "text-generation"}]
    process = only(plan, json.dumps(document))
    assert json.loads(process.env["PREDICTIVE_UNIT_PARAMETERS"]) == graph["parameters"]
    assert "MLSERVER_MODEL_URI" not in process.env


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            packaged("TRITON_SERVER", "gs://b/m"),
            "unit `m` is a `TRITON_SERVER`, which graphc cannot run here: only units on MLServer can",
        ),
        (packaged("MY_SERVER", "gs://b/m"), "unit `m` is a `MY_SERVER`, which graphc cannot run here"),
        (manifest(graph={"name": "other"}), "unit `other` has no container of its name"),
        (
            manifest({"command": ["python", "serve.py"]}),
            "unit `m` runs a command of its own, `python`, which graphc cannot run here: "
            "only `mlserver start FOLDER` can",
        ),
        (
            manifest({"env": [{"name": "MLSERVER_MODEL_IMPLEMENTATION", "value": "nowhere.Model"}]}),
            "unit `m` runs `nowhere.Model`, and `nowhere` is not installed here",
        ),
        (manifest({"env": []}), "unit `m` runs image `i:1`, which graphc cannot run here"),
        (
            manifest({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}),
            "container `m` mounts `v`, which is not a volume of its pod",
        ),
        (
            manifest(
                {"volumeMounts": [{"name": "v", "mountPath": "/v"}]},
                {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]},
            ),
            "volume `v` is a `secret`, which a local run cannot provide",
        ),
        (
            manifest(
                {"volumeMounts": [{"name": "v", "mountPath": "/v"}]},
                {"volumes": [{"name": "v", "configMap": {"name": "absent"}}]},
            ),
            "volume `v` needs config map `absent`, which is not among the documents",
        ),
        (
            manifest(
                {"volumeMounts": [{"name": "v", "mountPath": "/../../../../etc"}]},
                {"volumes": [empty("v")]},
            ),
            "container `m` has a mount without a usable path",
        ),
        (
            manifest(
                {"volumeMounts": [{"name": "v", "mountPath": "/v"}]},
                {
                    "volumes": [
                        {
                            "name": "v",
                            "configMap": {"name": "c", "items": [{"key": "post.py", "path": "../../up"}]},
                        }
                    ]
                },
                others=(CONFIG_MAP,),
            ),
            "`../../up` in config map `c` is not a usable file name",
        ),
        (
            manifest(
                {"volumeMounts": [{"name": "../v", "mountPath": "/v"}]},
                {"volumes": [empty("../v")]},
            ),
            "container `m` mounts `../v`, which is not a volume of its pod",
        ),
        (
            manifest({"name": "../m"}, graph={"name": "../m"}),
            "`../m` is not a unit name that a container can have",
        ),
    ],
)
def test_what_cannot_run_is_said(plan: Plan, text: str, message: str) -> None:
    assert [each.message for each in plan(text)[1].problems] == [message]


def test_a_sidecar_is_said_and_left_out(plan: Plan) -> None:
    document = yaml.safe_load(manifest())
    pod = document["spec"]["predictors"][0]["componentSpecs"][0]["spec"]
    pod["containers"].append({"name": "sidecar", "image": "s:1"})
    made, findings = plan(yaml.safe_dump(document))
    assert [each.unit for each in made.processes] == ["m"]
    assert [each.message for each in findings.warnings] == [
        "container `sidecar` is no unit of the graph and does not run here"
    ]


def test_model_settings_in_a_volume_are_enough(plan: Plan) -> None:
    settings = {"kind": "ConfigMap", "metadata": {"name": "s"}, "data": {"model-settings.json": "{}"}}
    text = manifest(
        {"env": [], "command": ["mlserver"], "args": ["start", "/srv"]}
        | {"volumeMounts": [{"name": "v", "mountPath": "/srv"}]},
        {"volumes": [{"name": "v", "configMap": {"name": "s"}}]},
        others=(settings,),
    )
    process = only(plan, text)
    assert Path(process.argv[-1], "model-settings.json").read_text() == "{}"


def test_ports_and_environment_are_the_units_own(
    plan: Plan, manifest_text: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLSERVER_DEBUG", "false")
    monkeypatch.setenv("GRAPHC_REGION", "{}")
    monkeypatch.setenv("HTTP_PROXY_SAMPLE", "kept")
    made, _ = plan(manifest_text(a=1, b=2))
    numbers = [number for each in made.processes for number in (each.ports.http, each.ports.grpc)]
    assert len(set(numbers)) == 4
    for each in made.processes:
        assert each.env["MLSERVER_HTTP_PORT"] == str(each.ports.http)
        assert each.env["MLSERVER_METRICS_PORT"] == str(each.ports.metrics)
        assert each.env["MLSERVER_MODEL_NAME"] == each.unit
        assert each.env["MLSERVER_HOST"] == "127.0.0.1"
        assert each.env["HTTP_PROXY_SAMPLE"] == "kept"
        assert "MLSERVER_DEBUG" not in each.env
        assert "GRAPHC_REGION" not in each.env
