"""Which files a Python node needs: what its modules import, found without importing anything."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from graphc.artefacts.data_files import MOST_FILES, find_files
from graphc.artefacts.python_imports import ModuleFiles, find_module, read_imports
from graphc.artefacts.signature import ArtefactFault
from graphc.diagnostics.codes.artefacts import (
    FILE_ELSEWHERE,
    INVALID_MODULE,
    MISSING_ARTEFACT,
    MISSING_MODULE,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Tree = Mapping[str, str]


def lay(folder: Path, tree: Tree) -> Path:
    for name, text in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def read(folder: Path, tree: Tree, file: str = "post.py") -> ModuleFiles:
    return read_imports(lay(folder, tree), file)


BODY: Final = "\ndef f(): ..."
LAYOUTS: Final[Mapping[str, tuple[Tree, str, list[str]]]] = {
    "a module beside it": ({"post.py": "import common", "common.py": ""}, "post.py", ["common.py"]),
    "a chain": (
        {"post.py": "from one import A", "one.py": "import two\nA = 1", "two.py": "", "three.py": ""},
        "post.py",
        ["one.py", "two.py"],
    ),
    "a circle": ({"post.py": "import one", "one.py": "import post"}, "post.py", ["one.py"]),
    "a package's own module": (
        {"post.py": "import pkg.deep.leaf", "pkg/__init__.py": "", "pkg/deep/__init__.py": "", "pkg/deep/leaf.py": ""},
        "post.py",
        ["pkg/__init__.py", "pkg/deep/__init__.py", "pkg/deep/leaf.py"],
    ),
    "relative imports": (
        {
            "pkg/__init__.py": "",
            "pkg/a.py": "from .b import F\nfrom . import c\nfrom .deep.d import G",
            "pkg/b.py": "F = 1",
            "pkg/c.py": "",
            "pkg/deep/__init__.py": "",
            "pkg/deep/d.py": "from ..b import F\nfrom ... import top\nG = F",
            "top.py": "",
        },
        "pkg/a.py",
        ["pkg/__init__.py", "pkg/b.py", "pkg/c.py", "pkg/deep/__init__.py", "pkg/deep/d.py", "top.py"],
    ),
    "names that are modules": (
        {"post.py": "from pkg import a, VALUE", "pkg/__init__.py": "VALUE = 1", "pkg/a.py": "", "pkg/b.py": ""},
        "post.py",
        ["pkg/__init__.py", "pkg/a.py"],
    ),
    "a star": (
        {"post.py": "from pkg import *", "pkg/__init__.py": "__all__ = ['a']", "pkg/a.py": "", "pkg/b.py": ""},
        "post.py",
        ["pkg/__init__.py", "pkg/a.py"],
    ),
    "a folder without an init": (
        {"post.py": "from space import a\nimport space.b", "space/a.py": "", "space/b.py": "", "space/c.py": ""},
        "post.py",
        ["space/a.py", "space/b.py"],
    ),
    "a function's import": ({"post.py": "def f():\n    import lazy", "lazy.py": ""}, "post.py", ["lazy.py"]),
    "a tried import": (
        {"post.py": "try:\n    import fast\nexcept ImportError:\n    import slow", "fast.py": "", "slow.py": ""},
        "post.py",
        ["fast.py", "slow.py"],
    ),
    "an import by a call": (
        {"post.py": "import importlib\nx = importlib.import_module('plug.one')", "plug/one.py": ""},
        "post.py",
        ["plug/one.py"],
    ),
    "a package before a module": (
        {"post.py": "import twice", "twice.py": "import wrong", "twice/__init__.py": "", "wrong.py": ""},
        "post.py",
        ["twice/__init__.py"],
    ),
    "for type checkers": (
        {
            "post.py": "import typing\nif typing.TYPE_CHECKING:\n    import types_only\nelse:\n    import real",
            "types_only.py": "",
            "real.py": "",
        },
        "post.py",
        ["real.py"],
    ),
    "a script's part": ({"post.py": "if __name__ == '__main__':\n    import train", "train.py": ""}, "post.py", []),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_imported_is_shipped_and_nothing_else(name: str, tmp_path: Path) -> None:
    tree, file, wanted = LAYOUTS[name]
    found = read(tmp_path, tree, file)
    assert found.faults == ()
    assert found.files == (file, *wanted)


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_shipped_is_enough_for_python(name: str, tmp_path: Path) -> None:
    """Python itself imports the module where nothing but the files found lies."""
    tree, file, _ = LAYOUTS[name]
    if "..." in "".join(tree.values()):
        tree = {key: text.replace("from ... import top", "import top") for key, text in tree.items()}
    found = read(tmp_path / "all", tree, file)
    lay(tmp_path / "shipped", {each: tree[each] for each in found.files})
    module = file.removesuffix(".py").replace("/", ".")
    done = subprocess.run(
        [sys.executable, "-c", f"import {module} as m; getattr(m, 'f', int)()"],
        cwd=tmp_path / "shipped",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_the_folder_does_not_have_is_told_with_its_place(tmp_path: Path) -> None:
    tree = {
        "post.py": "import numpy as np\nimport common\n\ndef f():\n    from a.b import c",
        "common.py": "try:\n    import ujson\nexcept ImportError:\n    import json as ujson\nimport yaml",
        "numpy/data.bin": "",
    }
    found = read(tmp_path, tree)
    assert [(each.name, each.file, each.where.line, each.optional) for each in found.foreign] == [
        ("numpy", "post.py", 1, False),
        ("a.b", "post.py", 5, False),
        ("ujson", "common.py", 2, True),
        ("json", "common.py", 4, True),
        ("yaml", "common.py", 5, False),
    ]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("import pkg.nope", "there is no module `pkg.nope`", None),
        ("from .commom import X", "there is no module `commom`", "did you mean `common`?"),
        ("from . import commom", "there is no module `commom`", "did you mean `common`?"),
        ("from .. import common", "`from ..` leads out of the graph's folder", None),
        ("from ...a import b", "`from ...a` leads out of the graph's folder", None),
        ("import common.deeper", "there is no module `common.deeper`", None),
    ],
)
def test_an_import_that_cannot_work_is_a_fault_at_its_line(
    text: str, message: str, hint: str | None, tmp_path: Path
) -> None:
    found = read(tmp_path, {"post.py": f"import common\n{text}", "common.py": "", "pkg/__init__.py": ""})
    (fault,) = found.faults
    assert (fault.fault.rule, fault.fault.message, fault.fault.help) == (MISSING_MODULE, message, hint)
    assert (fault.file, fault.where.line) == ("post.py", 2)


def test_a_tried_import_may_be_missing(tmp_path: Path) -> None:
    text = "try:\n    from .fast import f\nexcept (KeyError, ImportError):\n    f = None"
    assert read(tmp_path, {"post.py": text}).faults == ()


def test_a_module_that_does_not_parse_is_told_where_it_is_imported(tmp_path: Path) -> None:
    found = read(tmp_path, {"post.py": "import os\nimport common", "common.py": "def f(:"})
    (fault,) = found.faults
    assert (fault.fault.rule, fault.file, fault.where.line) == (INVALID_MODULE, "post.py", 2)


def test_links_stay_inside_the_folder(tmp_path: Path) -> None:
    secret = tmp_path / "secret.py"
    secret.write_text("KEY = 1")
    folder = lay(tmp_path / "graph", {"post.py": "import inside\nimport outside", "real.py": ""})
    (folder / "inside.py").symlink_to("real.py")
    (folder / "outside.py").symlink_to(secret)
    found = read_imports(folder, "post.py")
    (fault,) = found.faults
    assert fault.fault.message == "`outside.py` is a link to a file outside the graph's folder"
    assert "inside.py" in found.files


def test_what_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    folder = lay(tmp_path, {"post.py": "import pipe"})
    os.mkfifo(folder / "pipe.py")
    assert [each.name for each in read_imports(folder, "post.py").foreign] == ["pipe"]
    assert find_module(folder, "pipe") is None


def test_a_package_may_be_the_entry(tmp_path: Path) -> None:
    lay(tmp_path, {"pkg/__init__.py": "from .a import f", "pkg/a.py": "def f(): ..."})
    assert find_module(tmp_path, "pkg") == "pkg/__init__.py"
    assert find_module(tmp_path, "pkg.a") == "pkg/a.py"
    assert find_module(tmp_path, "pkg.b") is None
    assert find_module(tmp_path, "other") is None


def test_nothing_is_executed(tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    read(tmp_path, {"post.py": "import common", "common.py": f"open({str(harm)!r}, 'w')"})
    assert not harm.exists()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(
        st.sampled_from(
            ["import a", "from a import b", "from . import a", "from .b import *", "import b.c", "from ..a import b"]
            + ["if x:\n    import c", "from b.c import d as e", "import_module('a.b')", "try:\n import b\nfinally: 1"]
        ),
        max_size=4,
    ),
    names=st.sets(st.sampled_from(["a.py", "b.py", "a/__init__.py", "b/c.py", "b/__init__.py", "c.py"])),
)  # fmt: skip
def test_any_tree_is_an_answer(
    texts: list[str], names: set[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    found = read(folder, {"post.py": "\n".join(texts), **dict.fromkeys(names, "\n".join(texts))})
    assert set(found.files) <= {"post.py", *names}
    assert len(set(found.files)) == len(found.files)


# --- Files by patterns ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("models/prep.joblib", ["models/prep.joblib"]),
        ("models", ["models/deep/b.txt", "models/prep.joblib"]),
        ("models/", ["models/deep/b.txt", "models/prep.joblib"]),
        ("models/*", ["models/deep/b.txt", "models/prep.joblib"]),
        ("**/*.txt", ["models/deep/b.txt", "words.txt"]),
        ("*.txt", ["words.txt"]),
        ("models/deep/?.txt", ["models/deep/b.txt"]),
        (".hidden", [".hidden"]),
    ],
)
def test_patterns(pattern: str, wanted: list[str], tmp_path: Path) -> None:
    names = [
        "models/prep.joblib",
        "models/deep/b.txt",
        "words.txt",
        ".hidden",
        "models/.cache/x",
        "models/__pycache__/y",
    ]
    lay(tmp_path, dict.fromkeys(names, "x"))
    assert find_files(tmp_path, pattern) == tuple(wanted)


@pytest.mark.parametrize(
    ("pattern", "message", "hint"),
    [
        ("vocab.txt", "there is no file `vocab.txt`", "did you mean `vocabs.txt`?"),
        ("*.json", "no file is like `*.json`", None),
        ("pipe", "`pipe` stands for no regular file", None),
        ("empty", "`empty` stands for no regular file", None),
        ("out.txt", "`out.txt` is a link to a file outside the graph's folder", "copy the file itself there"),
    ],
)
def test_patterns_without_files(pattern: str, message: str, hint: str | None, tmp_path: Path) -> None:
    folder = lay(tmp_path / "graph", {"vocabs.txt": ""})
    (tmp_path / "secret.txt").touch()
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "empty").mkdir()
    os.mkfifo(folder / "pipe")
    fault = find_files(folder, pattern)
    assert isinstance(fault, ArtefactFault)
    rule = FILE_ELSEWHERE if pattern == "out.txt" else MISSING_ARTEFACT
    assert (fault.rule, fault.message, fault.help) == (rule, message, hint)


def test_links_in_circles_come_to_an_end(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).symlink_to(".")
    (tmp_path / "x.txt").touch()
    fault = find_files(tmp_path, "**")
    assert isinstance(fault, ArtefactFault)
    assert fault.message == f"`**` stands for more than {MOST_FILES:,} files"
