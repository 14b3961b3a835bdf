"""Quantities are written as an API server keeps them."""

import pytest
from graphc.quantities import canonical_quantity, parse_quantity


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("0.5Gi", "512Mi"),
        (1, "1"),
        ("1", "1"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("1500m", "1500m"),
        ("2000m", "2"),
        ("1.5", "1500m"),
        ("1024Mi", "1Gi"),
        ("1000Mi", "1000Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1000", "1k"),
        ("100M", "100M"),
        ("+2", "2"),
        ("0", "0"),
        ("1e3", "1e3"),
    ],
)
def test_a_quantity_is_written_as_the_server_writes_it(given: str | int, written: str) -> None:
    assert canonical_quantity(given) == written
    assert parse_quantity(written) == pytest.approx(parse_quantity(str(given)))
