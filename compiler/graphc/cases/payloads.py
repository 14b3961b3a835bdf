"""Turns what a case has written down into a V2 request, and into expected tensors."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar, cast

from graphc_components.tensors import TensorType

from graphc.cases.case import Case, CaseError, Data
from graphc.cases.read_cases import read_json
from graphc.client.answer import read_tensor
from graphc.client.failure import InferError
from graphc.client.inputs import read_inputs
from graphc.client.rest import write_tensor
from graphc.client.tensor import Tensor, fit_tensor
from graphc.client.values import tensors_of_json

_T = TypeVar("_T")
Types = Mapping[str, TensorType]


def make_request(case: Case, wanted: Types) -> Data:
    """Return the V2 request of a case; raises CaseError."""
    given = case.request
    if isinstance(given, str):
        path = place_file(case, given)
        if path.suffix.lower() != ".json":
            return _write(_guarded(case, lambda: read_inputs([str(path)], wanted)))
        given = _object(read_json(path), path)
    if "inputs" in given and isinstance(given["inputs"], list):
        return given
    values = given
    return _write(_guarded(case, lambda: _fit(values, wanted)))


def read_expected(case: Case, types: Types) -> list[Tensor] | None:
    """Return the tensors that are expected, None where a table of them is; raises CaseError."""
    given = case.expected
    if isinstance(given, str):
        path = place_file(case, given)
        if path.suffix.lower() != ".json":
            return None
        given = _object(read_json(path), path)
    values = given or {}
    outputs = values.get("outputs")
    if isinstance(outputs, list):
        listed = cast("list[object]", outputs)
        return _guarded(case, lambda: [read_tensor(each) for each in listed])
    return _guarded(case, lambda: _fit(values, types))


def place_file(case: Case, name: str) -> Path:
    """Return where a file that a case names lies; raises CaseError for one outside of the folder of the cases."""
    folder = case.path.parent
    path = folder / name
    if "\0" in name or not path.resolve().is_relative_to(folder.resolve()):
        raise CaseError(f"`{name[:200]}` lies outside of the folder of the cases")
    return path


def _fit(values: Data, types: Types) -> list[Tensor]:
    return [fit_tensor(name, each, types.get(name)) for name, each in tensors_of_json(values).items()]


def _write(tensors: list[Tensor]) -> Data:
    return {"inputs": [write_tensor(each) for each in tensors]}


def _object(value: object, path: Path) -> Data:
    if not isinstance(value, dict):
        raise CaseError(f"`{path}` does not hold a JSON object")
    return cast("Data", value)


def _guarded(case: Case, work: Callable[[], _T]) -> _T:
    try:
        return work()
    except InferError as failure:
        raise CaseError(f"{case.title}: {failure}") from failure
