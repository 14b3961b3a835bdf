"""What an `MLmodel` says of its tensors, and what is no signature."""

import json
from pathlib import Path

import pytest
from graphc.artefacts.described import DescribedModel, DescribedTensor
from graphc.artefacts.mlflow_model import read_mlmodel
from graphc.artefacts.model_settings import read_settings


def mlmodel(inputs: object = None, outputs: object = None) -> str:
    """Write a file as MLflow does: schemas are JSON in a text."""
    schemas = {"inputs": inputs, "outputs": outputs}
    signature = {name: each if each is None else json.dumps(each) for name, each in schemas.items()}
    return json.dumps({"flavors": {"python_function": {}}, "signature": {**signature, "params": None}})


def tensor(dtype: str, *shape: int, **more: str) -> dict[str, object]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}, **more}


def read(inputs: object = None, outputs: object = None) -> DescribedModel:
    found = read_mlmodel(mlmodel(inputs, outputs), "m/MLmodel")
    assert found is not None
    return found


def test_named_tensors_are_taken_as_they_are_and_answers_of_one_dimension_have_two() -> None:
    found = read([tensor("float32", -1, 3, name="x")], [tensor("str", -1, name="label")])
    assert found.inputs == {"x": DescribedTensor("FP32", (None, 3))}
    assert found.required == ("x",)
    assert found.outputs == {"label": DescribedTensor("BYTES", (None, 1))}


def test_a_tensor_without_a_name_takes_any_and_is_answered_as_output_1() -> None:
    found = read([tensor("float64", -1, 3)], [tensor("int64", -1, 2)])
    assert (found.inputs, found.required) == (None, ())
    assert found.outputs == {"output-1": DescribedTensor("INT64", (None, 2))}


@pytest.mark.parametrize("optional", [{"required": False}, {"optional": True}])
def test_columns_take_narrower_numbers_and_may_be_left_out(optional: dict[str, object]) -> None:
    columns = [{"type": "double", "name": "a", "required": True}, {"type": "string", "name": "b", **optional}]
    found = read(columns, [{"type": "long", "name": "c"}])
    assert found.inputs is not None
    assert {"FP32", "INT64"} < found.inputs["a"].accepts
    assert (found.inputs["a"].datatype, found.inputs["b"].datatype) == ("FP64", "BYTES")
    assert found.required == ("a",)
    # What a model makes of columns nobody checks.
    assert found.outputs == {"c": DescribedTensor(None, None)}


def test_kinds_that_are_unknown_may_be_anything() -> None:
    found = read(
        [{"type": "datetime", "name": "t"}, {"type": "array", "name": "l"}, tensor("complex64", 2, name="z")]
    )
    assert found.inputs is not None
    assert [each.datatype for each in found.inputs.values()] == [None] * 3
    assert read(None, [tensor("int64", -1), tensor("int64", -1)]).outputs is None


@pytest.mark.parametrize(
    "body",
    [
        "",
        "flavors: {}",
        "signature: 7",
        "signature: {inputs: 7, outputs: [1]}",
        "signature: {inputs: '[{', outputs: null}",
        "signature: {inputs: '[7, null]', outputs: '{}'}",
        f"signature: {{inputs: '{'[' * 100_000}'}}",
        "a: 1\n---\nsignature: {inputs: '[{\"type\": \"long\", \"name\": \"a\"}]'}",
        "a: [",
    ],
)  # fmt: skip
def test_what_has_no_signature_says_nothing(body: str) -> None:
    assert read_mlmodel(body, "MLmodel") is None


def test_settings_of_another_runtime_or_elsewhere_say_what_they_say(tmp_path: Path) -> None:
    own = [{"name": "x", "datatype": "FP32", "shape": [-1]}]
    for name, runtime, uri in (
        ("elsewhere", "mlserver_mlflow.MLflowRuntime", "s3://bucket/model"),
        ("absolute", "mlserver_mlflow.MLflowRuntime", "/models/own"),
        ("other", "mlserver_sklearn.SKLearnModel", "./model.joblib"),
    ):
        settings = {"name": name, "implementation": runtime, "parameters": {"uri": uri}, "inputs": own}
        (tmp_path / f"{name}.json").write_text(json.dumps(settings))
    files = [(f"{path.stem}/model-settings.json", path) for path in sorted(tmp_path.iterdir())]
    found = read_settings(files)
    assert not found.faults
    assert found.models.keys() == {"elsewhere", "absolute", "other"}
    assert all(each.inputs == {"x": DescribedTensor("FP32", (None,))} for each in found.models.values())
