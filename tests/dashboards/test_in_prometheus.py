"""A real Prometheus scrapes running graphs, answers every query, and fires an alert once requests fail."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_server import running_prometheus
from watched_graphs import (
    ROLLOUT,
    ROUTE,
    Json,
    queries_of,
    rules_of,
    serving,
    two_numbers,
    write,
    write_guarded,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SCRAPE_S: Final = 1
PATIENCE_S: Final = 90.0
POD: Final = "guarded-main-5d8f7c9b6d-x2x4z"


def find(program: str) -> str:
    """Return a program of Prometheus'; without it the test is skipped."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"Prometheus is not installed: there is no `{program}` on the path")
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        (ROLLOUT, "--local", "--latency", "0.25"),
        (ROUTE, "-O0", "-n", "models", "--latency", "0.25"),
        (ROUTE, "-n", "models"),
        (ROUTE, "-O0", "--target", "kubernetes", "--objective", "95"),
    ],
)
def test_promtool_takes_the_rules(arguments: tuple[str | Path, ...], tmp_path: Path) -> None:
    promtool = find("promtool")
    text = write(*arguments, "--show", "rules")
    (tmp_path / "rules.yaml").write_text(text)
    done = subprocess.run(
        [promtool, "check", "rules", tmp_path / "rules.yaml"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(rules_of(text))} rules found" in done.stdout


def test_promtool_takes_no_rule_that_is_wrong(tmp_path: Path) -> None:
    text = write(ROUTE, "--show", "rules").replace("sum (rate(", "sum (rates(")
    (tmp_path / "rules.yaml").write_text(text)
    done = subprocess.run([find("promtool"), "check", "rules", tmp_path / "rules.yaml"], capture_output=True)
    assert done.returncode != 0


def test_promtool_sees_budgets_burn(tmp_path: Path) -> None:
    """Of two hours in which one request in fifty fails, the fast alert fires, and of a better one none."""
    promtool = find("promtool")
    (tmp_path / "rules.yaml").write_text(write(ROLLOUT, "--local", "--show", "rules"))
    series = [
        ('graphc_engine_requests_total{predictor="main",code="200"}', "0+49x120"),
        ('graphc_engine_requests_total{predictor="main",code="503"}', "0+1x120"),
        ('graphc_engine_requests_total{predictor="canary",code="200"}', "0+4999x120"),
        ('graphc_engine_requests_total{predictor="canary",code="503"}', "0+1x120"),
    ]
    labels = {"graph": "cancer-rollout", "predictor": "main", "severity": "page"}
    texts: Json = {
        "summary": "`main` of cancer-rollout fails too often",
        "description": "2% of the requests failed in 1h, and as many as that in 5m. Of 99.9 % that have to succeed, "
        "the budget burns 14.4 times too fast.",
    }
    test: Json = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series],
        "alert_rule_test": [
            {
                "eval_time": "100m",
                "alertname": "GraphcErrorsBurnFast",
                "exp_alerts": [{"exp_labels": labels, "exp_annotations": texts}],
            }
        ],
    }
    whole = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(whole))
    done = subprocess.run(
        [promtool, "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_running_graph_answers_every_query_and_fires_an_alert(tmp_path: Path) -> None:
    program = find("prometheus")
    graph = write_guarded(tmp_path)
    options = (graph, "-O0", "--target", "kubernetes")
    rules = write(*options, "--show", "rules")
    # Nobody waits two minutes for an alert.
    hurried = rules.replace("for: 2m", "for: 1s").replace("for: 5m", "for: 1s")
    (tmp_path / "rules.yaml").write_text(hurried)
    with serving(graph, tmp_path, "-O0") as served:
        pages = [(served.front, {"container": "graphc-engine"}, ["graphc_engine_.*"])]
        pages += [(page, {"container": name}, [".*"]) for name, page in served.units.items()]
        with scraping(program, tmp_path, pages) as url:
            assert served.ask(two_numbers(1)) == 200
            # Counters are counted from their first look.
            await_value(url, 'count_over_time(graphc_engine_requests_total{code="200"}[5m])', 2)
            for _ in range(20):
                assert [served.ask(two_numbers(each)) for each in (1, 13)] == [200, 200]
            queries = queries_of(json.loads(write(*options)))
            asked = [each.replace("$__rate_interval", "1m") for each in queries]
            asked += [each["expr"] for each in rules_of(rules)]
            empty = await_answers(url, asked)
            # What nobody has done has no figures: no request failed, no alert is due.
            assert all(" > " in each or "graphc:" in each for each in empty), empty
            # Twenty requests were answered by a default, and none in the hours before.
            assert firing(url) == {"GraphcFallbacksRising"}
            until = time.monotonic() + PATIENCE_S
            while not firing(url) >= {"GraphcErrorsBurnFast", "GraphcErrorsBurnSlow"}:
                assert time.monotonic() < until, firing(url)
                assert served.ask(two_numbers(14)) == 500
                time.sleep(0.1)
            assert "GraphcLatencyFast" not in firing(url)


def scraping(
    program: str, folder: Path, pages: Iterable[tuple[str, dict[str, str], list[str]]]
) -> AbstractContextManager[str]:
    """Run a Prometheus that scrapes pages with the labels that its operator would add, and of each some metrics."""
    jobs: list[Json] = []
    for number, (page, labels, kept) in enumerate(pages):
        place = urllib.parse.urlsplit(page)
        own = {"namespace": "models", "pod": POD, **labels}
        keep = {"source_labels": ["__name__"], "regex": "|".join(kept), "action": "keep"}
        jobs.append(
            {
                "job_name": str(number),
                "metrics_path": place.path,
                "static_configs": [{"targets": [place.netloc], "labels": own}],
                "metric_relabel_configs": [keep],
            }
        )
    pace = {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"}
    config = {"global": pace, "rule_files": ["rules.yaml"], "scrape_configs": jobs}
    return running_prometheus(program, folder, config)


def ask(url: str, query: str) -> list[Json]:
    """Return what a query gives; Prometheus says in words what is wrong with one."""
    asked = f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            found: Any = json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            # It is not ready yet, which who waits for it knows.
            if error.code == 503:
                raise
            raise AssertionError(f"{query}: {error.read().decode()}") from error
    assert found["status"] == "success", query
    assert not found.get("warnings"), found
    return list(found["data"]["result"])


def await_value(url: str, query: str, least: float) -> None:
    """Wait until Prometheus is up, and a query gives at least that."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            if any(float(each["value"][1]) >= least for each in ask(url, query)):
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"{query} never gave {least}")


def await_answers(url: str, queries: list[str]) -> list[str]:
    """Ask every query without an error, until those that give nothing stay the same; return these."""
    before: list[str] | None = None
    until = time.monotonic() + PATIENCE_S
    while (empty := [each for each in queries if not ask(url, each)]) != before:
        assert time.monotonic() < until, empty
        before = empty
        time.sleep(4 * SCRAPE_S)
    return empty


def firing(url: str) -> set[str]:
    """Return the alerts that fire."""
    with urllib.request.urlopen(f"{url}/api/v1/alerts", timeout=10) as answer:
        found: Any = json.load(answer)
    return {each["labels"]["alertname"] for each in found["data"]["alerts"] if each["state"] == "firing"}
