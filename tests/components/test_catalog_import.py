"""The catalog is what its folders hold, and loads without numpy."""

import subprocess
import sys

import pytest
from graphc_components import combiners, routers, transformers
from graphc_components.catalog import CATALOG, ROUTERS, Folders, Role

EVERY = [*CATALOG.values(), *ROUTERS.values()]
FOLDERS = {Role.COMBINER: combiners, Role.TRANSFORMER: transformers, Role.ROUTER: routers}

LOADED = "print(*sorted(sys.modules))"
IMPORT = "import sys; from graphc_components.catalog import CATALOG, ROUTERS"


def modules_after(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{IMPORT}; {code}; {LOADED}"],
        check=True,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    return done.stdout.split()


def test_no_declaration_imports_numpy() -> None:
    loaded = modules_after("[*CATALOG.values(), *ROUTERS.values()]")
    assert "graphc_components.combiners.mean" in loaded
    assert "numpy" not in loaded


def test_only_what_is_asked_for_is_imported() -> None:
    loaded = modules_after("list(CATALOG); CATALOG['soft-vote']")
    found = [
        name for name in loaded if name.rpartition(".")[0] in {each.__name__ for each in FOLDERS.values()}
    ]
    assert found == ["graphc_components.combiners.soft_vote"]


@pytest.mark.parametrize("role", Role)
def test_a_file_is_named_for_its_component(role: Role) -> None:
    found = Folders(FOLDERS[role])
    assert found
    assert [(each.name, each.role) for each in found.values()] == [(name, role) for name in found]


def test_no_name_of_the_catalog_is_in_two_folders() -> None:
    assert len(CATALOG) == len(Folders(combiners)) + len(Folders(transformers))


def test_what_is_in_no_folder_is_not_imported() -> None:
    for name in ("", "__init__", "mean.mean", "../mean", "soft_vote"):
        assert name not in CATALOG


def test_every_component_has_a_function_of_its_own() -> None:
    functions = [each.function for each in EVERY]
    assert len(set(functions)) == len(functions)
    assert all(function.__doc__ for function in functions)


def test_threshold_is_two_things() -> None:
    assert CATALOG["threshold"].function != ROUTERS["threshold"].function
