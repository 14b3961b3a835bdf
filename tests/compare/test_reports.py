"""What `graphc compare` shows: in the terminal, as JSON, and as a page that stands alone."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner, Result
from graphc.cli import main
from graphc.compare.figures import Figures
from graphc.compare.reading import find_report, find_report_of
from graphc.compare.report import Report
from graphc.compare.store import Store, url_of
from seen_answers import body_of, live, shadow

NAMES = ("setosa", "versicolor", "virginica")
GATES = {
    "*": {"agreement": ">= 0.9", "latency_p99": "<= 1.5x", "samples": ">= 300", "errors": "<= 0.001"},
    "ghost": {"max_error": "<= 1e-3"},
}


def make_figures() -> Figures:
    """Return the figures of 300 requests to two candidates, one of them equal and one a little off."""
    figures, random = Figures(), np.random.default_rng(4)
    for number in range(300):
        one = random.dirichlet([1, 1, 1])
        other = np.abs(one + random.normal(scale=0.02, size=3))
        answer, noisy = (
            body_of(
                ("p", "FP64", [1, 3], each.tolist()), ("label", "BYTES", [1], [NAMES[int(each.argmax())]])
            )
            for each in (one, other)
        )
        status = 200 if number % 100 else 503
        seens = [
            live(str(number), answer, seconds=0.010 + number / 30_000),
            shadow(str(number), noisy, seconds=0.012 + number / 30_000, status=status),
            shadow(str(number), answer, seconds=0.009 + number / 30_000, predictor="lean"),
        ]
        for seen in seens:
            predictor = figures.predictor(seen.predictor)
            assert predictor is not None
            predictor.add(seen)
        for seen in seens[1:]:
            comparison = figures.comparison("main", seen.predictor)
            assert comparison is not None
            comparison.add(seens[0], seen, "gold" if number % 3 else "silver")
    figures.left_out.update({"sampling": 700, "queue full": 2})
    return figures


def make_report(figures: Figures) -> Report:
    return Report(
        "iris", "iris-1a2b3c4d", 1_700_000_000.0, 1_700_000_600.0, json.loads(json.dumps(GATES)), figures
    )


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Serve the report as the service on a cluster does."""
    documents = {"/report": json.dumps(make_report(make_figures()).to_plain()).encode(), "/nonsense": b"[1]"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = documents.get(self.path)
            self.send_response(200 if body else 404)
            self.end_headers()
            self.wfile.write(body or b'{"error": "nothing was heard of that graph"}')

        def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def compare(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["compare", *arguments])


def test_text(url: str, golden: Callable[[str, str], None]) -> None:
    result = compare(url)
    assert result.exit_code == 0, result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 110
    golden("iris.txt", result.stdout)


def test_json_says_the_same(url: str) -> None:
    found: dict[str, Any] = json.loads(compare(url, "--json").stdout)
    ghost, lean = found["candidates"]["ghost"], found["candidates"]["lean"]
    assert (ghost["samples"], ghost["errors"], lean["agreement"]) == (300, 0.01, 1)
    assert ghost["segments"]["gold"]["samples"] == 200
    assert [(each["candidate"], each["outcome"]) for each in found["verdicts"]] == [
        ("ghost", "failed"),
        ("lean", "not enough samples"),
    ]
    assert found["left_out"] == {"queue full": 2, "sampling": 700}
    assert "figures" not in found


def test_gates_decide_the_exit_code(url: str) -> None:
    assert compare(url, "--gate").exit_code == 1
    assert (
        compare(url, "--gate", "--candidate", "lean", "--promote-when", "agreement=>= 0.995").exit_code == 1
    )
    passed = compare(url, "--gate", "--candidate", "lean", "--promote-when", "agreement=>= 0.98")
    assert (passed.exit_code, passed.stderr) == (0, "")
    sure = ("--promote-when", "agreement=>= 0.995", "--promote-when", "confidence=0.5")
    assert compare(url, "--gate", "--candidate", "lean", *sure).exit_code == 0
    assert compare(url, "--gate", "--candidate", "nobody").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--promote-when", "accuracy=>= 1"), "Error: `accuracy` is not measured\n"),
        (("--promote-when", "agreement"), "`agreement` is not METRIC=BOUND"),
    ],
)
def test_gates_that_are_none_are_said_plainly(url: str, arguments: tuple[str, ...], words: str) -> None:
    result = compare(url, *arguments)
    assert result.exit_code
    assert words in result.stderr


def test_what_is_no_report_is_said_plainly(url: str, tmp_path: Path) -> None:
    assert compare(f"{url}/nonsense").stderr.endswith(
        "does not answer with a report: figures are not a mapping\n"
    )
    assert compare(f"{url}/other").stderr.endswith(
        "answers with status 404: nothing was heard of that graph\n"
    )
    nowhere = str(tmp_path / "nowhere.db")
    assert (
        compare("--database", nowhere).stderr
        == f"Error: there is no database `{nowhere}`: nothing was compared yet\n"
    )


def test_runs_are_found_by_name_graph_and_age(tmp_path: Path) -> None:
    path = str(tmp_path / "runs.db")
    store, figures = Store(url_of(path)), make_figures()
    runs = [store.begin(graph, float(number), GATES) for number, graph in enumerate(("iris", "iris", "wine"))]  # pyright: ignore
    for number, run in enumerate(runs):
        one = Figures()
        one.merge(figures)
        assert run.write(0.0, 1.0, one if number else Figures())
    runs[0].close(5.0)
    store.close()
    listed = compare("--runs", "--database", path).stdout.splitlines()
    assert listed == [f"{runs[2].run}\tnot ended", f"{runs[1].run}\tnot ended", f"{runs[0].run}\tended"]
    for target, run in ((runs[0].run, runs[0]), ("iris", runs[1]), (None, runs[2])):
        arguments = [target] if target else []
        found = json.loads(compare(*arguments, "--json", "--database", path).stdout)
        assert found["run"] == run.run
    assert json.loads(compare(path, "--json").stdout)["run"] == runs[2].run
    missing = compare("nobody", "--database", path)
    assert missing.exit_code == 1
    assert missing.stderr.startswith("Error: the database has no run `nobody`; the latest are `wine-")


def page_of(report: Report, tmp_path: Path) -> str:
    store = Store(url_of(str(tmp_path / "page.db")))
    recording = store.begin(report.graph, report.started, report.gates)
    assert recording.write(report.started, report.ended, report.figures)
    store.close()
    result = compare(str(tmp_path / "page.db"), "--page", str(tmp_path / "page.html"))
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    return (tmp_path / "page.html").read_text("utf-8")


def test_the_page_stands_alone_and_shows_every_figure(tmp_path: Path) -> None:
    page = page_of(make_report(make_figures()), tmp_path)
    assert not re.search(r"https?://|src=|href=|@import|url\(|<script", page)
    assert "prefers-color-scheme: dark" in page
    text = re.sub(r"<[^>]+>", " ", page)
    for words in (
        "ghost beside the live answers",
        "lean beside the live answers",
        "Output label",
        "Output p",
        "gold",
    ):
        assert words in text
    for words in (
        "failed",
        "max_error: ",
        "not enough samples",
        "700 not in the sample",
        "2023-11-14 22:13:20",
    ):
        assert words in text
    pictures = re.findall(r"<svg.*?</svg>", page)
    assert len(pictures) >= 6
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        left, top, width, height = map(float, root.attrib["viewBox"].split())
        for each in root.iter():
            for name in ("x", "x1", "x2", "cx"):
                assert left <= float(each.attrib.get(name, 0)) <= left + width
            for name in ("y", "y1", "y2", "cy"):
                assert top <= float(each.attrib.get(name, 0)) <= top + height


def test_names_that_clients_and_models_choose_do_no_harm(tmp_path: Path) -> None:
    figures, evil = Figures(), '<script>alert("x")</script>\x1b[31m'
    one = body_of((evil, "BYTES", [1], ["a"]))
    other = body_of((evil, "BYTES", [1], [evil]))
    comparison = figures.comparison(evil, f"candidate {evil}")
    assert comparison is not None
    comparison.add(live("1", one), shadow("1", other), evil)
    predictor = figures.predictor(evil)
    assert predictor is not None
    predictor.add(live("1", one))
    page = page_of(Report(evil, "run", 0.0, 1.0, None, figures), tmp_path)
    assert "<script" not in page
    assert "\x1b" not in page
    assert "\x1b" not in compare(str(tmp_path / "page.db")).stdout


def test_figures_of_nothing_have_a_page_too(tmp_path: Path) -> None:
    page = page_of(Report("score", "run", 0.0, 1.0, json.loads(json.dumps(GATES)), Figures()), tmp_path)
    assert "Nothing was compared yet." in page
    result = compare(str(tmp_path / "page.db"), "--gate")
    assert (result.exit_code, "agreement: nothing was measured" in result.stdout) == (1, True)


def store_run(database: Path, started: float, figures: Figures, *, is_over: bool = True) -> str:
    store = Store(url_of(str(database)))
    recording = store.begin("iris", started, json.loads(json.dumps(GATES)))
    assert recording.write(started, started + 1, figures)
    if is_over:
        recording.close(started + 1)
    store.close()
    return recording.run


def test_a_run_that_answered_nothing_is_not_the_latest(tmp_path: Path) -> None:
    database = tmp_path / "runs.db"
    silent = store_run(database, 1.0, Figures())
    assert find_report("iris", str(database)).run == silent, "of nothing but silence it is the latest"
    good = store_run(database, 2.0, make_figures())
    store_run(database, 3.0, Figures())
    for target in (None, "iris"):
        assert find_report(target, str(database)).run == good
    assert find_report(silent, str(database)).run == silent
    assert find_report_of(("models/iris", "iris"), str(database)).run == good
    # One that goes on may answer yet, and nobody is promoted by what another run answered.
    waiting = store_run(database, 4.0, Figures(), is_over=False)
    assert find_report_of(("models/iris", "iris"), str(database)).run == waiting
    assert find_report("iris", str(database)).run == good
