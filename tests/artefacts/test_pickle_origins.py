"""What a pickled model needs of the image that loads it is told without loading it."""

import importlib
import pickle
import sys
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import pytest
from graphc.artefacts.read_signature import read_signature
from graphc.artefacts.signature import ArtefactFault, Origin, Signature
from graphc.diagnostics.codes.artefacts import MISSING_CLASS, OTHER_VERSION
from graphc.frontend.check_origin import find_origin_faults
from graphc.runtime_image import read_image

JOBLIB: Final[Any] = importlib.import_module("joblib")
LINEAR: Final[Any] = importlib.import_module("sklearn.linear_model")
PIPELINE: Final[Any] = importlib.import_module("sklearn.pipeline")
PREPROCESSING: Final[Any] = importlib.import_module("sklearn.preprocessing")
SKLEARN: Final[str] = importlib.import_module("sklearn").__version__


def pipeline(module: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A fitted pipeline with a class and a function of a module."""

    class Log:
        def fit(self, *_: Any) -> "Log":
            return self

        def transform(self, rows: Any) -> Any:
            return np.log1p(rows)

    def clean(rows: Any) -> Any:
        return rows

    holder = sys.modules.get(module) or ModuleType(module)
    monkeypatch.setitem(sys.modules, module, holder)
    things: list[Any] = [Log, clean]
    for thing in things:
        thing.__module__, thing.__qualname__ = module, thing.__name__
        monkeypatch.setattr(holder, thing.__name__, thing, raising=False)
    steps = [Log(), PREPROCESSING.FunctionTransformer(clean), LINEAR.LinearRegression()]
    return PIPELINE.make_pipeline(*steps).fit(np.eye(4), np.arange(4))


def origin_of(path: Path) -> Origin:
    return read_signature(path, "sklearn").origin


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_classes_of_scripts_and_of_absent_modules_are_told(
    protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("__main__", "riskteam"):
        model = pipeline(module, monkeypatch)
        (tmp_path / "m.pkl").write_bytes(pickle.dumps(model, protocol=protocol))
        origin = origin_of(tmp_path / "m.pkl")
        assert {(module, "Log"), (module, "clean")} <= set(origin.needs)
        (fault,) = find_origin_faults("m.pkl", origin)
        assert fault.rule is MISSING_CLASS
        assert "`Log`" in fault.message
        assert ("script" if module == "__main__" else module) in fault.message


@pytest.mark.parametrize("compress", [0, 3, ("bz2", 3)])
def test_they_are_told_of_joblib_files_too(
    compress: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = BytesIO()
    JOBLIB.dump(pipeline("__main__", monkeypatch), buffer, compress=compress)
    (tmp_path / "m.joblib").write_bytes(buffer.getvalue())
    assert ("__main__", "Log") in origin_of(tmp_path / "m.joblib").needs


def test_what_the_image_has_is_no_fault(tmp_path: Path) -> None:
    model = PIPELINE.make_pipeline(PREPROCESSING.FunctionTransformer(np.log1p), LINEAR.LinearRegression())
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(model.fit(np.eye(4), np.arange(4))))
    assert list(find_origin_faults("m.pkl", origin_of(tmp_path / "m.pkl"))) == []


@pytest.mark.parametrize("other", ["1.3.2", "9.0.0"])
def test_another_version_is_warned_of_with_both_numbers(other: str, tmp_path: Path) -> None:
    model = LINEAR.LinearRegression().fit(np.eye(4), np.arange(4))
    data = pickle.dumps(model, protocol=0).replace(SKLEARN.encode(), other.encode())
    (tmp_path / "m.pkl").write_bytes(data)
    cache = tmp_path / "cache"
    for _ in range(2):
        signature = read_signature(tmp_path / "m.pkl", "sklearn", folder=cache)
        assert isinstance(signature, Signature)
        (fault,) = find_origin_faults("m.pkl", signature.origin)
        assert fault.rule is OTHER_VERSION
        assert f"`{other}`" in fault.message
        assert f"`{read_image().packages['scikit-learn']}`" in fault.message


def test_the_version_is_told_of_models_that_do_not_tell_their_tensors(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(b"csklearn.odd\nOdd\n)R(dV_sklearn_version\nV1.3.2\nsb.")
    fault = read_signature(tmp_path / "m.pkl", "sklearn")
    assert isinstance(fault, ArtefactFault)
    assert fault.origin.version == "1.3.2"
