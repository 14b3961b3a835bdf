"""A run that watches its files: what changed takes over once it is ready, and nothing else does."""

import asyncio
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from click.testing import CliRunner
from graphc.cli.run_command import command as run_command
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.rollout.describe import describe_rollout
from graphc.rollout.shares import Rollout
from graphc.run import watching
from graphc.run.following import Source
from graphc.run.load import Loaded, load_compiled
from graphc.run.running import Fresh
from graphc.run.watching import Watcher, stamp_files
from steady_load import Load, loading

ROOT: Final = Path(__file__).parents[2]
IRIS: Final = ROOT / "graphs" / "iris-cascade"
ROLLOUT: Final = ROOT / "graphs" / "cancer-rollout"
TRITON: Final[Any] = importlib.import_module("tritonclient.grpc")
GRAPHC: Final = [sys.executable, "-c", "from graphc.cli import start; start()"]
BODY: Final = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [5.0, 3.4, 1.5, 0.2]}]}
KEPT: Final = "the graph goes on as it was; the next change is tried again"

Json = dict[str, Any]


def read(*paths: Path) -> Loaded | None:
    done = compile_files(Request([str(each) for each in paths], purpose="local"))
    return None if done.sink.has_errors else load_compiled(done)


# --- What is seen, and what is done --------------------------------------------------------------------


@dataclass
class Heard:
    """What a watcher has its run do: `refused` says why nothing new can begin."""

    words: list[str] = field(default_factory=list[str])
    begun: list[Loaded] = field(default_factory=list[Loaded])
    shared: list[Rollout] = field(default_factory=list[Rollout])
    refused: str | None = None

    def prepare(self, loaded: Loaded) -> Fresh | None:
        self.begun.append(loaded)
        return Fresh(None)  # type: ignore[arg-type]

    async def replace(self, _: Fresh) -> str | None:
        return self.refused

    async def share(self, rollout: Rollout) -> None:
        self.shared.append(rollout)

    async def hear(self, *wanted: str) -> None:
        """Wait for lines that end so, and forget them."""
        for _ in range(600):
            if len(self.words) >= len(wanted):
                break
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        assert [line.endswith(end) for line, end in zip(self.words, wanted, strict=True)] == [True] * len(
            wanted
        ), self.words
        self.words.clear()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.03)


def watch(
    path: Path,
    test: Callable[[Heard], Coroutine[None, None, None]],
    starting: Callable[[], object] | None = None,
) -> Heard:
    """Watch a file while a test changes it; `starting` is what is done before the watch begins."""
    heard = Heard()

    async def run() -> None:
        first = read(path)
        assert first is not None
        source = Source((str(path),), lambda: read(path))
        since = stamp_files(source, first)
        if starting is not None:
            starting()
        say = heard.words.append
        watcher = Watcher(source, first, heard.prepare, heard.replace, heard.share, say, since)
        task = asyncio.create_task(watcher.watch())
        await asyncio.sleep(0.1)
        await test(heard)
        assert not task.done()
        task.cancel()

    asyncio.run(run())
    return heard


def test_a_graph_a_model_and_what_was_missing_are_taken_over(tmp_path: Path) -> None:
    shutil.copytree(IRIS, tmp_path / "iris")
    path, models = tmp_path / "iris" / "graph.yaml", tmp_path / "iris" / "models"
    text = path.read_text()

    async def test(heard: Heard) -> None:
        path.write_text(text.replace("until: 0.9", "until: 0.8"))
        await heard.hear("graph.yaml")
        assert len(heard.begun) == 1
        shutil.copy(models / "large.onnx", models / "small.onnx")
        await heard.hear("small.onnx")
        assert len(heard.begun) == 2
        path.write_text(text.replace("until: 0.9", "until: 0.8") + "# a comment\n")
        await heard.hear("graph.yaml", "the graph is as it was")
        path.write_text(text.replace("models/large.onnx", "models/new.onnx"))
        await heard.hear("graph.yaml", KEPT)
        assert len(heard.begun) == 2
        # The graph file says it already: that the model comes is enough.
        shutil.copy(models / "large.onnx", models / "new.onnx")
        await asyncio.sleep(0.5)
        assert len(heard.begun) == 3

    watch(path, test)


def test_what_changes_while_the_first_graph_starts_is_taken_over(tmp_path: Path) -> None:
    shutil.copytree(IRIS, tmp_path / "iris")
    path, models = tmp_path / "iris" / "graph.yaml", tmp_path / "iris" / "models"

    async def test(heard: Heard) -> None:
        await heard.hear("small.onnx")
        assert len(heard.begun) == 1

    watch(path, test, lambda: shutil.copy(models / "large.onnx", models / "small.onnx"))


def test_what_cannot_begin_is_tried_again_with_the_next_change(tmp_path: Path) -> None:
    shutil.copytree(IRIS, tmp_path / "iris")
    path, model = tmp_path / "iris" / "graph.yaml", tmp_path / "iris" / "models" / "small.onnx"
    text = path.read_text()

    async def test(heard: Heard) -> None:
        heard.refused = "unit `iris-cascade` ended"
        shutil.copy(model.with_name("large.onnx"), model)
        await heard.hear("small.onnx", "error: unit `iris-cascade` ended", KEPT)
        heard.refused = None
        # The graph file is what serves, but the model is not.
        path.write_text(text + "# once more\n")
        await heard.hear("graph.yaml")
        assert len(heard.begun) == 2

    watch(path, test)


def test_shares_alone_start_nothing(tmp_path: Path) -> None:
    shutil.copytree(ROLLOUT, tmp_path / "rollout")
    path = tmp_path / "rollout" / "graph.yaml"
    text = path.read_text()

    async def test(heard: Heard) -> None:
        path.write_text(text.replace("traffic: 90", "traffic: 60").replace("traffic: 10", "traffic: 40"))
        await heard.hear("graph.yaml", "a copy of 50 % of the requests")
        assert heard.begun == []
        assert describe_rollout(heard.shared[0]).startswith("requests: main 60 %, canary 40 %")
        # Another path leads to a version: all of it begins anew.
        path.write_text(
            text.replace("traffic: 90", "traffic: 100").replace("traffic: 10\n", "when: {path: v2}\n")
        )
        await heard.hear("graph.yaml")
        assert len(heard.begun) == 1

    watch(path, test)


def test_a_file_that_is_written_slowly_is_read_once(tmp_path: Path) -> None:
    shutil.copytree(IRIS, tmp_path / "iris")
    path = tmp_path / "iris" / "graph.yaml"
    text = path.read_text().replace("until: 0.9", "until: 0.8")

    async def test(heard: Heard) -> None:
        with path.open("w") as file:
            for line in text.splitlines(keepends=True):
                file.write(line)
                file.flush()
                await asyncio.sleep(0.005)
        await heard.hear("graph.yaml")
        assert len(heard.begun) == 1

    watch(path, test)


def test_a_graph_in_python_and_a_module_beside_it_are_watched(tmp_path: Path) -> None:
    (tmp_path / "watched_settings.py").write_text("FACTOR = 0.25\n")
    path = tmp_path / "graph.py"
    path.write_text(
        "from graphc.builder import Graph\nfrom watched_settings import FACTOR\n"
        "graph = Graph('scaled')\nx, z = (graph.input(name, 'FP32[batch, 3]') for name in 'xz')\n"
        "graph.output(y=graph.component('y', 'weighted-mean', [x, z], parameters={'weights': [FACTOR, 1.0]}))\n"
    )

    async def test(heard: Heard) -> None:
        (tmp_path / "watched_settings.py").write_text("FACTOR = 0.5  # and longer\n")
        await heard.hear("watched_settings.py")
        assert "0.5" in str([each.plain for each in heard.begun[0].documents])

    try:
        watch(path, test)
    finally:
        sys.modules.pop("watched_settings", None)
    assert "graphc.run.watching" in sys.modules


def test_a_file_of_requirements_is_watched(tmp_path: Path) -> None:
    shutil.copytree(IRIS, tmp_path / "iris")
    path, asked = tmp_path / "iris" / "graph.yaml", tmp_path / "iris" / "requirements.txt"
    asked.write_text("tinycss2==1.2.1\n")
    path.write_text(path.read_text() + "requirements: requirements.txt\n")

    async def test(heard: Heard) -> None:
        asked.write_text("tinycss2==1.3.0\n")
        await heard.hear("requirements.txt")
        assert "1.3.0" in str(heard.begun[0].requirements)

    watch(path, test)


@pytest.mark.parametrize("arguments", [["-"], ["graph.yaml", "--once"], ["graph.yaml", "--follow"]])
def test_what_cannot_be_watched_is_told(arguments: list[str]) -> None:
    done = CliRunner().invoke(run_command, ["--watch", *arguments])
    assert done.exit_code == 2
    assert "`--watch` is for files" in done.output


# --- A real run under load -----------------------------------------------------------------------------


@dataclass
class Running:
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    def await_said(self, words: str, times: int = 1) -> None:
        end = time.monotonic() + 120
        while self.said.count(words) < times:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.1)

    def find(self, start: str) -> str:
        return next(line for line in self.said.splitlines() if line.startswith(start)).removeprefix(start)


@contextmanager
def running(path: Path, *more: str) -> Generator[Running]:
    (path.parent / "tmp").mkdir()
    log = path.parent / "run.log"
    arguments = [*GRAPHC, "run", "--watch", str(path), "--port", "0", "--grpc-port", "0", *more]
    environment = os.environ | {
        "TMPDIR": str(path.parent / "tmp"),
        "GRAPHC_COMPARE_DATABASE": str(path.parent / "db"),
    }
    with (
        log.open("wb") as said,
        subprocess.Popen(arguments, env=environment, stdout=said, stderr=said) as process,
    ):
        run = Running(process, log)
        try:
            run.await_said("curl ")
            yield run
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    assert "Unclosed" not in run.said
    assert list((path.parent / "tmp").glob("graphc-*")) == []


def species(url: str) -> list[str]:
    request = urllib.request.Request(url, json.dumps(BODY).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        outputs: list[Json] = json.load(answer)["outputs"]
    return next(each["data"] for each in outputs if each["name"] == "species")


def calling(address: str, stopped: threading.Event, found: list[str]) -> None:
    """Keep calling over gRPC; what fails goes to `found`, and so do the answers' numbers at the end."""
    client = TRITON.InferenceServerClient(address)
    given = TRITON.InferInput("x", [1, 4], "FP32")
    given.set_data_from_numpy(np.array([BODY["inputs"][0]["data"]], np.float32))
    answered = 0
    while not stopped.wait(0.01):
        try:
            client.infer("iris-cascade", [given])
            answered += 1
        except Exception as failure:
            found.append(repr(failure))
    client.close()
    found.append(f"answered {answered}")


def test_a_graph_that_never_ends_its_reading_keeps_no_run_from_ending(tmp_path: Path) -> None:
    path = tmp_path / "graph.py"
    path.write_text(
        "from graphc.builder import Graph\ngraph = Graph('scaled')\n"
        "x, z = (graph.input(name, 'FP32[batch, 3]') for name in 'xz')\n"
        "graph.output(y=graph.component('y', 'weighted-mean', [x, z], parameters={'weights': [0.5, 1.0]}))\n"
    )
    with running(path) as run:
        reads = tmp_path / "reads"
        path.write_text(
            f"import pathlib, time\npathlib.Path({str(reads)!r}).touch()\nwhile True:\n    time.sleep(1)\n"
        )
        end = time.monotonic() + 60
        while not reads.exists():
            assert time.monotonic() < end, run.said
            time.sleep(0.05)
        run.process.send_signal(signal.SIGINT)
        assert run.process.wait(30) == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_clients_that_ask_all_the_time_lose_no_request(tmp_path: Path) -> None:
    folder = tmp_path / "iris"
    shutil.copytree(IRIS, folder)
    path = folder / "graph.yaml"
    text = path.read_text()
    outputs = frozenset({"species", "probabilities"})
    with running(path) as run:
        url = run.find("iris-cascade: ")
        stopped, calls = threading.Event(), list[str]()
        caller = threading.Thread(
            target=calling, args=(run.find("gRPC: grpc://").rpartition("/")[0], stopped, calls), daemon=True
        )
        caller.start()
        with (
            loading(url, [BODY], outputs, 0.002) as kept,
            loading(url, [BODY], outputs, 0.002, keeps=False) as fresh,
        ):
            kept.await_answers(50)
            assert species(url) == ["setosa"]
            for number, word in enumerate(("first", "second"), 1):
                path.write_text(text.replace("setosa,", f"{word},"))
                run.await_said("reloaded after", number)
                assert species(url) == [word]
            # What is wrong is told, and the graph goes on.
            path.write_text(text.replace("in: answer", "in: answr"))
            run.await_said(KEPT)
            assert "did you mean `answer`?" in run.said
            assert species(url) == ["second"]
            # So is what can be compiled and cannot begin.
            broken = folder / "broken.py"
            broken.write_text("def change(x):\n    return x\n\nraise RuntimeError('no such luck')\n")
            node = '  odd: {python: "broken:change", in: {x: x}, out: {y: "FP32[batch, 4]"}}\noutputs:\n  odd: odd.y\n'
            path.write_text(text.replace("outputs:\n", node))
            run.await_said(KEPT, 2)
            assert "no such luck" in run.said
            assert species(url) == ["second"]
            # The Python file alone is mended: it is watched, too, once it serves or not.
            path.write_text(text.replace("setosa,", "third,"))
            run.await_said("reloaded after", 3)
            assert species(url) == ["third"]
            for load in (kept, fresh):
                load.await_answers(50)
        stopped.set()
        caller.join(60)
        assert_none_lost(kept, fresh)
        assert calls[:-1] == []
        assert int(calls[-1].split()[1]) > 100
        print(f"HTTP {kept.answered} + {fresh.answered}, gRPC {calls[-1]}, none failed")
        # Those from before have ended, with their folders.
        (place,) = (folder / "tmp").glob("graphc-run-*")
        end = time.monotonic() + 30
        while len(left := list(place.glob("change-*"))) > 1:
            assert time.monotonic() < end, left
            time.sleep(0.1)


def assert_none_lost(*loads: Load) -> None:
    for load in loads:
        assert load.failures == []
        assert load.answered > 100


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_python_files_and_versions_are_taken_over_under_load(tmp_path: Path) -> None:
    folder = tmp_path / "rollout"
    shutil.copytree(ROLLOUT, folder)
    path = folder / "graph.yaml"
    (folder / "steps.py").write_text("def scale(x):\n    return {'y': x}\n")
    text = path.read_text().replace("in: {X: x}", "in: {X: scaled.y}", 1)
    text = text.replace(
        "nodes:\n  score:",
        'nodes:\n  scaled: {python: "steps:scale", in: {x: x}, out: {y: "FP32[batch, 30]"}}\n  score:',
    )
    path.write_text(text)
    row = json.loads((ROLLOUT / "request.json").read_text())
    outputs = frozenset({"diagnosis", "probabilities"})
    with running(path) as run:
        url = run.find("cancer-rollout: ")
        with loading(url, [row], outputs) as load:
            load.await_answers(50)
            (folder / "steps.py").write_text("def scale(x):\n    return {'y': x * 0}\n")
            run.await_said("reloaded after")
            # Versions come and go.
            path.write_text(text[: text.index("promote_when:")])
            run.await_said("reloaded after", 2)
            load.await_answers(50)
            path.write_text(text.replace("traffic: 90", "traffic: 80").replace("traffic: 10", "traffic: 20"))
            run.await_said("reloaded after", 3)
            path.write_text(text.replace("traffic: 90", "traffic: 70").replace("traffic: 10", "traffic: 30"))
            run.await_said("requests: main 70 %, canary 30 %")
            assert run.said.count("reloaded after") == 3
            load.await_answers(50)
        assert load.failures == []
