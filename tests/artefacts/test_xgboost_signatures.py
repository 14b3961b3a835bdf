"""Signatures of XGBoost files against what the boosters themselves predict."""

import importlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from graphc.artefacts.read_signature import read_signature
from graphc.artefacts.signature import ArtefactFault, ArtefactTensor, Signature
from graphc.diagnostics.codes.artefacts import UNKNOWN_SIGNATURE, UNREADABLE_ARTEFACT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

XGBOOST: Final[Any] = importlib.import_module("xgboost")
Array = np.ndarray[Any, Any]

POINTS: Final[Array] = np.random.default_rng(5).random((30, 4))
VALUES: Final[Array] = POINTS.sum(axis=1)
TWO: Final[Array] = np.arange(30) % 2
THREE: Final[Array] = np.arange(30) % 3

BOOSTERS: Final[Mapping[str, tuple[dict[str, object], Array]]] = {
    "regression": ({"objective": "reg:squarederror"}, VALUES),
    "linear": ({"objective": "reg:squarederror", "booster": "gblinear"}, VALUES),
    "dart": ({"objective": "reg:squarederror", "booster": "dart"}, VALUES),
    "two targets": ({"objective": "reg:squarederror"}, np.column_stack([VALUES, TWO])),
    "one tree for all targets": (
        {"objective": "reg:squarederror", "multi_strategy": "multi_output_tree"},
        np.column_stack([VALUES, TWO]),
    ),
    "quantiles": ({"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}, VALUES),
    "binary": ({"objective": "binary:logistic"}, TWO),
    "hinge": ({"objective": "binary:hinge"}, TWO),
    "softprob": ({"objective": "multi:softprob", "num_class": 3}, THREE),
    "softmax": ({"objective": "multi:softmax", "num_class": 3}, THREE),
    "count": ({"objective": "count:poisson"}, THREE),
    "ranking": ({"objective": "rank:pairwise"}, TWO),
    "survival": ({"objective": "survival:cox"}, VALUES),
}


def train(name: str) -> Any:
    parameters, target = BOOSTERS[name]
    return XGBOOST.train({**parameters, "max_depth": 2}, XGBOOST.DMatrix(POINTS, target), 2)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", ["json", "ubj"])
@pytest.mark.parametrize("name", BOOSTERS)
def test_a_booster_is_described_as_it_predicts(name: str, suffix: str, tmp_path: Path) -> None:
    booster, path = train(name), tmp_path / f"model.{suffix}"
    booster.save_model(path)
    prediction: Array = booster.predict(XGBOOST.DMatrix(POINTS))
    signature = read_signature(path, "xgboost")
    assert isinstance(signature, Signature), signature
    assert signature.inputs == (ArtefactTensor("X", None, ("batch", 4)),)
    assert signature.outputs == (ArtefactTensor("predict", "FP32", ("batch", *prediction.shape[1:])),)
    assert prediction.dtype == np.float32


@pytest.mark.parametrize("suffix", ["json", "ubj"])
def test_names_and_attributes_do_no_harm(suffix: str, tmp_path: Path) -> None:
    booster = train("softprob")
    booster.feature_names = ['a "quoted" name', "brackets ]}{[", "backslash \\", "ünïcödé"]
    booster.set_attr(note='{"learner": [}', empty="")
    booster.save_model(tmp_path / f"model.{suffix}")
    signature = read_signature(tmp_path / f"model.{suffix}", "xgboost")
    assert isinstance(signature, Signature), signature
    assert signature.outputs == (ArtefactTensor("predict", "FP32", ("batch", 3)),)


def test_the_suffix_need_not_tell_the_form(tmp_path: Path) -> None:
    train("binary").save_model(tmp_path / "model.ubj")
    (tmp_path / "model.ubj").rename(tmp_path / "model.json")
    assert isinstance(read_signature(tmp_path / "model.json", "xgboost"), Signature)


LEARNER: Final = b'{"learner": {"learner_model_param": {"num_class": "0", "num_feature": "4"}}}'
BROKEN: Final[Mapping[str, bytes]] = {
    "empty": b"",
    "text": b"not a model",
    "no object": b"[1, 2]",
    "no learner": b'{"version": [1]}',
    "no parameters": b'{"learner": {}}',
    "a count that is none": LEARNER.replace(b'"4"', b'"many"'),
    "a count that is negative": LEARNER.replace(b'"4"', b'"-4"'),
    "a count that is no text": LEARNER.replace(b'"4"', b"4"),
    "a count without limit": LEARNER.replace(b'"4"', b'"' + b"4" * 5000 + b'"'),
    "a text without end": b'{"learner": {"a": "' + b"x" * 1_000_000,
    "a text of escapes without end": b'{"learner": {"a": "' + b"\\\\" * 1_000_000,
    "deep": b'{"learner": {"a": ' + b"[" * 1_000_000,
    "cut": LEARNER[:-4],
    "ubjson cut": b"{L\x00\x00",
    "ubjson with a length without limit": b"{L\x7f" + b"\xff" * 7,
    "ubjson with a negative length": b"{L\xff" + b"\xff" * 7,
    "ubjson with an unknown marker": b"{i\x01a?",
    "ubjson that is deep": b"{i\x07learner{i\x01a" + b"[" * 1_000_000,
    "ubjson with a huge array": b"{i\x07learner{i\x01a[$d#L\x7f" + b"\xff" * 7,
    "ubjson with an untyped array": b"{i\x07learner{i\x01a[$d}",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_bytes_are_a_fault(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(BROKEN[name])
    fault = read_signature(path, "xgboost")
    assert isinstance(fault, ArtefactFault)
    assert fault.rule is UNREADABLE_ARTEFACT
    assert fault.message.startswith("`model.json` is not an XGBoost model: ")


def test_an_endless_array_of_nothing_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "model.ubj"
    path.write_bytes(b"{i\x07learner{i\x01a[" + b"Z" * 4_000_000)
    fault = read_signature(path, "xgboost")
    assert isinstance(fault, ArtefactFault)
    assert fault.rule is UNKNOWN_SIGNATURE


def test_a_typed_array_of_nothing_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "model.ubj"
    path.write_bytes(b"{i\x07learner{i\x01a[$[#L\x7f" + b"\xff" * 7 + b"]" * 4_000_000)
    assert isinstance(read_signature(path, "xgboost"), ArtefactFault)


SOUND: Final = ("json", "ubj")


@cache
def sound_files() -> dict[str, bytes]:
    booster = train("softprob")
    return {form: bytes(booster.save_raw(raw_format=form)) for form in SOUND}


QUIET: Final = (HealthCheck.function_scoped_fixture,)
CHANGES: Final = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6)


@settings(max_examples=400, deadline=None, suppress_health_check=QUIET)
@given(form=st.sampled_from(SOUND), changes=CHANGES, share=st.floats(0, 1))
def test_a_damaged_file_never_raises(
    form: str, changes: list[tuple[float, int]], share: float, tmp_path: Path
) -> None:
    data = bytearray(sound_files()[form])
    for place, byte in changes:
        data[int(place * (len(data) - 1))] = byte
    path = tmp_path / f"model.{form}"
    path.write_bytes(data[: int(share * len(data))])
    assert isinstance(read_signature(path, "xgboost"), Signature | ArtefactFault)
