"""Signatures of scikit-learn files against what the estimators themselves answer."""

import importlib
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from graphc.artefacts.read_signature import read_signature
from graphc.artefacts.signature import ArtefactFault, ArtefactTensor, Signature, Skipped
from graphc.artefacts.sklearn_estimators import KNOWN_CLASSES
from graphc.diagnostics.codes.artefacts import UNFITTED_MODEL, UNKNOWN_SIGNATURE

# scikit-learn and joblib carry no types.
JOBLIB: Final[Any] = importlib.import_module("joblib")
HALVING: Final = importlib.import_module("sklearn.experimental.enable_halving_search_cv")
SKLEARN: Final[Mapping[str, Any]] = {
    **dict(importlib.import_module("sklearn.utils").all_estimators()),
    **vars(importlib.import_module("sklearn.model_selection")),
}
REGRESSORS: Final = {
    str(name) for name, _ in importlib.import_module("sklearn.utils").all_estimators(type_filter="regressor")
}

Array = np.ndarray[Any, Any]

METHODS: Final = ("predict", "predict_proba", "decision_function", "transform")
ROWS: Final = 24

RNG: Final = np.random.default_rng(7)
X: Final = RNG.random((ROWS, 4))
THREE: Final = np.arange(ROWS) % 3
TWO: Final = np.arange(ROWS) % 2
VALUES: Final = X @ np.array([1.0, 2.0, 3.0, 4.0])
PAIRS: Final = np.column_stack([VALUES, -VALUES])

Dump = Callable[[object, Path], object]


def dump_pickle(protocol: int) -> Dump:
    return lambda model, path: path.write_bytes(pickle.dumps(model, protocol=protocol))


def dump_joblib(**options: Any) -> Dump:
    return lambda model, path: JOBLIB.dump(model, path, **options)


def dump_plainly(model: object, path: Path) -> object:
    return JOBLIB.dump(model, path)


DUMPS: Final[dict[str, Dump]] = {
    **{f"pickle-{protocol}": dump_pickle(protocol) for protocol in range(6)},
    **{f"joblib-{protocol}": dump_joblib(protocol=protocol) for protocol in range(6)},
    **{f"joblib-{name}": dump_joblib(compress=(name, 3)) for name in ("zlib", "gzip", "bz2", "lzma", "xz")},
    "joblib-zlib-2": dump_joblib(compress=3, protocol=2),
}


def read(model: object, path: Path, dump: Dump = dump_plainly) -> Signature | ArtefactFault:
    dump(model, path)
    return read_signature(path, "sklearn")


def signature_of(model: object, folder: Path) -> Signature:
    signature = read(model, folder / "model.joblib")
    assert isinstance(signature, Signature), signature
    return signature


def answers(model: Any, data: Any) -> dict[str, Array]:
    """What the estimator answers itself, sparse answers made dense, lists left out."""
    found: dict[str, Array] = {}
    for method in METHODS:
        if hasattr(model, method):
            answer = getattr(model, method)(data)
            if not isinstance(answer, list):
                found[method] = answer.toarray() if hasattr(answer, "toarray") else np.asarray(answer)
    return found


def datatype_of(array: Array) -> str:
    if array.dtype.kind in "OUS":
        return "BYTES"
    word = {"f": "FP", "i": "INT", "u": "UINT", "b": "BOOL"}[array.dtype.kind]
    return word if word == "BOOL" else f"{word}{array.dtype.itemsize * 8}"


def assert_describes(signature: Signature, model: Any, data: Any) -> None:
    real = answers(model, data)
    for output in signature.outputs:
        answer = real[output.name]
        assert output.datatype == datatype_of(answer), output
        assert output.shape is not None
        assert output.shape[0] == "batch"
        assert len(output.shape) == answer.ndim, output
        sizes = zip(output.shape[1:], answer.shape[1:], strict=True)
        assert all(said is None or said == size for said, size in sizes), (output, answer.shape)


# Every known class

LOGISTIC: Final[Any] = SKLEARN["LogisticRegression"]
RIDGE: Final[Any] = SKLEARN["Ridge"]
SCALER: Final[Any] = SKLEARN["StandardScaler"]
SEARCH: Final = {"param_grid": {"C": [1.0]}, "cv": 2}
DRAW: Final = {"param_distributions": {"C": [1.0]}, "cv": 2}

REDUCERS: Final = (
    "FactorAnalysis",
    "FastICA",
    "GaussianRandomProjection",
    "IncrementalPCA",
    "MiniBatchNMF",
    "NMF",
    "PCA",
    "SparsePCA",
)

ARGUMENTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "BisectingKMeans": {"n_clusters": 3},
    "ColumnTransformer": {"transformers": [("a", SCALER(), [0, 1]), ("b", SKLEARN["PCA"](1), [2, 3])]},
    "FrozenEstimator": {"estimator": LOGISTIC().fit(X, THREE)},
    "GaussianMixture": {"n_components": 3},
    "GridSearchCV": {"estimator": LOGISTIC(), **SEARCH},
    "HalvingGridSearchCV": {"estimator": LOGISTIC(), **SEARCH, "min_resources": 12},
    "HalvingRandomSearchCV": {"estimator": LOGISTIC(), **DRAW, "min_resources": 12, "n_candidates": 1},
    "KMeans": {"n_clusters": 3},
    "MiniBatchKMeans": {"n_clusters": 3},
    "MultiOutputRegressor": {"estimator": RIDGE()},
    "Pipeline": {"steps": [("scale", SCALER()), ("model", LOGISTIC())]},
    "QuantileTransformer": {"n_quantiles": 10},
    "RadiusNeighborsClassifier": {"radius": 10.0},
    "RadiusNeighborsRegressor": {"radius": 10.0},
    "RandomizedSearchCV": {"estimator": LOGISTIC(), **DRAW, "n_iter": 1},
    "SelectFromModel": {"estimator": LOGISTIC()},
    "SelectKBest": {"k": 2},
    "StackingClassifier": {"estimators": [("a", LOGISTIC()), ("b", SKLEARN["GaussianNB"]())], "cv": 2},
    "StackingRegressor": {"estimators": [("a", RIDGE()), ("b", SKLEARN["LinearRegression"]())], "cv": 2},
    "TunedThresholdClassifierCV": {"estimator": LOGISTIC(), "cv": 2},
    "VotingClassifier": {"estimators": [("a", LOGISTIC())], "voting": "soft"},
    "VotingRegressor": {"estimators": [("a", RIDGE())]},
    **{name: {"n_components": 2} for name in REDUCERS},
}
TARGETS: Final[dict[str, Array]] = {
    **dict.fromkeys(("MultiOutputRegressor", "MultiTaskElasticNet", "MultiTaskLasso"), PAIRS),
    **dict.fromkeys(("StackingRegressor", "VotingRegressor"), VALUES),
    "TunedThresholdClassifierCV": TWO,
}
DATA: Final[dict[str, Array]] = {
    "CategoricalNB": (X * 3).astype(int),
    "OneHotEncoder": (X * 3).astype(int),
    "OrdinalEncoder": (X * 3).astype(int),
}


def fitted(name: str) -> Any:
    model = SKLEARN[name](**ARGUMENTS.get(name, {}))
    return model.fit(DATA.get(name, X), TARGETS.get(name, VALUES if name in REGRESSORS else THREE))


def test_every_known_class_is_one_of_scikit_learn() -> None:
    assert HALVING is not None
    assert SKLEARN.keys() >= KNOWN_CLASSES


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(KNOWN_CLASSES))
def test_a_class_is_described_as_it_answers(name: str, tmp_path: Path) -> None:
    model, data = fitted(name), DATA.get(name, X)
    signature = signature_of(model, tmp_path)
    assert signature.inputs == (ArtefactTensor("X", None, ("batch", 4)),)
    assert_describes(signature, model, data)
    # Ensembles can also give what their members say, which nobody asks them for.
    unasked = {"transform"} if name.startswith(("Voting", "Stacking")) else set[str]()
    assert {output.name for output in signature.outputs} == answers(model, data).keys() - unasked


# Every way to write a file

WRITTEN: Final[Mapping[str, Callable[[], Any]]] = {
    "text labels": lambda: LOGISTIC().fit(X, np.array(["no", "yes", "maybe"], dtype=object)[THREE]),
    "fixed text labels": lambda: LOGISTIC().fit(X, np.array(["no", "yes", "maybe"])[THREE]),
    "forest": lambda: SKLEARN["RandomForestClassifier"](5, random_state=0).fit(X, THREE.astype(np.int8)),
    "pca": lambda: SKLEARN["PCA"](3).fit(np.asfortranarray(X)),
    "boolean labels": lambda: SKLEARN["GaussianNB"]().fit(X, TWO == 1),
    "neighbours": lambda: SKLEARN["KNeighborsClassifier"](3).fit(X, THREE.astype(np.float32)),
    "boosting": lambda: SKLEARN["GradientBoostingClassifier"](n_estimators=3).fit(X, TWO),
    "mapped": lambda: SKLEARN["PCA"]("mle").fit(X),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dump", DUMPS)
@pytest.mark.parametrize("name", WRITTEN)
def test_a_file_tells_the_same_however_it_was_written(name: str, dump: str, tmp_path: Path) -> None:
    model = WRITTEN[name]()
    signature = read(model, tmp_path / "model.pkl", DUMPS[dump])
    assert isinstance(signature, Signature), signature
    assert_describes(signature, model, X)
    assert {each.name for each in signature.outputs} == answers(model, X).keys()
    assert signature == signature_of(model, tmp_path)


# Parameters that change what a class answers


WIDE: Final = ("KNeighborsRegressor", "LinearRegression", "RandomForestRegressor", "Ridge")


def outputs_of(model: Any, folder: Path) -> dict[str, str]:
    signature = signature_of(model, folder)
    return {each.name: f"{each.datatype} {each.shape}" for each in signature.outputs}


@pytest.mark.filterwarnings("ignore")
def test_support_vectors_give_probabilities_where_asked_to(tmp_path: Path) -> None:
    make = SKLEARN["SVC"]
    assert "predict_proba" in outputs_of(make(probability=True).fit(X, THREE), tmp_path)
    assert "predict_proba" not in outputs_of(make().fit(X, THREE), tmp_path)


def test_support_vectors_give_one_margin_for_each_pair(tmp_path: Path) -> None:
    four = np.arange(ROWS) % 4
    model = SKLEARN["SVC"](decision_function_shape="ovo").fit(X, four)
    assert outputs_of(model, tmp_path)["decision_function"] == "FP64 ('batch', 6)"
    assert_describes(signature_of(model, tmp_path), model, X)


def test_a_descent_gives_probabilities_for_some_losses(tmp_path: Path) -> None:
    assert "predict_proba" in outputs_of(SKLEARN["SGDClassifier"](loss="log_loss").fit(X, THREE), tmp_path)
    assert "predict_proba" not in outputs_of(SKLEARN["SGDClassifier"](loss="hinge").fit(X, THREE), tmp_path)


def test_a_hard_vote_gives_no_probabilities(tmp_path: Path) -> None:
    model = SKLEARN["VotingClassifier"]([("a", LOGISTIC())], voting="hard").fit(X, THREE)
    assert outputs_of(model, tmp_path) == {"predict": "INT64 ('batch',)"}


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("columns", [0, 1, 2])
@pytest.mark.filterwarnings("ignore")
def test_a_regressor_is_as_wide_as_its_targets(name: str, columns: int, tmp_path: Path) -> None:
    target = VALUES if columns == 0 else PAIRS[:, :columns]
    model = SKLEARN[name]().fit(X, target)
    assert_describes(signature_of(model, tmp_path), model, X)


def test_several_targets_give_labels_and_no_probabilities(tmp_path: Path) -> None:
    model = SKLEARN["RandomForestClassifier"](3).fit(X, np.column_stack([TWO, THREE]))
    signature = signature_of(model, tmp_path)
    assert_describes(signature, model, X)
    assert signature.find_output("predict") == ArtefactTensor("predict", "INT64", ("batch", 2))
    assert isinstance(signature.find_output("predict_proba"), Skipped)


def test_a_pipeline_takes_as_its_first_step_and_answers_as_its_last(tmp_path: Path) -> None:
    inner = SKLEARN["Pipeline"]([("none", "passthrough"), ("scale", SCALER()), ("pca", SKLEARN["PCA"](2))])
    model = SKLEARN["Pipeline"]([("inner", inner), ("model", LOGISTIC())]).fit(X, THREE)
    signature = signature_of(model, tmp_path)
    assert signature.inputs == (ArtefactTensor("X", None, ("batch", 4)),)
    assert_describes(signature, model, X)


def test_text_goes_into_a_pipeline_that_counts_words(tmp_path: Path) -> None:
    words = np.array(["good day", "bad day"])[TWO]
    steps = [("words", SKLEARN["TfidfVectorizer"]()), ("model", LOGISTIC())]
    model = SKLEARN["Pipeline"](steps).fit(words, TWO)
    signature = signature_of(model, tmp_path)
    assert signature.inputs == (ArtefactTensor("X", "BYTES", ("batch",)),)
    assert_describes(signature, model, words)


@pytest.mark.parametrize("kind", [object, str])
def test_text_goes_into_an_encoder_of_text(kind: type[Any], tmp_path: Path) -> None:
    colours: Array = np.array([["red", "s"], ["blue", "m"], ["red", "l"]]).astype(kind)
    model = SKLEARN["OneHotEncoder"]().fit(colours)
    signature = signature_of(model, tmp_path)
    assert signature.inputs == (ArtefactTensor("X", "BYTES", ("batch", 2)),)
    assert signature.outputs == (ArtefactTensor("transform", "FP64", ("batch", 5)),)
    assert_describes(signature, model, colours)


def test_an_encoder_that_drops_categories_has_an_unknown_width(tmp_path: Path) -> None:
    model = SKLEARN["OneHotEncoder"](drop="first").fit((X * 3).astype(int))
    assert outputs_of(model, tmp_path) == {"transform": "FP64 ('batch', None)"}


def test_labels_of_several_kinds_are_no_tensor(tmp_path: Path) -> None:
    model = LOGISTIC().fit(X, TWO)
    model.classes_ = np.array(["no", 1], dtype=object)
    signature = signature_of(model, tmp_path)
    assert isinstance(signature.find_output("predict"), Skipped)
    assert signature.find_output("predict_proba") == ArtefactTensor("predict_proba", "FP64", ("batch", 2))


# What cannot be told


UNFITTED: Final = ("ColumnTransformer", "GridSearchCV", "LogisticRegression", "SVR", "StandardScaler")


def fault_of(model: object, folder: Path) -> ArtefactFault:
    fault = read(model, folder / "model.joblib")
    assert isinstance(fault, ArtefactFault)
    return fault


@pytest.mark.parametrize("name", UNFITTED)
def test_an_unfitted_estimator_is_a_fault(name: str, tmp_path: Path) -> None:
    fault = fault_of(SKLEARN[name](**ARGUMENTS.get(name, {})), tmp_path)
    assert fault.rule is UNFITTED_MODEL
    assert fault.message == f"`model.joblib` holds a `{name}` that is not fitted"


def test_an_unfitted_step_is_a_fault(tmp_path: Path) -> None:
    model = SKLEARN["Pipeline"]([("scale", SCALER()), ("model", LOGISTIC())])
    assert fault_of(model, tmp_path).rule is UNFITTED_MODEL


def test_an_unknown_class_is_a_fault_that_says_what_to_do(tmp_path: Path) -> None:
    fault = fault_of(SKLEARN["NearestNeighbors"]().fit(X), tmp_path)
    assert fault.rule is UNKNOWN_SIGNATURE
    assert fault.message == "`model.joblib` holds a `NearestNeighbors`, a class that graphc does not know"
    assert fault.help == "declare the tensors it gives under `out:`"


@pytest.mark.parametrize("value", [[1, 2], {"model": 3}, X, "text", None], ids=str)
def test_what_is_no_estimator_is_a_fault(value: object, tmp_path: Path) -> None:
    assert fault_of(value, tmp_path).rule is UNKNOWN_SIGNATURE


# --- Data frames ---------------------------------------------------------------------------------------

PANDAS: Final[Any] = importlib.import_module("pandas")
FRAME: Final[Any] = PANDAS.DataFrame(
    {
        "age": X[:, 0] * 80,
        "job": np.array(["cook", "smith", "tailor"], dtype=object)[THREE],
        "size (cm)": np.arange(ROWS),
        "note": np.array(["one two", "two three"], dtype=object)[TWO],
        "id": np.arange(ROWS),
    }
)


def columns_of(model: object, tmp_path: Path) -> dict[str, tuple[str | None, bool]]:
    JOBLIB.dump(model, tmp_path / "model.joblib")
    found = read_signature(tmp_path / "model.joblib", "sklearn")
    assert isinstance(found, Signature), found
    return {each.name: (each.kind, each.needed) for each in found.columns}


def by_name(*parts: tuple[Any, Any], **options: Any) -> Any:
    named = [(f"part-{index}", model, columns) for index, (model, columns) in enumerate(parts)]
    return SKLEARN["ColumnTransformer"](named, **options)


def piped(*steps: Any) -> Any:
    return SKLEARN["Pipeline"]([(f"step-{index}", step) for index, step in enumerate(steps)])


def imputed(strategy: str, then: Any) -> Any:
    return piped(SKLEARN["SimpleImputer"](strategy=strategy), then)


def encoder() -> Any:
    return SKLEARN["OneHotEncoder"](handle_unknown="ignore")


@pytest.mark.parametrize(
    ("transformer", "wanted"),
    [
        (
            by_name((SCALER(), ["age", "size (cm)"]), (encoder(), ["job"])),
            {"age": "numbers", "job": "text", "size (cm)": "numbers"},
        ),
        (by_name((imputed("mean", SCALER()), ["age"]), (encoder(), ["id"])), {"age": "numbers", "id": "numbers"}),
        (by_name((SKLEARN["OrdinalEncoder"](), ["job", "size (cm)"])), {"job": "text", "size (cm)": "numbers"}),
        (by_name((SKLEARN["CountVectorizer"](), "note")), {"note": "text"}),
        (by_name((imputed("most_frequent", encoder()), ["job"])), {"job": None}),
        (by_name((SCALER(), ["age"]), ("passthrough", ["age", "size (cm)"])), {"age": None, "size (cm)": None}),
        (by_name((SCALER(), [0, 2])), {"age": "numbers", "size (cm)": "numbers"}),
        (by_name((SCALER(), ["age"]), ("drop", ["job"])), {"age": "numbers"}),
    ],
)  # fmt: skip
def test_columns_are_those_that_the_model_looks_at(
    transformer: Any, wanted: dict[str, str | None], tmp_path: Path
) -> None:
    model = piped(transformer, LOGISTIC()).fit(FRAME, TWO)
    found = columns_of(model, tmp_path)
    assert list(found) == list(FRAME.columns)
    assert {name: kind for name, (kind, needed) in found.items() if needed} == wanted
    # It really answers with these alone, in any order, and not without any of them.
    given = FRAME[list(wanted)[::-1]]
    np.testing.assert_array_equal(model.predict(given), model.predict(FRAME))
    for name in given.columns if len(wanted) > 1 else ():
        with pytest.raises((ValueError, KeyError)):
            model.predict(given.drop(columns=name))


def test_a_remainder_that_passes_is_looked_at(tmp_path: Path) -> None:
    model = by_name((encoder(), ["job"]), remainder="passthrough").fit(FRAME.drop(columns="note"))
    assert all(needed for _, needed in columns_of(model, tmp_path).values())


def test_an_estimator_inside_others_is_found(tmp_path: Path) -> None:
    search = SKLEARN["GridSearchCV"](
        piped(by_name((SCALER(), ["age"])), LOGISTIC()), {"step-1__C": [1]}, cv=2
    )
    found = columns_of(search.fit(FRAME, TWO), tmp_path)
    assert {name for name, (_, needed) in found.items() if needed} == {"age"}


def test_numbers_of_a_frame_may_come_as_one_tensor_too(tmp_path: Path) -> None:
    model = piped(SCALER(), LOGISTIC()).fit(FRAME[["age", "size (cm)"]], TWO)
    assert columns_of(model, tmp_path) == {"age": ("numbers", True), "size (cm)": ("numbers", True)}
    found = read_signature(tmp_path / "model.joblib", "sklearn")
    assert isinstance(found, Signature)
    assert found.inputs == (ArtefactTensor("X", None, ("batch", 2)),)


def test_an_array_has_no_columns(tmp_path: Path) -> None:
    assert columns_of(piped(SCALER(), LOGISTIC()).fit(X, TWO), tmp_path) == {}


def test_an_encoder_of_text_and_numbers_takes_columns(tmp_path: Path) -> None:
    model = SKLEARN["OrdinalEncoder"]().fit(FRAME[["job", "id"]])
    assert columns_of(model, tmp_path) == {"job": ("text", True), "id": ("numbers", True)}
