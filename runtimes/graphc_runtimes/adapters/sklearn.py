"""Runs a scikit-learn estimator: the one module that talks to joblib and scikit-learn's objects."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, cast

import joblib
import numpy as np
from graphc_components.datatypes import Array, bytes_of
from threadpoolctl import threadpool_limits

from graphc_runtimes.adapters.artifact import find_file
from graphc_runtimes.adapters.batch import over_rows
from graphc_runtimes.arrays import ArrayError, as_tensor
from graphc_runtimes.environment import Environment
from graphc_runtimes.errors import LoadError
from graphc_runtimes.execute import Runner
from graphc_runtimes.region import ModelNode

if TYPE_CHECKING:
    from graphc_runtimes.adapters.frames import FrameReader

_METHODS: Final = ("predict", "predict_proba", "transform", "decision_function")

_Method = Callable[[object], object]


def load_sklearn(node: ModelNode, environment: Environment) -> Runner:
    """Return the runner of an estimator; its outputs are its methods. Raises LoadError.

    Its input is `X`, or a tensor for each column by name where it was fitted on a data frame.

    scikit-learn computes on the CPU, even if a GPU is asked for. Floats come out as FP64 and whole numbers as INT64.
    """
    estimator = joblib.load(find_file(node.path, environment, (".joblib", ".pkl")))
    if environment.threads is not None:
        threadpool_limits(environment.threads)
    methods = {name: _method(estimator, name) for name in node.outputs}
    columns = _columns_of(estimator)
    if list(node.inputs) != ["X"] or columns == ["X"]:
        # pandas takes long to import, and a tensor of all features needs none of it.
        from graphc_runtimes.adapters.frames import FrameReader

        return _run_frame(methods, FrameReader(node.inputs, columns))

    def run(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        given = _features(inputs["X"])
        return {
            name: over_rows(lambda rows, each=each: _call(each, rows), given)
            for name, each in methods.items()
        }

    return run


def _run_frame(methods: Mapping[str, _Method], reader: "FrameReader") -> Runner:
    def run(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        rows = reader.count(inputs)
        # A branch that no row took still needs the type of what it would have given.
        frame = reader.read(inputs) if rows else reader.blank(inputs)
        return {name: _call(each, frame)[: rows or 0] for name, each in methods.items()}

    return run


def _columns_of(estimator: object) -> list[str]:
    """Return the names of the columns that an estimator was fitted on; none where it was fitted on an array."""
    names = getattr(estimator, "feature_names_in_", ())
    return [str(each) for each in cast("Iterable[object]", names)]


def _method(estimator: object, name: str) -> _Method:
    method = getattr(estimator, name, None) if name in _METHODS else None
    if not callable(method):
        raise LoadError(f"{type(estimator).__name__} has no output `{name}`")
    return cast("_Method", method)


def _features(array: Array) -> Array:
    if array.dtype.kind != "O":
        return array
    return np.array([element.decode() for element in bytes_of(array)], dtype=object).reshape(array.shape)


def _call(method: _Method, rows: object) -> Array:
    result = method(rows)
    if isinstance(result, list):
        raise ArrayError(
            "gives a list of arrays; a model of several outputs needs a node of the user's own Python"
        )
    dense = cast("Callable[[], object] | None", getattr(result, "toarray", None))
    return _widen(as_tensor(dense() if dense else result))


def _widen(array: Array) -> Array:
    # The width of what scikit-learn gives hangs on the estimator and on its input; the graph needs one type.
    match array.dtype.kind:
        case "f":
            return array.astype(np.float64, copy=False)
        case "i" | "u":
            return array.astype(np.int64, copy=False)
        case _:
            return array
