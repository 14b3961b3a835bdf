"""What a class can be called with, told from its text as it is told by the class itself."""

import inspect
import types
from pathlib import Path
from typing import Final, cast

import pytest
from graphc.artefacts.python_classes import PythonClass, read_class


def read(text: str, folder: Path, name: str = "Mine") -> PythonClass | None:
    path = folder / "mine.py"
    path.write_text(text)
    return read_class(path, name, called="mine.py")


def class_of(text: str, folder: Path) -> PythonClass:
    found = read(text, folder)
    assert found is not None
    return found


CLASSES: Final = [
    "class Mine: pass",
    "class Mine(object):\n    def predict(self, X, names, meta=None): pass",
    "class Mine:\n    def __init__(self, a, b=1, *rest, c, d=2, **more): pass",
    "class Mine:\n    def __init__(self, a, /, b): pass\n    def route(this, X, /, *, names): pass",
    "class Mine:\n    @staticmethod\n    def predict(X, names): pass\n"
    "    @classmethod\n    def route(cls, X, *names): pass",
    "class Mine:\n    def predict(*arguments): pass",
    "class Above:\n    def __init__(self, a): pass\n    def load(self): pass\n"
    "class Mine(Above):\n    def predict(self, X, names): pass",
    "class Above:\n    def __init__(self, a): pass\n    def load(self, x): pass\n"
    "class Mine(Above):\n    def __init__(self): pass\n    def load(self): pass",
    "class A:\n    def __init__(self, a): pass\n    def f(self, a): pass\n"
    "class B:\n    def __init__(self, b): pass\n    def f(self, b): pass\n    def g(self, b): pass\n"
    "class Mine(A, B): pass",
    "if True:\n    class Mine:\n        def predict(self, X): pass\nelse:\n    x = 1",
    "class Mine:\n    def predict(self, X): pass\n    def predict(self, X, names): pass",
]  # fmt: skip


@pytest.mark.parametrize("text", CLASSES)
def test_methods_are_told_as_inspect_tells_them(text: str, tmp_path: Path) -> None:
    scope: dict[str, object] = {}
    exec(text, scope)
    real = scope["Mine"]
    assert isinstance(real, type)
    found = class_of(text, tmp_path)
    assert found.is_whole
    assert _shape(found.makes) == _shape(inspect.signature(real))
    functions = (types.FunctionType, staticmethod, classmethod)
    own = {name for each in real.__mro__ for name, value in vars(each).items() if type(value) in functions}
    assert found.methods.keys() == own
    made: object = object.__new__(cast("type[object]", real))
    for name, signature in found.methods.items():
        if name != "__init__":
            assert _shape(signature) == _shape(inspect.signature(getattr(made, name))), name


def _shape(signature: inspect.Signature | None) -> list[tuple[str, object, bool]]:
    assert signature is not None
    return [
        (each.name, each.kind, each.default is inspect.Parameter.empty)
        for each in signature.parameters.values()
    ]


IMPORTS: Final = [
    ("from seldon_core.user_model import SeldonComponent", "SeldonComponent"),
    ("from seldon_core.user_model import SeldonComponent as Above", "Above"),
    ("from seldon_core import user_model", "user_model.SeldonComponent"),
    ("import seldon_core.user_model", "seldon_core.user_model.SeldonComponent"),
]


@pytest.mark.parametrize(("statement", "base"), IMPORTS)
def test_the_class_of_seldons_package_brings_no_method_and_takes_any_parameter(
    statement: str, base: str, tmp_path: Path
) -> None:
    found = class_of(f"{statement}\nclass Mine({base}):\n    def predict(self, X, names): pass\n", tmp_path)
    assert found.is_whole
    assert found.methods.keys() == {"predict"}
    assert found.makes is not None
    assert found.makes.bind(anything=1)


UNTOLD: Final = [
    "from other import Above\nclass Mine(Above): pass",
    "from seldon_core.user_model import Other\nclass Mine(Other): pass",
    "from typing import Generic\nclass Mine(Generic[int]): pass",
    "class Mine(metaclass=type): pass",
    "@decorate\nclass Mine: pass",
    "class Mine:\n    def __getattr__(self, name): pass",
    "class Above(Missing): pass\nclass Mine(Above): pass",
    "object = None\nclass Mine(object): pass",
]


@pytest.mark.parametrize("text", UNTOLD)
def test_what_may_have_more_methods_is_not_whole(text: str, tmp_path: Path) -> None:
    assert not class_of(text, tmp_path).is_whole


UNKNOWN_MAKERS: Final = [
    "from other import Above\nclass Mine(Above): pass",
    "import dataclasses\n@dataclasses.dataclass\nclass Mine:\n    a: int",
    "class Mine:\n    def __new__(cls, a): pass",
    "class Mine:\n    __init__ = None",
    "class Mine:\n    @decorated\n    def __init__(self): pass",
    "class Mine:\n    if True:\n        def __init__(self): pass",
]


@pytest.mark.parametrize("text", UNKNOWN_MAKERS)
def test_what_an_object_is_made_with_is_not_told(text: str, tmp_path: Path) -> None:
    assert class_of(text, tmp_path).makes is None


BODIES: Final = [
    "predict = None",
    "predict: object = print",
    "async def predict(self): pass",
    "@cached\n    def predict(self): pass",
    "for x in (1,):\n        def predict(self): pass",
    "def predict(): pass",
    "a, predict = 1, 2",
]


@pytest.mark.parametrize("body", BODIES)
def test_a_method_whose_arguments_are_not_told_is_there(body: str, tmp_path: Path) -> None:
    assert class_of(f"class Mine:\n    {body}\n", tmp_path).methods["predict"] is None


@pytest.mark.parametrize(
    "text", ["from other import Mine", "def Mine(): pass", "Mine = 1", "x = 1", "class Mine(", ""]
)
def test_what_is_no_class_of_the_module_is_not_told(text: str, tmp_path: Path) -> None:
    assert read(text, tmp_path) is None


def test_classes_above_each_other_end(tmp_path: Path) -> None:
    assert class_of("class Mine(Other): pass\nclass Other(Mine): pass\n", tmp_path).methods == {}
