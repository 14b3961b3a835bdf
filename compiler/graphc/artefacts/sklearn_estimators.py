"""What each scikit-learn estimator answers, told from its class and its fitted attributes."""

from collections.abc import Callable, Mapping
from typing import Final

from graphc_components.tensors import Dim

from graphc.artefacts.numpy_pickles import Array, as_array, as_int
from graphc.artefacts.pickle_machine import Instance, Name, Value
from graphc.artefacts.signature import ArtefactTensor, Skipped
from graphc.diagnostics.codes.artefacts import UNFITTED_MODEL, UNKNOWN_SIGNATURE
from graphc.diagnostics.diagnostic import Rule
from graphc.diagnostics.printable import quoted
from graphc.records import record

ROWS: Final = "batch"
_ONE_EACH: Final = "fit one model for each target"
_MAX_NESTING: Final = 16

Output = ArtefactTensor | Skipped


@record
class Unknown:
    """Why an estimator's tensors cannot be told, and the rule that this breaks."""

    reason: str
    rule: Rule = UNKNOWN_SIGNATURE


@record
class Estimator:
    """A pickled estimator: where its class lives, and its attributes."""

    module: str
    name: str
    attributes: Mapping[str, Value]

    def array(self, attribute: str) -> Array | None:
        """Return an attribute that is an array."""
        return as_array(self.attributes.get(attribute))

    def integer(self, attribute: str) -> int | None:
        """Return an attribute that is a whole number."""
        return as_int(self.attributes.get(attribute))

    def nested(self, attribute: str) -> "Estimator | None":
        """Return an attribute that is an object with attributes."""
        return as_estimator(self.attributes.get(attribute))

    @property
    def is_of_sklearn(self) -> bool:
        """Say whether the class is scikit-learn's own."""
        return self.module.split(".")[0] == "sklearn"

    @property
    def is_fitted(self) -> bool:
        """Say whether it has an attribute that only `fit` sets, as scikit-learn itself tells."""
        return any(name.endswith("_") and not name.startswith("__") for name in self.attributes)


def as_estimator(value: Value) -> Estimator | None:
    """Return what a value describes as an object with attributes."""
    match value:
        case Instance(maker=Name(module, name), state=dict(attributes)):
            return Estimator(module, name, attributes)
        case Instance(maker=Name(module, name), state=None):
            return Estimator(module, name, {})
        case _:
            return None


Told = list[Output] | Unknown
_Teller = Callable[[Estimator, int], Told]


def tell_outputs(estimator: Estimator, depth: int = 0) -> Told:
    """Return everything the estimator can answer, or why that cannot be told."""
    if depth > _MAX_NESTING:
        return Unknown("holds estimators that are nested too deeply")
    teller = _TELLERS.get(estimator.name) if estimator.is_of_sklearn else None
    if teller is None:
        name = estimator.name if estimator.is_of_sklearn else f"{estimator.module}.{estimator.name}"
        return Unknown(f"holds a {quoted(name)}, a class that graphc does not know")
    if estimator.name not in _NEVER_FITTED and not estimator.is_fitted:
        return _unfitted(estimator)
    return teller(estimator, depth)


def _unfitted(estimator: Estimator) -> Unknown:
    return Unknown(f"holds a `{estimator.name}` that is not fitted", UNFITTED_MODEL)


def _tensor(name: str, datatype: str, *dims: Dim) -> ArtefactTensor:
    return ArtefactTensor(name, datatype, (ROWS, *dims))


# Classifiers


@record
class _Classes:
    count: int
    datatype: str | None


_Has = Callable[[Estimator], bool]


def _always(_: Estimator) -> bool:
    return True


def _never(_: Estimator) -> bool:
    return False


def _classifier(*, proba: _Has = _never, decision: _Has = _never) -> _Teller:
    def tell(estimator: Estimator, _: int) -> Told:
        return _tell_classifier(estimator, proba=proba(estimator), decision=decision(estimator))

    return tell


def _tell_classifier(estimator: Estimator, *, proba: bool, decision: bool) -> Told:
    by_output = estimator.attributes.get("classes_")
    if isinstance(by_output, list):
        return _tell_multioutput(by_output)
    binarizer = estimator.nested("_label_binarizer")
    if binarizer and str(binarizer.attributes.get("y_type_", "")).startswith("multilabel"):
        return Unknown(
            f"holds a `{estimator.name}` for several labels at once, which graphc cannot tell the tensors of"
        )
    classes = _classes_of(estimator) or (binarizer and _classes_of(binarizer))
    if not classes:
        return _unfitted(estimator)
    outputs = [_labels(classes)]
    if proba:
        outputs.append(_tensor("predict_proba", "FP64", classes.count))
    if decision:
        outputs.append(_tensor("decision_function", "FP64", *_margins(estimator, classes.count)))
    return outputs


def _classes_of(estimator: Estimator) -> _Classes | None:
    array = estimator.array("classes_")
    return _Classes(array.shape[0], array.datatype) if array and len(array.shape) == 1 else None


def _labels(classes: _Classes) -> Output:
    if classes.datatype is None:
        return Skipped(
            "predict",
            "its labels are neither numbers of one kind nor all text",
            "fit it to labels of one kind",
        )
    return _tensor("predict", classes.datatype)


def _margins(estimator: Estimator, count: int) -> tuple[Dim, ...]:
    if count == 2:
        return ()
    if estimator.attributes.get("decision_function_shape") == "ovo":
        return (count * (count - 1) // 2,)
    return (count,)


def _tell_multioutput(by_output: list[Value]) -> Told:
    datatypes = {array.datatype if (array := as_array(each)) else None for each in by_output}
    skipped = Skipped("predict_proba", "it is a list of arrays, one for each target", _ONE_EACH)
    if len(datatypes) == 1 and (datatype := datatypes.pop()):
        return [_tensor("predict", datatype, len(by_output)), skipped]
    return [Skipped("predict", "its targets have labels of different kinds", _ONE_EACH), skipped]


def _is_probabilistic(estimator: Estimator) -> bool:
    return estimator.attributes.get("probability") is True


def _has_log_loss(estimator: Estimator) -> bool:
    return estimator.attributes.get("loss") in {"log_loss", "log", "modified_huber"}


def _votes_softly(estimator: Estimator) -> bool:
    return estimator.attributes.get("voting") == "soft"


def _tell_stacking_classifier(estimator: Estimator, depth: int) -> Told:
    final = estimator.nested("final_estimator_")
    if final is None:
        return _unfitted(estimator)
    told = tell_outputs(final, depth + 1)
    if isinstance(told, Unknown):
        return told
    names = {each.name for each in told}
    proba, decision = "predict_proba" in names, "decision_function" in names
    return _tell_classifier(estimator, proba=proba, decision=decision)


def _tell_lda(estimator: Estimator, depth: int) -> Told:
    told = _classifier(proba=_always, decision=_always)(estimator, depth)
    width = estimator.integer("_max_components")
    return told if isinstance(told, Unknown) else [*told, _tensor("transform", "FP64", width)]


# Regressors


def _tell_single_regressor(_estimator: Estimator, _: int) -> Told:
    return [_tensor("predict", "FP64")]


def _tell_by_count(estimator: Estimator, _: int) -> Told:
    count = estimator.integer("n_outputs_")
    if count is None:
        return _unfitted(estimator)
    return [_tensor("predict", "FP64", *(() if count == 1 else (count,)))]


def _tell_by_rank(attribute: str, axis: int) -> _Teller:
    def tell(estimator: Estimator, _: int) -> Told:
        array = estimator.array(attribute)
        if array is None:
            return _unfitted(estimator)
        return [_tensor("predict", "FP64", *((array.shape[axis],) if len(array.shape) == 2 else ()))]

    return tell


def _tell_multi_regressor(estimator: Estimator, _: int) -> Told:
    estimators = estimator.attributes.get("estimators_")
    if not isinstance(estimators, list):
        return _unfitted(estimator)
    return [_tensor("predict", "FP64", len(estimators))]


# Transformers


def _transformer(width: Callable[[Estimator], Dim]) -> _Teller:
    def tell(estimator: Estimator, _: int) -> Told:
        return [_tensor("transform", "FP64", width(estimator))]

    return tell


def _same_width(estimator: Estimator) -> Dim:
    return estimator.integer("n_features_in_")


def _width_of(attribute: str, axis: int = 0) -> Callable[[Estimator], Dim]:
    def width(estimator: Estimator) -> Dim:
        array = estimator.array(attribute)
        return array.shape[axis] if array and len(array.shape) == 2 else None

    return width


def _width_in(attribute: str) -> Callable[[Estimator], Dim]:
    return lambda estimator: estimator.integer(attribute)


def _unknown_width(_: Estimator) -> Dim:
    return None


def _one_hot_width(estimator: Estimator) -> Dim:
    grouped = any(
        estimator.attributes.get(name) is not None for name in ("drop", "max_categories", "min_frequency")
    )
    categories = estimator.attributes.get("categories_")
    if grouped or not isinstance(categories, list):
        return None
    arrays = [as_array(each) for each in categories]
    return sum(each.shape[0] for each in arrays if each and each.shape) if all(arrays) else None


def _column_transformer_width(estimator: Estimator) -> Dim:
    slices = estimator.attributes.get("output_indices_")
    if not isinstance(slices, dict):
        return None
    ends = [_slice_end(each) for each in slices.values()]
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None


def _slice_end(value: Value) -> int | None:
    match value:
        case Instance(maker=Name(name="slice"), arguments=(_, end, *_)):
            return as_int(end)
        case _:
            return None


# Clusterers and detectors


def _tell_kmeans(estimator: Estimator, _: int) -> Told:
    width = _width_of("cluster_centers_")(estimator)
    return [_tensor("predict", "INT32"), _tensor("transform", "FP64", width)]


def _tell_mixture(estimator: Estimator, _: int) -> Told:
    width = _width_of("means_")(estimator)
    return [_tensor("predict", "INT64"), _tensor("predict_proba", "FP64", width)]


def _tell_detector(_estimator: Estimator, _: int) -> Told:
    return [_tensor("predict", "INT64"), _tensor("decision_function", "FP64")]


# Estimators that hold others


def _tell_nested(attribute: str) -> _Teller:
    def tell(estimator: Estimator, depth: int) -> Told:
        nested = estimator.nested(attribute)
        return tell_outputs(nested, depth + 1) if nested else _unfitted(estimator)

    return tell


def steps_of(pipeline: Estimator) -> list[Estimator]:
    """Return a pipeline's steps in order, without those that do nothing."""
    steps = pipeline.attributes.get("steps")
    pairs = [step for step in steps if isinstance(step, tuple)] if isinstance(steps, list) else []
    return [found for _, *rest in pairs if rest and (found := as_estimator(rest[0]))]


def _tell_pipeline(estimator: Estimator, depth: int) -> Told:
    steps = steps_of(estimator)
    return tell_outputs(steps[-1], depth + 1) if steps else Unknown("holds a `Pipeline` without steps")


_PROBA: Final = _classifier(proba=_always)
_DECISION: Final = _classifier(decision=_always)
_PROBA_AND_DECISION: Final = _classifier(proba=_always, decision=_always)
_SUPPORT_VECTORS: Final = _classifier(proba=_is_probabilistic, decision=_always)
_BY_COEFFICIENTS: Final = _tell_by_rank("coef_", 0)
_BY_NEIGHBOURS: Final = _tell_by_rank("_y", 1)
_SAME: Final = _transformer(_same_width)
_COMPONENTS: Final = _transformer(_width_of("components_"))
_UNKNOWN_WIDTH: Final = _transformer(_unknown_width)

_TELLERS: Final[Mapping[str, _Teller]] = {
    "AdaBoostClassifier": _PROBA_AND_DECISION,
    "BernoulliNB": _PROBA,
    "CalibratedClassifierCV": _PROBA,
    "CategoricalNB": _PROBA,
    "ComplementNB": _PROBA,
    "DecisionTreeClassifier": _PROBA,
    "ExtraTreeClassifier": _PROBA,
    "ExtraTreesClassifier": _PROBA,
    "GaussianNB": _PROBA,
    "GaussianProcessClassifier": _PROBA,
    "GradientBoostingClassifier": _PROBA_AND_DECISION,
    "HistGradientBoostingClassifier": _PROBA_AND_DECISION,
    "KNeighborsClassifier": _PROBA,
    "LinearDiscriminantAnalysis": _tell_lda,
    "LinearSVC": _DECISION,
    "LogisticRegression": _PROBA_AND_DECISION,
    "LogisticRegressionCV": _PROBA_AND_DECISION,
    "MLPClassifier": _PROBA,
    "MultinomialNB": _PROBA,
    "NuSVC": _SUPPORT_VECTORS,
    "PassiveAggressiveClassifier": _DECISION,
    "Perceptron": _DECISION,
    "QuadraticDiscriminantAnalysis": _PROBA_AND_DECISION,
    "RadiusNeighborsClassifier": _PROBA,
    "RandomForestClassifier": _PROBA,
    "RidgeClassifier": _DECISION,
    "RidgeClassifierCV": _DECISION,
    "SGDClassifier": _classifier(proba=_has_log_loss, decision=_always),
    "SVC": _SUPPORT_VECTORS,
    "StackingClassifier": _tell_stacking_classifier,
    "VotingClassifier": _classifier(proba=_votes_softly),
    "ARDRegression": _tell_single_regressor,
    "AdaBoostRegressor": _tell_single_regressor,
    "BayesianRidge": _tell_single_regressor,
    "DecisionTreeRegressor": _tell_by_count,
    "ElasticNet": _BY_COEFFICIENTS,
    "ElasticNetCV": _tell_single_regressor,
    "ExtraTreeRegressor": _tell_by_count,
    "ExtraTreesRegressor": _tell_by_count,
    "GammaRegressor": _tell_single_regressor,
    "GaussianProcessRegressor": _tell_by_rank("y_train_", 1),
    "GradientBoostingRegressor": _tell_single_regressor,
    "HistGradientBoostingRegressor": _tell_single_regressor,
    "HuberRegressor": _tell_single_regressor,
    "KNeighborsRegressor": _BY_NEIGHBOURS,
    "KernelRidge": _tell_by_rank("dual_coef_", 1),
    "Lars": _BY_COEFFICIENTS,
    "LarsCV": _tell_single_regressor,
    "Lasso": _BY_COEFFICIENTS,
    "LassoCV": _tell_single_regressor,
    "LassoLars": _BY_COEFFICIENTS,
    "LassoLarsCV": _tell_single_regressor,
    "LinearRegression": _BY_COEFFICIENTS,
    "LinearSVR": _tell_single_regressor,
    "MLPRegressor": _tell_by_count,
    "MultiOutputRegressor": _tell_multi_regressor,
    "MultiTaskElasticNet": _BY_COEFFICIENTS,
    "MultiTaskLasso": _BY_COEFFICIENTS,
    "NuSVR": _tell_single_regressor,
    "OrthogonalMatchingPursuit": _BY_COEFFICIENTS,
    "PassiveAggressiveRegressor": _tell_single_regressor,
    "PoissonRegressor": _tell_single_regressor,
    "QuantileRegressor": _tell_single_regressor,
    "RadiusNeighborsRegressor": _BY_NEIGHBOURS,
    "RandomForestRegressor": _tell_by_count,
    "Ridge": _BY_COEFFICIENTS,
    "RidgeCV": _BY_COEFFICIENTS,
    "SGDRegressor": _tell_single_regressor,
    "SVR": _tell_single_regressor,
    "StackingRegressor": _tell_single_regressor,
    "TheilSenRegressor": _tell_single_regressor,
    "TweedieRegressor": _tell_single_regressor,
    "VotingRegressor": _tell_single_regressor,
    "Binarizer": _SAME,
    "ColumnTransformer": _transformer(_column_transformer_width),
    "FactorAnalysis": _COMPONENTS,
    "FastICA": _COMPONENTS,
    "GaussianRandomProjection": _COMPONENTS,
    "IncrementalPCA": _COMPONENTS,
    "KNNImputer": _UNKNOWN_WIDTH,
    "MaxAbsScaler": _SAME,
    "MinMaxScaler": _SAME,
    "MiniBatchNMF": _COMPONENTS,
    "NMF": _COMPONENTS,
    "Normalizer": _SAME,
    "Nystroem": _COMPONENTS,
    "OneHotEncoder": _transformer(_one_hot_width),
    "OrdinalEncoder": _SAME,
    "PCA": _COMPONENTS,
    "PolynomialFeatures": _transformer(_width_in("n_output_features_")),
    "PowerTransformer": _SAME,
    "QuantileTransformer": _SAME,
    "RBFSampler": _transformer(_width_of("random_weights_", 1)),
    "RobustScaler": _SAME,
    "SelectFromModel": _UNKNOWN_WIDTH,
    "SelectKBest": _UNKNOWN_WIDTH,
    "SelectPercentile": _UNKNOWN_WIDTH,
    "SimpleImputer": _UNKNOWN_WIDTH,
    "SparsePCA": _COMPONENTS,
    "StandardScaler": _SAME,
    "TruncatedSVD": _COMPONENTS,
    "VarianceThreshold": _UNKNOWN_WIDTH,
    "BayesianGaussianMixture": _tell_mixture,
    "BisectingKMeans": _tell_kmeans,
    "EllipticEnvelope": _tell_detector,
    "GaussianMixture": _tell_mixture,
    "IsolationForest": _tell_detector,
    "KMeans": _tell_kmeans,
    "MiniBatchKMeans": _tell_kmeans,
    "OneClassSVM": _tell_detector,
    "FrozenEstimator": _tell_nested("estimator"),
    "GridSearchCV": _tell_nested("best_estimator_"),
    "HalvingGridSearchCV": _tell_nested("best_estimator_"),
    "HalvingRandomSearchCV": _tell_nested("best_estimator_"),
    "Pipeline": _tell_pipeline,
    "RandomizedSearchCV": _tell_nested("best_estimator_"),
    "TunedThresholdClassifierCV": _tell_nested("estimator_"),
}

_NEVER_FITTED: Final = frozenset({"Binarizer", "FrozenEstimator", "Normalizer", "Pipeline"})

KNOWN_CLASSES: Final = frozenset(_TELLERS)
"""The scikit-learn classes whose outputs graphc can tell from a file."""
