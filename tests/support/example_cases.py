"""The cases of example graphs, and whether an answer is the one that a case expects."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

GRAPHS: Final = Path(__file__).parents[2] / "graphs"
FOLDERS: Final = sorted(path.parent for path in GRAPHS.glob("*/graph.yaml"))

Json = dict[str, Any]


def read(path: Path) -> Any:
    """Return what a JSON file holds."""
    return json.loads(path.read_text())


def read_cases(folder: Path) -> list[Json]:
    """Return an example's requests with the answers that they expect."""
    first = {"request": read(folder / "request.json"), "expected": read(folder / "expected.json")}
    return [first, *read(folder / "cases.json")]


def assert_same(answer: Json, expected: Json) -> None:
    """Fail unless outputs have the same names, order, types, shapes and values, floats up to 1e-5."""
    assert [each["name"] for each in answer["outputs"]] == [each["name"] for each in expected["outputs"]]
    for got, want in zip(answer["outputs"], expected["outputs"], strict=True):
        assert got["datatype"] == want["datatype"]
        assert got["shape"] == want["shape"]
        if want["datatype"].startswith("FP"):
            np.testing.assert_allclose(got["data"], want["data"], rtol=1e-5, atol=1e-5)
        else:
            assert got["data"] == want["data"]
