"""What graphs are compiled for: an option, the cluster's profile, or the default."""

from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result
from graphc.cli import COMMANDS, main
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request

GRAPH: Final = str(Path(__file__).parents[2] / "graphs" / "wine-average" / "graph.yaml")
PROFILE: Final = "apiVersion: graphc/v1\nkind: ClusterProfile\nmetadata: {name: ours}\n"
COMPILING: Final = (
    *("apply", "bench", "check", "compile", "dashboards", "explain"),
    *("image", "lint", "plan", "push", "run", "test", "view"),
)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments])


@pytest.mark.parametrize("command", COMPILING)
def test_an_unknown_target_is_refused_with_those_that_there_are(command: str) -> None:
    done = call(command, GRAPH, "--target", "echo")
    assert done.exit_code == (1 if command == "plan" else 2)
    assert "`echo` is not a target; there are `kubernetes`, `seldon`" in done.stderr


def test_every_command_that_takes_a_profile_takes_a_target() -> None:
    helps = {name: call(name, "--help").stdout for name in COMMANDS}
    taking = {name for name, text in helps.items() if "--profile FILE" in text}
    assert taking
    assert taking <= {name for name, text in helps.items() if "--target NAME" in text} == {*COMPILING}


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize(
    ("said", "asked", "kind"),
    [
        (None, None, "SeldonDeployment"),
        (None, "echo", "Echo"),
        ("echo", None, "Echo"),
        ("echo", "seldon", "SeldonDeployment"),
        ("seldon", "echo", "Echo"),
    ],
)
def test_the_option_wins_over_the_profile(
    tmp_path: Path, said: str | None, asked: str | None, kind: str
) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text(PROFILE + (f"target: {said}\n" if said else ""))
    options = ["--profile", str(profile), *(["--target", asked] if asked else [])]
    done = call("compile", GRAPH, *options)
    assert done.exit_code == 0, done.stderr
    assert f"kind: {kind}\n" in done.stdout


@pytest.mark.parametrize("command", ["compile", "check"])
def test_a_profile_with_an_unknown_target_is_refused_at_its_line(tmp_path: Path, command: str) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text(PROFILE + "target: echo\n")
    files = [str(profile)] if command == "check" else [GRAPH, "--profile", str(profile)]
    done = call(command, *files, "--output-format", "json")
    assert done.exit_code == 1
    found = done.stdout + done.stderr
    assert "`target` cannot be `echo`" in found
    assert "it takes `kubernetes`, `seldon`" in found
    assert '"line": 4' in found


def test_a_program_that_names_an_unknown_target_gets_a_diagnostic() -> None:
    done = compile_files(Request([GRAPH], {}, {}, target="echo"))
    assert [each.message for each in done.sink] == [
        "`echo` is not a target; there are `kubernetes`, `seldon`"
    ]
    assert done.emissions == []


@pytest.mark.usefixtures("echo")
def test_what_no_engine_can_walk_is_not_run() -> None:
    done = call("run", GRAPH, "--target", "echo", "--once")
    assert done.exit_code == 1
    assert "Traceback" not in done.output
    assert "SeldonDeployment" in done.output
