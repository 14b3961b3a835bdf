"""Dashboards and rules: the same bytes, only what a graph has, and only metrics that a running graph exposes."""

import json
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner
from compile_cases import CASES
from graphc.cli import main
from graphc.cluster.find_serving import serving_of
from graphc.compare.exposition import write_metrics
from graphc.compare.figures import Comparison, Figures, PairFigures
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.lower.options import Options
from prometheus_client.parser import text_string_to_metric_families
from watched_graphs import (
    ROLLOUT,
    ROUTE,
    Selected,
    queries_of,
    rules_of,
    scrape,
    selected,
    serving,
    two_numbers,
    write,
    write_guarded,
)

GATEWAY: Final = CASES / "gateway-root.profile"
OF_OPERATOR: Final = frozenset({"namespace", "pod", "container"})
"""The labels that Prometheus' operator adds to what it scrapes."""
RULES: Final = ("--show", "rules")

Samples = list[tuple[str, dict[str, str]]]


def dashboard(*arguments: str | Path) -> dict[str, Any]:
    return json.loads(write(*arguments))


def titles(found: dict[str, Any]) -> list[str]:
    return [panel["title"] for panel in found["panels"]]


# --- What is written ------------------------------------------------------------------------------------


def test_goldens(golden: Callable[[str, str], None]) -> None:
    versions = (ROLLOUT, "--target", "kubernetes", "--profile", GATEWAY, "-n", "models")
    golden("cancer-rollout.json", write(*versions))
    golden("cancer-rollout.yaml", write(*versions, *RULES, "--latency", "0.25"))
    golden("diabetes-route.json", write(ROUTE, "-O0"))
    golden("diabetes-route.yaml", write(ROUTE, *RULES, "--as-resource", "-n", "models"))


def test_the_same_input_has_the_same_bytes_and_panels_do_not_overlap() -> None:
    text = write(ROLLOUT, "--local")
    assert text == write(ROLLOUT, "--local")
    taken: set[tuple[int, int]] = set()
    panels = json.loads(text)["panels"]
    assert len({each["id"] for each in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_only_what_a_graph_has_is_drawn(tmp_path: Path) -> None:
    guarded = titles(dashboard(write_guarded(tmp_path)))
    assert {"guarded: batches", "guarded: queue", "guarded: fallbacks taken"} <= set(guarded)
    assert not [each for each in guarded if "routes taken" in each or each == "Shares"]
    # The page of `graphc run` has no metrics of batches.
    assert "guarded: batches" not in titles(dashboard(tmp_path / "graph.yaml", "--local"))
    routed = titles(dashboard(ROUTE))
    assert "diabetes-route: routes taken" in routed
    assert not [each for each in routed if "fallbacks" in each or "batches" in each or "Units" in each]
    assert "Shares" in titles(dashboard(ROLLOUT, "--local"))


def test_alerts_follow_the_objective_and_the_deadline(tmp_path: Path) -> None:
    graph = write_guarded(tmp_path)
    alerts = {each["alert"]: each for each in rules_of(write(graph, *RULES)) if "alert" in each}
    assert alerts.keys() == {
        *("GraphcErrorsBurnFast", "GraphcErrorsBurnSlow", "GraphcLatencyFast", "GraphcLatencySlow"),
        *("GraphcUnitDown", "GraphcFallbacksRising"),
    }
    assert "ratio_rate1h" in alerts["GraphcErrorsBurnFast"]["expr"]
    assert alerts["GraphcErrorsBurnFast"]["expr"].count("> 0.0144") == 2
    assert alerts["GraphcErrorsBurnSlow"]["expr"].count("> 0.006") == 2
    # Four fifths of two seconds.
    assert alerts["GraphcLatencyFast"]["expr"].count("> 1.6") == 2
    strict = rules_of(write(graph, *RULES, "--objective", "99", "--latency", "0.3"))
    texts = {each["alert"]: each["expr"] for each in strict if "alert" in each}
    assert texts["GraphcErrorsBurnFast"].count("> 0.144") == 2
    assert texts["GraphcLatencySlow"].count("> 0.3") == 2


def test_no_alert_wakes_anybody_for_a_shadow() -> None:
    rules = rules_of(write(ROLLOUT, "--local", *RULES))
    burning = {each["labels"]["predictor"] for each in rules if "Burn" in each.get("alert", "")}
    assert burning == {"main", "canary"}
    assert {each["labels"]["predictor"] for each in rules if "record" in each} == {"main", "canary", "forest"}


def test_requests_are_counted_where_a_promotion_counts_them() -> None:
    request = Request((str(ROUTE),), options=Options(0))
    for target in ("seldon", "kubernetes"):
        done = compile_files(Request(request.paths, options=request.options, target=target))
        (emission,) = done.emissions
        serving_objects = serving_of(emission.documents)
        assert serving_objects is not None
        meter = serving_objects.find_meter(emission.documents, "diabetes-route", "models", "main")
        assert meter is not None
        queries = queries_of(dashboard(ROUTE, "-O0", "--target", target, "-n", "models"))
        assert any(meter.count in each and meter.selector in each for each in queries)
        assert any(meter.buckets in each for each in queries)


# --- The command ----------------------------------------------------------------------------------------


def test_files_go_to_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "watch" / "here"
    done = CliRunner().invoke(main, ["dashboards", str(ROUTE), "--out", str(out), "--as-resource"])
    assert done.exit_code == 0
    assert done.stdout == ""
    assert json.loads((out / "diabetes-route.dashboard.json").read_text())["schemaVersion"] >= 39
    rules = yaml.safe_load((out / "diabetes-route.rules.yaml").read_text())
    assert (rules["kind"], rules["metadata"]["name"]) == ("PrometheusRule", "diabetes-route-graphc")
    assert "no rule for its latency" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([ROUTE, ROLLOUT], 2, "several files need a folder"),
        ([ROUTE, "--latency", "20"], 2, "not in the range"),
        ([ROUTE, "--objective", "100"], 2, "not in the range"),
        ([ROLLOUT, "--target", "kubernetes"], 1, "GC426"),
        ([ROUTE, "--out", "/proc/none/here"], 1, "cannot be written"),
    ],
)
def test_mistakes_are_told(arguments: list[str | Path], code: int, words: str) -> None:
    done = CliRunner().invoke(main, ["dashboards", *map(str, arguments)])
    assert done.exit_code == code
    assert words in done.output


# --- What a running graph exposes -----------------------------------------------------------------------


def expressions(*arguments: str | Path) -> list[str]:
    rules = rules_of(write(*arguments, *RULES, "--latency", "1"))
    return queries_of(dashboard(*arguments)) + [each["expr"] for each in rules]


def await_samples(page: str, queries: list[str]) -> Samples:
    """Return what a front's page has once nothing is missing: it leaves out a unit that is busy for a second."""
    until = time.monotonic() + 60
    while absent := missing(queries, samples := scrape(page), frozenset()):
        assert time.monotonic() < until, absent
        time.sleep(0.2)
    return samples


def missing(queries: Iterable[str], samples: Samples, own: frozenset[str]) -> list[Selected]:
    """Return what queries read and no sample has: the name, every label, and one of the values asked for."""
    asked = [each for query in queries for each in selected(query)]
    assert len(asked) > 20
    return [
        each
        for each in asked
        if each.name != "up"
        and not each.name.startswith("graphc:")
        and not any(map(_has(each, own), samples))
    ]


def _has(asked: Selected, own: frozenset[str]) -> Callable[[tuple[str, dict[str, str]]], bool]:
    statuses = {"code", "status_code"}

    def has(sample: tuple[str, dict[str, str]]) -> bool:
        name, labels = sample
        wanted = {key: value for key, value in asked.matchers.items() if key not in own}
        if name != asked.name or not wanted.keys() | asked.grouped - own <= labels.keys():
            return False
        # Nothing need have failed.
        return all(re.fullmatch(it, labels[key]) for key, it in wanted.items() if key not in statuses)

    return has


def test_every_query_of_versions_reads_what_they_expose(tmp_path: Path) -> None:
    body = (ROLLOUT.parent / "request.json").read_bytes()
    with serving(ROLLOUT, tmp_path, "-O0", "--seed", "1") as served:
        assert {served.ask(body) for _ in range(40)} == {200}
        samples = await_samples(served.front, expressions(ROLLOUT, "-O0", "--local"))
    assert (
        len(missing(['sum(rate(graphc_nothing_total{predictor="main"}[5m]))'] * 21, samples, frozenset()))
        == 21
    )


def test_every_query_for_a_cluster_reads_what_engine_and_units_expose(tmp_path: Path) -> None:
    graph = write_guarded(tmp_path)
    with serving(graph, tmp_path, "-O0") as served:
        assert [served.ask(two_numbers(each)) for each in (1, 13)] == [200, 200]
        samples = scrape(served.front)
        pages = [sample for page in served.units.values() for sample in scrape(page)]
    walked = expressions(graph, "-O0", "--target", "kubernetes")
    assert missing(walked, [each for each in samples if "engine" in each[0]] + pages, OF_OPERATOR) == []
    # A unit that clients call is its own witness.
    assert {"rest_server_requests_total"} <= {it.name for q in expressions(graph) for it in selected(q)}
    with serving(graph, tmp_path) as served:
        assert served.ask(two_numbers(1)) == 200
        pages = [sample for page in served.units.values() for sample in scrape(page)]
    assert missing(expressions(graph), pages, OF_OPERATOR) == []


def test_the_comparisons_figures_are_there() -> None:
    figures = Figures({}, {("main", "forest"): Comparison(PairFigures(pairs=3))})
    page = write_metrics({("models", "cancer-rollout"): figures}, {}).decode()
    samples = [
        (each.name, dict(each.labels))
        for family in text_string_to_metric_families(page)
        for each in family.samples
    ]
    queries = expressions(ROLLOUT, "--target", "kubernetes", "--profile", GATEWAY)
    compared = [each for each in queries if "graphc_compare" in each]
    assert len(compared) == 2
    assert missing(compared * 11, samples, OF_OPERATOR) == []
