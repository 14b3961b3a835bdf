"""`graphc explain COMPONENT` has a page for each component and router, and its example compiles."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from graphc.cli import main
from graphc.explain.components import component_names, write_example
from graphc_components.catalog import CATALOG, ROUTERS


def test_every_name_has_a_page() -> None:
    for name in component_names():
        result = CliRunner().invoke(main, ["explain", name])
        assert result.exit_code == 0, name
        for known in (CATALOG, ROUTERS):
            if name in known:
                assert known[name].summary in result.output
                assert all(each.doc in result.output for each in known[name].parameters)


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_the_example_of_a_component_compiles(name: str, tmp_path: Path) -> None:
    _check(write_example(name), tmp_path)


@pytest.mark.parametrize("name", sorted(ROUTERS))
def test_the_example_of_a_router_compiles(name: str, tmp_path: Path) -> None:
    _check(write_example(name, is_router=True), tmp_path)


def _check(text: str, folder: Path) -> None:
    path = folder / "graph.yaml"
    path.write_text(text)
    result = CliRunner().invoke(main, ["check", str(path)])
    assert result.exit_code == 0, result.output


def test_components_are_listed_and_misspelt_ones_suggested() -> None:
    listed = CliRunner().invoke(main, ["explain", "components"]).output
    assert [line.split()[0] for line in listed.splitlines()] == [*CATALOG, *ROUTERS]
    result = CliRunner().invoke(main, ["explain", "meen"])
    assert result.exit_code == 1
    assert "did you mean `mean`?" in result.output
