"""What an answer looks like in a terminal of a width: no number is cut."""

import io

import numpy as np
import pytest
from graphc.client.table import print_table
from graphc.client.tensor import Tensor
from rich.console import Console


def _print(width: int, classes: int) -> list[str]:
    text = io.StringIO()
    scores = np.arange(2 * classes).reshape(2, classes) / 7
    labels = np.array([b"eight", b"five"], np.object_)
    print_table(
        [Tensor("digit", "BYTES", labels), Tensor("scores", "FP64", scores)], Console(file=text, width=width)
    )
    return [line.strip() for line in text.getvalue().splitlines() if line.strip()]


def test_a_matrix_that_fits_has_a_column_for_each_of_its_own() -> None:
    lines = _print(80, 3)
    assert lines[0].split() == ["digit", "scores[0]", "scores[1]", "scores[2]"]
    assert lines[2].split() == ["eight", "0", "0.142857", "0.285714"]


@pytest.mark.parametrize("width", [30, 60, 80])
def test_one_that_does_not_goes_on_below(width: int) -> None:
    lines = _print(width, 10)
    assert lines[0].split() == ["digit", "scores"]
    text = "".join("".join(lines[2:]).split())
    assert "…" not in text
    for index in range(20):
        assert f"{index / 7:.6g}" in text
    assert all(len(line) <= width for line in lines)
