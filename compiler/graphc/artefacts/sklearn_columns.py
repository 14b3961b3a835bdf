"""The columns of the data frame that a scikit-learn estimator was fitted on, and what they hold."""

from collections.abc import Iterator, Sequence
from typing import Final

from graphc.artefacts.numpy_pickles import as_array, as_int
from graphc.artefacts.pickle_machine import Value
from graphc.artefacts.signature import Column
from graphc.artefacts.sklearn_estimators import Estimator, as_estimator, steps_of

_ENCODERS: Final = frozenset({"OneHotEncoder", "OrdinalEncoder", "TargetEncoder"})
_OF_TEXT: Final = frozenset({"CountVectorizer", "HashingVectorizer", "TfidfVectorizer"})
_OF_NUMBERS: Final = frozenset(
    {"StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "Normalizer", "Binarizer", "PCA"}
    | {
        "PowerTransformer",
        "QuantileTransformer",
        "KBinsDiscretizer",
        "PolynomialFeatures",
        "SplineTransformer",
    }
)
_MOST_NESTING: Final = 16


def tell_columns(outer: Sequence[Estimator], first: Estimator) -> tuple[Column, ...]:
    """Return the columns that an estimator takes by name, in its own order; none where it knows no names.

    `outer` are the estimators around `first`, which sees the data before all others.
    """
    names = next((found for each in (*outer, first) if (found := _names_of(each))), ())
    if first.name != "ColumnTransformer":
        return tuple(Column(name, _kind_of(first, index), needed=True) for index, name in enumerate(names))
    parts = [*_parts_of(first, names)]
    names = names or tuple(dict.fromkeys(name for _, selected in parts for name in selected))
    kinds: dict[str, set[str | None]] = {}
    for transformer, selected in parts:
        for index, name in enumerate(selected):
            kinds.setdefault(name, set()).add(_kind_of(transformer, index) if transformer else None)
    return tuple(Column(name, _only(kinds.get(name, set())), needed=name in kinds) for name in names)


def _only(kinds: set[str | None]) -> str | None:
    return next(iter(kinds)) if len(kinds) == 1 else None


def _names_of(estimator: Estimator) -> tuple[str, ...]:
    array = estimator.array("feature_names_in_")
    elements = array.elements if array else ()
    return tuple(each for each in elements if isinstance(each, str)) if _are_texts(elements) else ()


def _are_texts(values: Sequence[Value]) -> bool:
    return bool(values) and all(isinstance(each, str) for each in values)


def _parts_of(
    transformer: Estimator, names: Sequence[str]
) -> Iterator[tuple[Estimator | None, tuple[str, ...]]]:
    """Yield what a ColumnTransformer does, with the names of the columns that it does it to."""
    parts = transformer.attributes.get("transformers_")
    for part in parts if isinstance(parts, list) else []:
        match part:
            case (_, "drop", _):
                continue
            case (_, inner, selected):
                yield as_estimator(inner), _selected(selected, names)
            case _:
                continue


def _selected(value: Value, names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    array = as_array(value)
    listed = array.elements if array else value if isinstance(value, list) else ()
    if _are_texts(tuple(listed)):
        return tuple(each for each in listed if isinstance(each, str))
    numbers = [as_int(each) for each in listed]
    return tuple(names[each] for each in numbers if each is not None and -len(names) <= each < len(names))


def _kind_of(estimator: Estimator, index: int) -> str | None:
    """Return what a column holds, `text` or `numbers`, as what sees it first was fitted; None where that is open."""
    for _ in range(_MOST_NESTING):
        if estimator.name != "Pipeline":
            break
        steps = steps_of(estimator)
        if not steps:
            return None
        estimator = steps[0]
    if estimator.name in _OF_TEXT:
        return "text"
    if estimator.name in _OF_NUMBERS:
        return "numbers"
    if estimator.name == "SimpleImputer":
        array = estimator.array("statistics_")
        return "numbers" if array and array.dtype.kind == "f" else None
    if estimator.name in _ENCODERS:
        categories = estimator.attributes.get("categories_")
        array = (
            as_array(categories[index]) if isinstance(categories, list) and index < len(categories) else None
        )
        return _kind_of_categories(array.dtype.kind, array.elements) if array else None
    return None


def _kind_of_categories(kind: str, elements: Sequence[Value]) -> str | None:
    if kind in {"U", "S"} or any(isinstance(each, str) for each in elements):
        return "text"
    return "numbers" if kind in {"i", "u", "f", "b"} else None
