"""Write an answer's tensors as CSV: a row for each row of the batch."""

import base64
import csv
import json
from collections.abc import Iterator, Sequence
from typing import IO, Final, cast

from graphc.client.failure import InferError
from graphc.client.table import split_columns
from graphc.client.tensor import Array, Tensor

_MOST_COLUMNS: Final = 4096


def write_csv(tensors: Sequence[Tensor], file: IO[str]) -> None:
    """Write outputs side by side under a header; raises InferError where their rows do not belong together.

    What has more than two dimensions is JSON in its cell, a missing number is an empty cell, and a text that is not
    UTF-8 is base64.
    """
    lengths = {len(tensor.array) if tensor.array.ndim else 1 for tensor in tensors}
    if len(lengths) > 1:
        told = ", ".join(f"`{tensor.name}` has shape {tensor.shape}" for tensor in tensors)
        raise InferError(
            f"the outputs have different numbers of rows, which CSV cannot hold: {told}; use --output json"
        )
    columns = [column for tensor in tensors for column in split_columns(tensor, _MOST_COLUMNS)]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(title for title, _ in columns)
    writer.writerows(_rows([values for _, values in columns], lengths))


def _rows(columns: Sequence[Array], lengths: set[int]) -> Iterator[list[object]]:
    for row in range(max(lengths, default=0)):
        yield [
            _cell(cast("object", column[row].tolist() if hasattr(column[row], "tolist") else column[row]))
            for column in columns
        ]


def _cell(value: object) -> object:
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, list):
        return json.dumps(value, default=lambda each: _text(cast("bytes", each)))
    return "" if value != value else value


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()
