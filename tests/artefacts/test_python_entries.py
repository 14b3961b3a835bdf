"""What a Python module offers, told without importing it."""

import inspect
from pathlib import Path
from typing import Final

import pytest
from graphc.artefacts.python_reader import EntryParameter, PythonEntry, read_entry
from graphc.artefacts.signature import ArtefactFault
from graphc.diagnostics.codes.artefacts import INVALID_MODULE, MISSING_FUNCTION, MISSING_MODULE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def read(text: str | bytes, name: str, folder: Path) -> PythonEntry | ArtefactFault:
    path = folder / "post.py"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_entry(path, name)


def entry_of(text: str, name: str, folder: Path) -> PythonEntry:
    entry = read(text, name, folder)
    assert isinstance(entry, PythonEntry), entry
    return entry


def fault_of(text: str | bytes, name: str, folder: Path) -> ArtefactFault:
    fault = read(text, name, folder)
    assert isinstance(fault, ArtefactFault), fault
    return fault


SIGNATURES: Final = (
    "",
    "a",
    "a, b",
    "a, b=1",
    "a, *, b, c=2",
    "a, /, b",
    "a=1, /, b=2",
    "*args, a",
    "a, **rest",
    "a, b=1, /, c=2, *args, d, e=3, **rest",
)


@pytest.mark.parametrize("signature", SIGNATURES)
def test_parameters_are_told_as_inspect_tells_them(signature: str, tmp_path: Path) -> None:
    text = f"def f({signature}): return 1"
    scope: dict[str, object] = {}
    exec(text, scope)
    function = scope["f"]
    assert callable(function)
    real = inspect.signature(function).parameters.values()
    entry = entry_of(text, "f", tmp_path)
    by_name = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    absent = inspect.Parameter.empty
    assert entry.parameters == tuple(
        EntryParameter(p.name, p.default is absent) for p in real if p.kind in by_name
    )
    assert entry.takes_any == any(p.kind is inspect.Parameter.VAR_KEYWORD for p in real)
    only = inspect.Parameter.POSITIONAL_ONLY
    assert entry.positional_only == tuple(p.name for p in real if p.kind is only and p.default is absent)
    assert not entry.is_class


def test_a_class_is_a_class(tmp_path: Path) -> None:
    assert entry_of("class Model:\n    pass\n", "Model", tmp_path).is_class


def test_a_coroutine_is_told(tmp_path: Path) -> None:
    assert entry_of("async def f(x): ...", "f", tmp_path).is_async


def test_a_decorated_function_takes_what_nobody_knows(tmp_path: Path) -> None:
    entry = entry_of("import functools\n@functools.cache\ndef f(x): ...", "f", tmp_path)
    assert entry.parameters is None
    assert entry.takes_any


@pytest.mark.parametrize(
    "text",
    [
        "from other import f",
        "from other import g as f",
        "import f",
        "import f.inner",
        "f = g = lambda x: x",
        "f: object = len",
        "(a, [f, b]) = 1, [2, 3]",
        "from other import *",
        "try:\n    from a import b\nexcept ImportError:\n    f = None",
        "if True:\n    pass\nelse:\n    f = 1",
        "with open('x') as g:\n    f = 1",
    ],
)
def test_a_name_that_is_bound_otherwise_is_there(text: str, tmp_path: Path) -> None:
    entry = entry_of(text, "f", tmp_path)
    assert entry.name == "f"
    assert entry.parameters is None


def test_the_last_definition_counts(tmp_path: Path) -> None:
    entry = entry_of("def f(a): ...\ndef f(b): ...", "f", tmp_path)
    assert entry.parameters == (EntryParameter("b", required=True),)


@pytest.mark.parametrize(
    "text", ["def g():\n    def f(): ...", "class A:\n    def f(self): ...", "f: int", ""]
)
def test_a_name_inside_is_not_the_modules(text: str, tmp_path: Path) -> None:
    assert fault_of(text, "f", tmp_path).rule is MISSING_FUNCTION


def test_a_misspelt_name_gets_the_nearest(tmp_path: Path) -> None:
    fault = fault_of("def to_label(p): ...", "to_lable", tmp_path)
    assert fault.message == "`post.py` has no function or class `to_lable`"
    assert fault.help == "did you mean `to_label`?"


def test_a_module_that_does_not_exist_is_a_fault(tmp_path: Path) -> None:
    fault = read_entry(tmp_path / "post.py", "f", called="code/post.py")
    assert isinstance(fault, ArtefactFault)
    assert (fault.rule, fault.message) == (MISSING_MODULE, "there is no module `code/post.py`")


def test_a_folder_is_no_module(tmp_path: Path) -> None:
    fault = read_entry(tmp_path, "f", called="code")
    assert isinstance(fault, ArtefactFault)
    assert (fault.rule, fault.message) == (MISSING_MODULE, "`code` is a folder, not a module")


def test_a_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    fault = fault_of("x = 1\ndef f(:\n", "f", tmp_path)
    assert fault.rule is INVALID_MODULE
    assert fault.message == "`post.py` does not parse: invalid syntax at line 2"


BROKEN: Final = {
    "null bytes": b"def f(): ...\0",
    "not UTF-8": b"x = '\xff'",
    "an unknown encoding": b"# coding: klingon\n",
    "deep brackets": b"(" * 100_000,
    "deep operators": b"-" * 200_000 + b"1",
    "a long chain": b"x" + b".a" * 200_000,
    "huge": b"#" * (5 << 20),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_text_is_a_fault(name: str, tmp_path: Path) -> None:
    assert fault_of(BROKEN[name], "f", tmp_path).rule is INVALID_MODULE


def test_reading_runs_nothing_and_warns_of_nothing(tmp_path: Path) -> None:
    text = f"open({str(tmp_path / 'harm')!r}, 'w')\npattern = '\\d'\ndef f(): ..."
    assert entry_of(text, "f", tmp_path).parameters == ()
    assert not (tmp_path / "harm").exists()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_an_answer(data: bytes, tmp_path: Path) -> None:
    assert isinstance(read(data, "f", tmp_path), PythonEntry | ArtefactFault)
