"""What a test draws, and so what it reaches, does not hang on the modules that tests before it loaded."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from steady_draws import steady_draws


def drawn() -> list[int]:
    """What one seed draws."""
    found: list[int] = []

    @seed(0)
    @settings(max_examples=400, deadline=None, database=None, phases=[Phase.generate])
    @given(st.integers())
    def draw(number: int) -> None:
        found.append(number)

    draw()
    return found


def test_a_module_that_was_loaded_changes_no_draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with steady_draws():
        before = drawn()
    constants = [123_456_789 + 1_000_003 * number for number in range(500)]
    file = tmp_path / "loaded.py"
    file.write_text(f"CONSTANTS = {constants}\n")
    module = ModuleType("loaded_meanwhile")
    module.__file__ = str(file)
    # What the module adds is forgotten at the end.
    monkeypatch.setattr(providers, "_local_constants", Constants())
    monkeypatch.setitem(sys.modules, "loaded_meanwhile", module)
    assert set(drawn()) & set(constants), "hypothesis takes constants out of modules no more"
    with steady_draws():
        assert drawn() == before
