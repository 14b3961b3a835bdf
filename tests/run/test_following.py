"""A run that follows its file: shares move under load, and nothing else does."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner, Result
from graphc.cli import main
from graphc.cli.promote_command import command as promote_command
from graphc.cli.run_command import command as run_command
from graphc.compare.figures import Figures
from graphc.compare.store import Store, url_of
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.rollout.describe import describe_rollout
from graphc.rollout.shares import Rollout
from graphc.run.following import Follower, Source
from graphc.run.load import Loaded, load_compiled
from seen_answers import seen_by
from steady_load import loading, single_rows

EXAMPLE: Final = Path(__file__).parents[2] / "graphs" / "cancer-rollout"
PAGE: Final = EXAMPLE.parents[1] / "docs" / "deploy.md"
GRAPHC: Final = [sys.executable, "-c", "from graphc.cli import start; start()"]
OUTPUTS: Final = frozenset({"diagnosis", "probabilities"})

Json = dict[str, Any]


def write_example(folder: Path) -> Path:
    """Write the example with its models where they are."""
    path = folder / "graph.yaml"
    text = (EXAMPLE / "graph.yaml").read_text()
    path.write_text(text.replace("model: models/", f"model: {EXAMPLE}/models/"))
    return path


def read(path: Path) -> Loaded | None:
    done = compile_files(Request([str(path)], purpose="local"))
    return None if done.sink.has_errors else load_compiled(done)


@dataclass
class Heard:
    rollouts: list[Rollout] = field(default_factory=list[Rollout])
    words: list[str] = field(default_factory=list[str])

    async def share(self, rollout: Rollout) -> None:
        self.rollouts.append(rollout)

    async def until(self, words: int) -> None:
        for _ in range(400):
            if len(self.words) >= words:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(self.words)


def test_shares_are_taken_over_and_nothing_else(tmp_path: Path) -> None:
    path = write_example(tmp_path)
    text = path.read_text()
    heard = Heard()

    async def test() -> None:
        first = read(path)
        assert first is not None
        source = Source((str(path),), lambda: read(path))
        following = asyncio.create_task(Follower(source, first, heard.share, heard.words.append).follow())
        await asyncio.sleep(0.1)
        changes = (
            text.replace("traffic: 90", "traffic: 60").replace("traffic: 10", "traffic: 40"),
            text.replace("traffic: 90", "traffic: 50")
            .replace("traffic: 10", "traffic: 0")
            .replace("shadow: true\n    mirror: 50", "traffic: 50"),
            text.replace("refit.onnx", "forest.onnx"),
            text.replace("traffic: 90", "traffic: 100").replace("traffic: 10\n", "when: {path: v2}\n"),
            text.replace("traffic: 90", "traffic: 95").replace("traffic: 10", "traffic: 5"),
        )
        for number, change in enumerate(changes, 1):
            path.write_text(change)
            await heard.until(number)
        path.write_text("not: a graph")
        await asyncio.sleep(1)
        following.cancel()

    asyncio.run(test())
    assert heard.words == [
        "requests: main 60 %, canary 40 %\nshadow forest: a copy of 50 % of the requests",
        "requests: main 50 %, canary 0 %, forest 50 %",
        "warning: more than shares of the requests has changed; start the run again for that",
        "warning: other paths lead to the versions; start the run again for that",
        "requests: main 95 %, canary 5 %\nshadow forest: a copy of 50 % of the requests",
    ]
    assert [describe_rollout(each) for each in heard.rollouts] == [heard.words[each] for each in (0, 1, 4)]


@pytest.mark.parametrize("arguments", [["-"], ["graph.yaml", "--predictor", "main"]])
def test_what_is_no_file_or_not_whole_is_not_followed(arguments: list[str]) -> None:
    done = CliRunner().invoke(run_command, ["--follow", *arguments])
    assert done.exit_code == 2
    assert "`--follow` is for files, and for all of their predictors" in done.output


def verdict(outcome: str, folder: Path) -> Path:
    statement = {"statement": f"agreement: it is {outcome}"}
    path = folder / "report.json"
    path.write_text(
        json.dumps({"verdicts": [{"candidate": "forest", "outcome": outcome, "gates": [statement]}]})
    )
    return path


def promote(path: Path, *more: str) -> tuple[int, str]:
    arguments = ["--local", "--to", "forest", "--pause", "0s", "--patience", "0s", *more, str(path)]
    done = CliRunner().invoke(promote_command, arguments)
    return done.exit_code, done.output


def shares_of(path: Path) -> dict[str, int | None]:
    predictors: Json = yaml.safe_load(path.read_text())["predictors"]
    return {name: None if each.get("shadow") else each["traffic"] for name, each in predictors.items()}


def test_a_promotion_in_the_file_goes_through_gates(tmp_path: Path) -> None:
    path = write_example(tmp_path)
    before = path.read_text()
    for outcome in ("failed", "not enough samples"):
        code, words = promote(path, "--report", str(verdict(outcome, tmp_path)))
        assert (code, path.read_text()) == (1, before)
        assert f"Error: cancer-rollout: `forest` is not promoted: gate: agreement: it is {outcome}" in words
    code, words = promote(path, "--steps", "25,100", "--report", str(verdict("passed", tmp_path)))
    assert code == 0
    assert re.findall(r"gets (\d+) %", words) == ["25", "100"]
    assert shares_of(path) == {"main": 0, "canary": 0, "forest": 100}
    found = read(path)
    assert found is not None, "the file is a graph still"


def rows_of(report: Path, candidate: str, *, requests: int) -> None:
    """Store a run in which `main` and a canary each answered requests of their own."""
    figures = Figures()
    for number in range(requests):
        for predictor in ("main", candidate):
            found = figures.predictor(predictor)
            assert found is not None
            found.add(seen_by(predictor, str(number), seconds=0.01))
    store = Store(url_of(str(report)))
    recording = store.begin("cancer-rollout", float(requests), {})
    assert recording.write(float(requests), float(requests) + 1, figures)
    recording.close(float(requests) + 1)
    store.close()


def promote_canary(path: Path, *more: str) -> tuple[int, str]:
    arguments = ["--local", "--to", "canary", "--pause", "0s", "--patience", "0s", *more, str(path)]
    done = CliRunner().invoke(promote_command, arguments)
    return done.exit_code, done.output


def test_the_canary_of_the_readme_is_promoted_by_gates_that_its_own_answers_decide(tmp_path: Path) -> None:
    path, report = write_example(tmp_path), tmp_path / "runs.db"
    assert graph_of(path).exit_code == 0
    rows_of(report, "canary", requests=200)
    code, words = promote_canary(path, "--report", str(report))
    assert code == 1, words
    assert "samples: 200, wanted >= 300" in words
    assert "agreement" not in words
    rows_of(report, "canary", requests=400)
    code, words = promote_canary(path, "--report", str(report))
    assert code == 0, words
    assert shares_of(path) == {"main": 0, "canary": 100, "forest": None}
    assert graph_of(path).exit_code == 0, "what was promoted still passes its check"


def graph_of(path: Path) -> Result:
    return CliRunner().invoke(main, ["check", str(path)])


def test_a_gate_that_is_never_decided_is_not_waited_for(tmp_path: Path) -> None:
    path = write_example(tmp_path)
    path.write_text(path.read_text().replace("    promote_when: {agreement: null, error_p50: null}", "  "))
    code, words = promote_canary(path, "--report", str(tmp_path / "runs.db"))
    assert code == 1
    assert "error[GC475]: `agreement` and `error_p50` of `canary` are never decided" in words


def test_what_has_all_requests_already_is_said(tmp_path: Path) -> None:
    path = write_example(tmp_path)
    text = path.read_text()
    path.write_text(text[: text.index("predictors:")].replace("promote_when", "# promote_when"))
    done = CliRunner().invoke(promote_command, ["--local", "--to", "main", str(path)])
    assert (done.exit_code, done.output) == (0, "`main` has 100 % already\n")


def test_a_wait_for_gates_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphc.cluster.asking.JUDGE_SECONDS", 0.01)
    path = write_example(tmp_path)
    report = verdict("not enough samples", tmp_path)
    code, words = promote(path, "--patience", "1s", "--report", str(report))
    assert code == 1
    shown = [line for line in words.splitlines() if "waits for its gates" in line]
    # Elsewhere than on a terminal a line comes now and then, not one for each look.
    assert len(shown) == 1
    assert re.fullmatch(r"`forest` waits for its gates \(\d of 1 s\): gate: agreement: it is .*", shown[0])


def test_a_gate_that_fails_later_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = write_example(tmp_path)
    before = path.read_text()
    report = verdict("passed", tmp_path)
    steps = ["--steps", "50,100", "--report", str(report)]
    with subprocess.Popen(
        [*GRAPHC, "promote", "--local", "--to", "forest", "--pause", "3s", *steps, str(path)],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "gets 50 %" in line:
                break
        assert shares_of(path) == {"main": 45, "canary": 5, "forest": 50}
        verdict("failed", tmp_path)
        words = process.stderr.read()
        assert process.wait(60) == 1
    assert "the file is as it was" in words
    assert path.read_text() == before


@pytest.mark.parametrize("more", [["--prometheus", "http://x"], ["--to", "nobody"]])
def test_what_cannot_be_promoted_in_a_file_is_said(more: list[str], tmp_path: Path) -> None:
    code, words = promote(write_example(tmp_path), "--without-gates", *more)
    assert code != 0
    assert "is for what runs on a cluster" in words or "has no predictor `nobody`" in words
    assert "Traceback" not in words


@contextmanager
def following(command: str, folder: Path, environment: dict[str, str]) -> Generator[str]:
    """Run the page's command for the first terminal, at any ports; yield the URL that answers."""
    log = folder / "run.log"
    arguments = [*GRAPHC, *command.split()[1:], "--port", "0", "--grpc-port", "0"]
    with (
        log.open("wb") as said,
        subprocess.Popen(arguments, cwd=folder, env=environment, stdout=said, stderr=said) as process,
    ):
        try:
            while not (found := re.search(r"^cancer-rollout: (http\S+)$", log.read_text(), re.MULTILINE)):
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
            yield found[1]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def commands_of_the_page() -> tuple[str, list[str]]:
    """Return the command of the first terminal, and those of the second."""
    _, first, second, *_ = PAGE.read_text().partition("**On this machine**")[2].split("```sh\n")
    return first.partition("```")[0].strip(), second.partition("```")[0].splitlines()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_good_shadow_is_promoted_and_a_bad_one_refused_with_no_failed_request(tmp_path: Path) -> None:
    environment = os.environ | {"GRAPHC_COMPARE_DATABASE": str(tmp_path / "compare.db")}
    serve, typed = commands_of_the_page()
    assert [each.split()[1] for each in typed] == ["compare", "promote"]
    folder = tmp_path / "graphs" / "cancer-rollout"
    shutil.copytree(EXAMPLE, folder)
    path = folder / "graph.yaml"
    good = path.read_text()
    swapped = "forest.onnx}\n      diagnosis: {parameters: {labels: [benign, malignant]}}\n"
    told: dict[str, str] = {}
    counted: dict[str, int] = {}
    for name, text, code in (("bad", good.replace("forest.onnx}\n", swapped), 1), ("good", good, 0)):
        path.write_text(text)
        with (
            following(serve, tmp_path, environment) as url,
            loading(url, single_rows(EXAMPLE), OUTPUTS) as load,
        ):
            # Half are copied, and the database hears of them within ten seconds.
            load.await_answers(900)
            time.sleep(11)
            for each in typed:
                done = subprocess.run(
                    [*GRAPHC, *each.split()[1:]],
                    cwd=tmp_path,
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=300,
                    check=False,
                )
                assert done.returncode == code, f"{each}: {done.stdout}{done.stderr}"
                told[name] = done.stdout + done.stderr
            load.await_answers(200)
            assert load.failures == []
            counted[name] = load.answered
    print(f"answered {counted}, none failed; {told}")
    assert re.search(r"`forest` is not promoted: gate: agreement: 0\.0\d+, wanted >= 0\.9", told["bad"])
    assert re.findall(r"gets (\d+) %", told["good"]) == ["10", "50", "100"]
    assert shares_of(path) == {"main": 0, "canary": 0, "forest": 100}
    assert "requests: main 0 %, canary 0 %, forest 100 %" in (tmp_path / "run.log").read_text()
