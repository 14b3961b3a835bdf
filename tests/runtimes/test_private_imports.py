"""What `import` means in the modules of a node: its own folder first, for the node alone, at any time."""

import pickle
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from graphc_runtimes.adapters.importing import import_private


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    """Leave the process's modules as they were."""
    before = dict(sys.modules)
    yield
    for name in list(sys.modules):
        if name not in before:
            del sys.modules[name]


def lay(folder: Path, tree: Mapping[str, str]) -> Path:
    for name, text in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_imports_of_all_kinds(tmp_path: Path) -> None:
    tree = {
        "post.py": "import pkg.a\nimport pkg.a as a\nfrom pkg import b\nfrom common import N\nimport space.c\n"
        "from space import c as d\nRESULT = (pkg.a.A, a.A, b.B, N, space.c.C, d is space.c)",
        "pkg/__init__.py": "from common import N as M",
        "pkg/a.py": "from .b import B\nfrom . import b\nfrom .. import common\nA = B + common.N",
        "pkg/b.py": "B = 1",
        "common.py": "N = 10",
        "space/c.py": "C = 5",
    }
    assert import_private("n", "post", lay(tmp_path, tree)).RESULT == (11, 11, 1, 10, 5, True)


def test_a_functions_import_is_the_nodes_own(tmp_path: Path) -> None:
    functions: list[Callable[[], str]] = []
    for name in ("one", "two"):
        tree = {"post.py": "def f():\n    import lazy\n    return lazy.NAME", "lazy.py": f"NAME = {name!r}"}
        functions.append(import_private(name, "post", lay(tmp_path / name, tree)).f)
    assert [f() for f in functions] == ["one", "two"]


def test_modules_of_one_node_are_imported_once(tmp_path: Path) -> None:
    tree = {
        "post.py": "import a, b\nSAME = a.state is b.state",
        "state.py": "",
        "a.py": "import state",
        "b.py": "import state",
    }
    assert import_private("n", "post", lay(tmp_path, tree)).SAME


def test_a_folder_of_data_hides_no_package(tmp_path: Path) -> None:
    tree = {"post.py": "import numpy\nfrom numpy import array\nV = numpy.__version__", "numpy/data.bin": ""}
    assert import_private("n", "post", lay(tmp_path, tree)).V


def test_a_module_beside_wins_over_the_librarys(tmp_path: Path) -> None:
    tree = {"post.py": "import statistics\nWHICH = statistics.WHICH", "statistics.py": "WHICH = 'own'"}
    assert import_private("n", "post", lay(tmp_path, tree)).WHICH == "own"
    import statistics

    assert statistics.mean([1, 3]) == 2


def test_what_is_unpickled_finds_the_folders_modules(tmp_path: Path) -> None:
    # A class of a module that is not imported here yet: the name is all that a pickle has.
    written = b"cown_parts\nScale\n."
    tree = {
        "post.py": f"import pickle\nScale = pickle.loads({written!r})\n"
        f"def f():\n    import own_parts\n    return pickle.loads({written!r}) is own_parts.Scale",
        "own_parts.py": "class Scale: ...",
    }
    module = import_private("n", "post", lay(tmp_path, tree))
    assert module.Scale.__name__ == "Scale"
    assert module.f()
    assert pickle.loads(pickle.dumps(module.Scale)) is module.Scale


def test_import_module_finds_the_folders_modules(tmp_path: Path) -> None:
    tree = {
        "post.py": "import importlib\ndef f():\n    return importlib.import_module('plug_ins.one').ONE",
        "plug_ins/one.py": "ONE = 1",
    }
    assert import_private("n", "post", lay(tmp_path, tree)).f() == 1


def test_a_node_that_is_loaded_again_reads_its_files_again(tmp_path: Path) -> None:
    for number in (1, 22):
        folder = lay(
            tmp_path / str(number), {"post.py": "from common import N", "common.py": f"N = {number}"}
        )
        module = import_private("n", "post", folder)
        assert vars(module)["N"] == number


def test_what_fails_to_import_says_so_as_python_does(tmp_path: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'not_there'"):
        import_private("n", "post", lay(tmp_path, {"post.py": "import not_there"}))
    with pytest.raises(ImportError, match="cannot import name 'M' from"):
        import_private("n", "post", lay(tmp_path, {"post.py": "from common import M", "common.py": ""}))


def test_nodes_are_loaded_from_several_threads_while_others_import(tmp_path: Path) -> None:
    """Whatever is imported meanwhile: what imports share is looked at in one step, and changed by one at a time."""
    stop, results, failures = threading.Event(), dict[int, int](), list[BaseException]()
    others = lay(tmp_path / "others", {f"made_up_{index}.py": "" for index in range(50)})

    def import_others() -> None:
        while not stop.is_set():
            for index in range(50):
                __import__(f"made_up_{index}")
                sys.modules.pop(f"made_up_{index}", None)

    def load(index: int) -> None:
        try:
            tree = {"post.py": "import common\nN = common.N", "common.py": f"N = {index}"}
            for _ in range(10):
                results[index] = import_private(f"n{index}", "post", lay(tmp_path / str(index), tree)).N
        except BaseException as failure:
            failures.append(failure)

    sys.path.append(str(others))
    background = threading.Thread(target=import_others)
    threads = [threading.Thread(target=load, args=(index,)) for index in range(6)]
    try:
        background.start()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        stop.set()
        background.join()
        sys.path.remove(str(others))
    assert failures == []
    assert results == {index: index for index in range(6)}
