"""The hooks for pre-commit: they parse, find graph files, and do what they say."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from graphc.cli import COMMANDS

ROOT: Final = Path(__file__).parents[2]
HOOKS: Final[list[dict[str, Any]]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
WINE: Final = ROOT / "graphs" / "wine-average"


def run(hook: dict[str, Any], *files: Path) -> "subprocess.CompletedProcess[str]":
    """Run an entry as pre-commit does: with the names of the files behind it."""
    program, *words = hook["entry"].split()
    assert program == "graphc"
    start = [sys.executable, "-c", "from graphc.cli import start; start()"]
    return subprocess.run([*start, *words, *map(str, files)], capture_output=True, text=True, check=False)


def test_each_hook_has_what_pre_commit_asks_for() -> None:
    assert [each["id"] for each in HOOKS] == ["graphc-fmt", "graphc-check"]
    for hook in HOOKS:
        assert hook.keys() == {"id", "name", "description", "entry", "language", "files"}
        # The packages lie below the repository's top, where pre-commit installs none from.
        assert hook["language"] == "system"
        assert hook["entry"].split()[1] in COMMANDS


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_hooks_take_graph_files_alone(hook: dict[str, Any]) -> None:
    examples = [path.relative_to(ROOT).as_posix() for path in (ROOT / "graphs").rglob("graph*.yaml")]
    assert examples
    for path in [*examples, "graph.yml", "graph-v2.yaml"]:
        assert re.search(hook["files"], path), path
    for path in (
        "docker-compose.yaml",
        "k8s/rbac/role.yaml",
        "graph.py",
        "mygraph.yaml",
        "graphs/values.yaml",
    ):
        assert not re.search(hook["files"], path), path


def test_the_entries_change_and_refuse(tmp_path: Path) -> None:
    shutil.copytree(WINE, tmp_path / "wine")
    path = tmp_path / "wine" / "graph.yaml"
    fmt, check = HOOKS
    for hook in HOOKS:
        assert run(hook, path).returncode == 0
    neat = path.read_text()
    path.write_text(neat.replace("in: {X: x}", "in: { X: x }"))
    # pre-commit fails a hook that changes a file, whatever it ends with.
    assert run(fmt, path).returncode == 0
    assert path.read_text() == neat
    path.write_text(neat.replace("in: average", "in: avrage"))
    done = run(check, path)
    assert done.returncode == 1
    assert "did you mean `average`?" in done.stdout
