"""Parts a request into its rows: what each gets alone has to be what it gets among the others."""

from collections.abc import Sequence
from typing import Final

from graphc.cases.case import Answer, Case, Data
from graphc.cases.compare import compare_tensors, read_outputs
from graphc.client.answer import read_tensor
from graphc.client.failure import InferError
from graphc.client.rest import write_tensor
from graphc.client.tensor import Tensor
from graphc.unchecked import items

_LEAST: Final = 2


def split_rows(request: Data) -> list[Data]:
    """Return a request for each row of one; none where it has one row, or inputs of several lengths."""
    try:
        tensors = [read_tensor(each) for each in items(request, "inputs")]
        counts = {len(tensor.array) if tensor.array.ndim else 0 for tensor in tensors}
        count = counts.pop() if len(counts) == 1 else 0
        if count < _LEAST:
            return []
        kept = {name: each for name, each in request.items() if name != "inputs"}
        return [
            kept | {"inputs": [write_tensor(_take(tensor, row)) for tensor in tensors]}
            for row in range(count)
        ]
    except (InferError, ValueError):
        # The whole request says what is wrong with it.
        return []


def _take(tensor: Tensor, row: int) -> Tensor:
    return Tensor(tensor.name, tensor.datatype, tensor.array[row : row + 1])


def find_row_faults(case: Case, whole: Answer, alone: Sequence[Answer]) -> list[str]:
    """Return what is wrong with the answers of rows alone, the first that differs for each output."""
    faults: dict[str, str] = {}
    outputs = read_outputs(whole)
    for row, answer in enumerate(alone):
        if answer.status != whole.status:
            faults.setdefault("", f"row {row} alone is answered with status {answer.status}")
            continue
        found = {each.name: each for each in read_outputs(answer)}
        for output in outputs:
            # What has no row for each row of the request is the request's as a whole.
            if output.array.shape[:1] != (len(alone),) or output.name in faults:
                continue
            told = next(compare_tensors(found[output.name], _take(output, row), case.tolerance), None)
            if told is not None:
                faults[output.name] = f"row {row} alone is answered otherwise than among others: {told}"
    return list(faults.values())
