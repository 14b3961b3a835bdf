"""Signatures of LightGBM files against what the boosters themselves predict, and files that are damaged."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from graphc.artefacts.read_signature import read_signature
from graphc.artefacts.signature import ArtefactFault, ArtefactTensor, Signature
from graphc.diagnostics.codes.artefacts import UNREADABLE_ARTEFACT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LIGHTGBM: Final[Any] = importlib.import_module("lightgbm")
Array = np.ndarray[Any, Any]

POINTS: Final[Array] = np.random.default_rng(5).random((60, 4))
VALUES: Final[Array] = POINTS.sum(axis=1)
TWO: Final[Array] = np.arange(60) % 2
THREE: Final[Array] = np.arange(60) % 3

BOOSTERS: Final[Mapping[str, tuple[dict[str, object], Array]]] = {
    "regression": ({"objective": "regression"}, VALUES),
    "binary": ({"objective": "binary"}, TWO),
    "multiclass": ({"objective": "multiclass", "num_class": 3}, THREE),
    "one against all": ({"objective": "multiclassova", "num_class": 3}, THREE),
    "poisson": ({"objective": "poisson"}, THREE),
    "quantile": ({"objective": "quantile", "alpha": 0.9}, VALUES),
    "ranking": ({"objective": "lambdarank"}, TWO),
    "forest": ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, VALUES),
    "dart": ({"boosting": "dart"}, VALUES),
    "linear trees": ({"linear_tree": True}, VALUES),
    "categories": ({"objective": "regression", "categorical_feature": [0]}, VALUES),
}


def train(name: str, rounds: int = 3) -> Any:
    parameters, target = BOOSTERS[name]
    points = np.column_stack([THREE, POINTS[:, 1:]]) if name == "categories" else POINTS
    data = LIGHTGBM.Dataset(points, target, group=[60] if name == "ranking" else None)
    return LIGHTGBM.train({**parameters, "verbose": -1, "num_threads": 1, "num_leaves": 4}, data, rounds)


def read(data: bytes, folder: Path) -> Signature | ArtefactFault:
    (folder / "model.txt").write_bytes(data)
    return read_signature(folder / "model.txt", "lightgbm")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", BOOSTERS)
def test_a_booster_is_described_as_it_predicts(name: str, tmp_path: Path) -> None:
    booster, path = train(name), tmp_path / "model.txt"
    booster.save_model(path)
    prediction: Array = booster.predict(POINTS)
    signature = read_signature(path, "lightgbm")
    assert isinstance(signature, Signature), signature
    assert signature.inputs == (ArtefactTensor("X", None, ("batch", 4)),)
    assert signature.outputs == (ArtefactTensor("predict", "FP64", ("batch", *prediction.shape[1:])),)
    assert prediction.dtype == np.float64


def test_thousands_of_features_and_trees_are_passed(tmp_path: Path) -> None:
    points = np.random.default_rng(1).random((20, 20_000))
    data = LIGHTGBM.Dataset(
        points, points[:, 0], feature_name=[f"a_long_name_of_feature_{i:032d}" for i in range(20_000)]
    )
    LIGHTGBM.train({"verbose": -1, "num_threads": 1, "min_data_in_leaf": 2}, data, 2).save_model(
        tmp_path / "m.txt"
    )
    signature = read_signature(tmp_path / "m.txt", "lightgbm")
    assert isinstance(signature, Signature), signature
    assert signature.inputs[0].shape == ("batch", 20_000)


SOUND: Final[bytes] = train("multiclass").model_to_string().encode()
BROKEN: Final[Mapping[str, bytes]] = {
    "empty": b"",
    "text": b"A note about the model.\n",
    "no trees": b"tree\n",
    "a header without end": b"tree\n" + b"a=b\n" * 1_000_000,
    "a line without end": b"tree\n" + b"x" * 4_000_000,
    "no count of features": SOUND.replace(b"max_feature_idx=3", b"max_feature=3"),
    "a count that is none": SOUND.replace(b"max_feature_idx=3", b"max_feature_idx=many"),
    "a count without limit": SOUND.replace(b"max_feature_idx=3", b"max_feature_idx=" + b"3" * 5000),
    "no columns": SOUND.replace(b"num_tree_per_iteration=3", b"num_tree_per_iteration=0"),
    "cut": SOUND[: len(SOUND) // 2],
    "cut within the header": SOUND[:80],
    "lines of another system": SOUND.replace(b"\n", b"\r\n"),
    "a tree that was changed": SOUND.replace(b"num_cat=0\n", b"", 1),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_bytes_are_a_fault(name: str, tmp_path: Path) -> None:
    fault = read(BROKEN[name], tmp_path)
    assert isinstance(fault, ArtefactFault)
    assert fault.rule is UNREADABLE_ARTEFACT
    assert fault.message.startswith("`model.txt` is not a LightGBM model: ")


@settings(max_examples=300, deadline=None, suppress_health_check=(HealthCheck.function_scoped_fixture,))
@given(changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6), share=st.floats(0, 1))
def test_a_damaged_file_never_raises(changes: list[tuple[float, int]], share: float, tmp_path: Path) -> None:
    data = bytearray(SOUND)
    for place, byte in changes:
        data[int(place * (len(data) - 1))] = byte
    assert isinstance(read(bytes(data[: int(share * len(data))]), tmp_path), Signature | ArtefactFault)
