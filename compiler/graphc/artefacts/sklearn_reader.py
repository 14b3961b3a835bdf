"""The signature of a scikit-learn estimator in a joblib or pickle file, read without executing the pickle."""

import io
import sys
from dataclasses import replace
from typing import Final

from graphc_components.tensors import Dim

from graphc.artefacts.joblib_file import read_pickled
from graphc.artefacts.numpy_pickles import as_array
from graphc.artefacts.pickle_machine import PickleLimits
from graphc.artefacts.signature import DECLARE, ArtefactFault, ArtefactTensor, Origin, Signature, Skipped
from graphc.artefacts.sklearn_columns import tell_columns
from graphc.artefacts.sklearn_estimators import ROWS, Estimator, Unknown, as_estimator, steps_of, tell_outputs
from graphc.diagnostics.codes.artefacts import UNFITTED_MODEL, UNKNOWN_SIGNATURE, UNSUPPORTED_TENSOR

_CURES: Final = {
    UNKNOWN_SIGNATURE: DECLARE,
    UNFITTED_MODEL: "call `fit` before saving it",
    UNSUPPORTED_TENSOR: "fit it on a pandas DataFrame, and feed each column by its name",
}

_TEXT_READERS: Final = frozenset({"CountVectorizer", "HashingVectorizer", "TfidfVectorizer"})
_ENCODERS: Final = frozenset({"OneHotEncoder", "OrdinalEncoder", "TargetEncoder"})
_MAX_NESTING: Final = 16


_BROUGHT: Final = frozenset({"sklearn", "numpy", "scipy", "joblib", "threadpoolctl"})
_OF_PYTHON_2: Final = frozenset({"__builtin__", "copy_reg"})
"""The names of Python's modules in older protocols."""


def read_sklearn(file: io.BufferedReader, called: str) -> Signature | ArtefactFault:
    """Return the signature of the estimator in a file; raises MalformedError or RefusedError."""
    limits = PickleLimits()
    estimator = as_estimator(read_pickled(file, limits))
    told = _tell(estimator, called)
    return replace(told, origin=_origin_of(limits))


def _origin_of(limits: PickleLimits) -> Origin:
    # Protocols before the third write bytes by a function of `_codecs`.
    there = _BROUGHT | _OF_PYTHON_2 | sys.stdlib_module_names
    needs = tuple(each for each in limits.names if each[0].partition(".")[0] not in there)
    return Origin(next(iter(limits.versions), None), needs)


def _tell(estimator: Estimator | None, called: str) -> Signature | ArtefactFault:
    if estimator is None:
        return ArtefactFault(UNKNOWN_SIGNATURE, f"`{called}` holds no estimator", DECLARE)
    told = tell_outputs(estimator)
    if isinstance(told, Unknown):
        return _fault(told, called)
    *outer, first = _way_inside(estimator)
    taken, columns = _tell_input(estimator, first), tell_columns(outer, first)
    if isinstance(taken, Unknown) and not columns:
        return _fault(taken, called)
    return Signature(
        () if isinstance(taken, Unknown) else (taken,),
        tuple(each for each in told if isinstance(each, ArtefactTensor)),
        skipped=tuple(each for each in told if isinstance(each, Skipped)),
        columns=columns,
    )


def _fault(unknown: Unknown, called: str) -> ArtefactFault:
    return ArtefactFault(unknown.rule, f"`{called}` {unknown.reason}", _CURES.get(unknown.rule))


def _tell_input(estimator: Estimator, first: Estimator) -> ArtefactTensor | Unknown:
    if first.name in _TEXT_READERS:
        return ArtefactTensor("X", "BYTES", (ROWS,))
    if first.name == "ColumnTransformer" and _selects_by_name(first):
        reason = "holds a `ColumnTransformer` that selects columns by name, and a tensor's have none"
        return Unknown(reason, UNSUPPORTED_TENSOR)
    kinds = _category_kinds(first)
    if kinds == {True}:
        return ArtefactTensor("X", "BYTES", (ROWS, _width(estimator, first)))
    if True in kinds:
        reason = f"holds a `{first.name}` of both text and numbers, and a tensor has one kind"
        return Unknown(reason, UNSUPPORTED_TENSOR)
    return ArtefactTensor("X", None, (ROWS, _width(estimator, first)))


def _width(estimator: Estimator, first: Estimator) -> Dim:
    own = estimator.integer("n_features_in_")
    return first.integer("n_features_in_") if own is None else own


def _way_inside(estimator: Estimator) -> list[Estimator]:
    """Return an estimator and those inside it; the last one sees the input first."""
    way = [estimator]
    while len(way) <= _MAX_NESTING and (nested := _first_nested(way[-1])) is not None:
        way.append(nested)
    return way


def _first_nested(estimator: Estimator) -> Estimator | None:
    if estimator.name == "Pipeline":
        return next(iter(steps_of(estimator)), None)
    nested = (estimator.nested(name) for name in ("best_estimator_", "estimator_", "estimator"))
    found = next((each for each in nested if each), None)
    return found or (_first_of(estimator) if estimator.integer("n_features_in_") is None else None)


def _first_of(estimator: Estimator) -> Estimator | None:
    estimators = estimator.attributes.get("estimators_")
    return as_estimator(estimators[0]) if isinstance(estimators, list) and estimators else None


def _category_kinds(encoder: Estimator) -> set[bool]:
    """Say of an encoder's columns whether they are text: both answers where it has both."""
    categories = encoder.attributes.get("categories_") if encoder.name in _ENCODERS else None
    arrays = [as_array(each) for each in categories] if isinstance(categories, list) else []
    return {each.dtype.kind in {"O", "U", "S"} for each in arrays if each}


def _selects_by_name(transformer: Estimator) -> bool:
    parts = transformer.attributes.get("transformers_")
    columns = (
        [part[2] for part in parts if isinstance(part, tuple) and len(part) == 3]
        if isinstance(parts, list)
        else []
    )
    return any(
        isinstance(each, str) or (isinstance(each, list) and any(isinstance(name, str) for name in each))
        for each in columns
    )
