"""The catalog loads without numpy, from whatever the declarations hold."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import graphc_components
from graphc_components.catalog import CATALOG, ROUTERS, Component, load_function

FORBIDDEN = "import sys, graphc_components.catalog; print(sorted({m.partition('.')[0] for m in sys.modules}))"


def test_importing_the_catalog_imports_no_numpy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORBIDDEN], check=True, capture_output=True, text=True, encoding="utf-8"
    )
    assert "graphc_components" in done.stdout
    assert "numpy" not in done.stdout


def test_every_declaration_is_in_a_table() -> None:
    folder = Path(graphc_components.__path__[0]) / "declarations"
    declared: list[Component] = []
    for path in folder.glob("*.py"):
        module = import_module(f"graphc_components.declarations.{path.stem}".removesuffix(".__init__"))
        declared += [value for value in vars(module).values() if isinstance(value, Component)]
    listed = [*CATALOG.values(), *ROUTERS.values()]
    assert sorted(map(str, declared)) == sorted(map(str, listed))
    assert len(declared) == len({(each.name, each.role) for each in declared})


def test_every_component_has_a_function_of_its_own() -> None:
    functions = [load_function(each) for each in [*CATALOG.values(), *ROUTERS.values()]]
    assert len(set(functions)) == len(functions)
    assert all(function.__doc__ for function in functions)


def test_threshold_is_two_things() -> None:
    assert CATALOG["threshold"].function != ROUTERS["threshold"].function
