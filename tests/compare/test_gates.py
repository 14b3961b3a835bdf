"""Gates are read as the file says them, and judged with the doubt that few samples leave."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from graphc.compare.figures import Comparison, Figures, PairFigures
from graphc.compare.gates import (
    ANNOTATION,
    METRICS,
    GateError,
    make_gates,
    parse_gate,
    read_annotation,
    write_annotation,
)
from graphc.compare.measure import measure
from graphc.compare.outputs import OutputFigures
from graphc.compare.report import Report
from graphc.compare.settings import ANNOTATION as SETTINGS
from graphc.compare.settings import CompareSettings, read_settings, write_settings
from graphc.compare.start import open_recorder
from graphc.compare.verdict import Outcome, evaluate, judge_all
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from hypothesis import given
from hypothesis import strategies as st


def report_of(pairs: PairFigures, gates: object = None) -> Report:
    figures = Figures({}, {("main", "ghost"): Comparison(pairs)})
    return Report("score", "run", 0.0, 1.0, gates, figures)  # pyright: ignore[reportArgumentType]


def agreeing(agreed: int, total: int) -> PairFigures:
    pairs = PairFigures(pairs=total)
    output = pairs.outputs.setdefault("label", OutputFigures())
    for number in range(total):
        output.agreement.add(int(number < agreed), 1)
    return pairs


def outcome(pairs: PairFigures, **gates: object) -> Outcome:
    return evaluate(make_gates(gates), report_of(pairs), "ghost").outcome


@pytest.mark.parametrize(
    ("metric", "text", "bound"),
    [
        ("agreement", ">= 0.99", 0.99),
        ("agreement", "> 99.5%", 0.995),
        ("agreement", ">=.5", 0.5),
        ("samples", ">= 1000", 1000),
        ("samples", ">= 1e4", 10_000),
        ("errors", "<= 0.001", 0.001),
        ("latency_p99", "<= 1.2x", 1.2),
        ("latency_p50", "< 50ms", 0.05),
        ("latency_p90", "<= 2s", 2),
        ("max_error", "<= 1e-3", 0.001),
        ("psi", "<= 0.1", 0.1),
        ("ks", "<= 10 %", 0.1),
    ],
)
def test_bounds_are_read_in_their_units(metric: str, text: str, bound: float) -> None:
    gate = parse_gate(metric, text)
    assert (gate.bound, gate.text) == (pytest.approx(bound), text)


@given(st.text(max_size=12), st.sampled_from(sorted(METRICS)))
def test_what_is_no_bound_is_refused_with_an_example_that_is_one(text: str, metric: str) -> None:
    found: list[str | None] = []
    try:
        parse_gate(metric, text)
    except GateError as error:
        found.append(error.hint)
    for hint in found:
        assert hint
        example = hint.split('"')[1]
        assert parse_gate(metric, example).text == example


def test_every_metric_is_measured() -> None:
    pairs = agreeing(9, 10)
    pairs.outputs["label"].errors.add(np.array([0.5, 1.5]))
    pairs.outputs["label"].error_sum, pairs.outputs["label"].largest = 2.0, 1.5
    for sketch in (
        pairs.outputs["label"].values,
        pairs.outputs["label"].live_values,
        pairs.seconds,
        pairs.live_seconds,
    ):
        sketch.add(np.array([1.0, 2.0]))
    pairs.outputs["label"].classes[1] = pairs.outputs["label"].live_classes[1] = 1
    for metric in METRICS:
        found = measure(pairs, metric, 1.645)
        assert found is not None, metric
        assert found.low <= found.value <= found.high, metric
        assert measure(PairFigures(), metric, 1.645) is None or metric == "samples"


def test_agreement_is_passed_only_where_chance_cannot_explain_it() -> None:
    assert outcome(agreeing(1000, 1000), agreement=">= 0.99") is Outcome.PASSED
    assert outcome(agreeing(997, 1000), agreement=">= 0.99") is Outcome.PASSED
    assert outcome(agreeing(992, 1000), agreement=">= 0.99") is Outcome.UNDECIDED
    assert outcome(agreeing(10, 10), agreement=">= 0.99") is Outcome.UNDECIDED
    assert outcome(agreeing(980, 1000), agreement=">= 0.99") is Outcome.FAILED
    assert outcome(agreeing(29, 30), agreement=">= 0.99") is Outcome.UNDECIDED
    assert outcome(agreeing(0, 10), agreement=">= 0.99") is Outcome.FAILED
    # Believed as it was measured.
    assert outcome(agreeing(992, 1000), agreement=">= 0.99", confidence=0.5) is Outcome.PASSED
    assert outcome(agreeing(989, 1000), agreement=">= 0.99", confidence=0.5) is Outcome.FAILED


def test_bounds_that_no_interval_reaches_hold_until_something_contradicts() -> None:
    assert outcome(agreeing(10, 10), agreement=">= 1") is Outcome.PASSED
    assert outcome(agreeing(9999, 10_000), agreement=">= 100%") is Outcome.FAILED
    assert outcome(PairFigures(pairs=5), errors="<= 0") is Outcome.PASSED
    assert outcome(PairFigures(pairs=5000, errors=1), errors="<= 0") is Outcome.FAILED


def test_errors_need_enough_requests_without_one() -> None:
    assert outcome(PairFigures(pairs=1000), errors="<= 0.001") is Outcome.UNDECIDED
    assert outcome(PairFigures(pairs=3000), errors="<= 0.001") is Outcome.PASSED
    assert outcome(PairFigures(pairs=3000, errors=30), errors="<= 0.001") is Outcome.FAILED


def test_samples_are_waited_for_and_never_failed() -> None:
    assert outcome(PairFigures(pairs=999), samples=">= 1000") is Outcome.UNDECIDED
    assert outcome(PairFigures(pairs=1000), samples=">= 1000") is Outcome.PASSED


def test_latency_is_a_multiple_or_a_time() -> None:
    pairs, random = PairFigures(pairs=5000), np.random.default_rng(2)
    pairs.live_seconds.add(random.lognormal(-4, 0.2, 5000))
    pairs.seconds.add(random.lognormal(-4, 0.2, 5000) * 1.5)
    assert outcome(pairs, latency_p99="<= 1.2x") is Outcome.FAILED
    assert outcome(pairs, latency_p99="<= 2x") is Outcome.PASSED
    assert outcome(pairs, latency_p50="<= 50ms") is Outcome.PASSED
    assert outcome(pairs, latency_p50="<= 20ms") is Outcome.FAILED
    few = PairFigures(pairs=20)
    few.live_seconds.add(random.lognormal(-4, 0.2, 20))
    few.seconds.add(random.lognormal(-4, 0.2, 20))
    assert outcome(few, latency_p99="<= 1.2x") is Outcome.UNDECIDED


def test_an_infinite_error_fails_and_nothing_seen_is_undecided() -> None:
    pairs = agreeing(10, 10)
    pairs.outputs["label"].unlike = 1
    verdict = evaluate(make_gates({"max_error": "<= 1"}), report_of(pairs), "ghost")
    assert (verdict.outcome, verdict.judgements[0].value) == (Outcome.FAILED, math.inf)
    assert json.dumps(verdict.to_plain(), allow_nan=False)
    assert verdict.judgements[0].statement == "max_error: unbounded, wanted <= 1"
    nobody = evaluate(make_gates({"agreement": ">= 0.9"}), report_of(pairs), "nobody")
    assert nobody.outcome is Outcome.UNDECIDED
    assert nobody.judgements[0].statement == "agreement: nothing was measured; wanted >= 0.9"
    assert evaluate(make_gates({}), report_of(pairs), "ghost").passed


def test_statements_say_value_bound_and_doubt() -> None:
    verdict = evaluate(
        make_gates({"agreement": ">= 0.99", "samples": ">= 50"}), report_of(agreeing(99, 100)), "ghost"
    )
    assert [each.statement for each in verdict.judgements] == [
        "agreement: 0.9900, wanted >= 0.99 (between 0.9564 and 0.9978 by 100 pairs)",
        "samples: 100, wanted >= 50",
    ]


def test_a_wrong_candidate_is_promoted_no_more_often_than_the_confidence_allows() -> None:
    """A thousand candidates that agree a little less than they should: at most 5 % may pass, chance allowed for."""
    random = np.random.default_rng(11)
    passed = 0
    for _ in range(1000):
        pairs = PairFigures(pairs=500)
        output = pairs.outputs.setdefault("label", OutputFigures())
        output.agreement.requests = output.agreement.total = output.agreement.total_squares = 500
        agreed = int(random.binomial(500, 0.95))
        output.agreement.agreed = output.agreement.agreed_squares = output.agreement.products = agreed
        passed += outcome(pairs, agreement="> 0.95") is Outcome.PASSED
    assert passed <= 75


def test_a_canary_is_judged_by_its_own_answers_beside_those_of_the_main_predictor() -> None:
    figures = Figures()
    for name, statuses, seconds in (
        ("main", {"200": 9000, "500": 3}, 0.01),
        ("canary", {"200": 970, "400": 10, "500": 12, "0": 8}, 0.02),
        ("ghost", {"200": 50}, 0.5),
    ):
        predictor = figures.predictor(name)
        assert predictor is not None
        predictor.statuses.update(statuses)
        predictor.seconds.add(np.full(statuses["200"], seconds))
    report = Report("score", "run", 0.0, 1.0, None, figures)
    gates = make_gates(
        {"samples": ">= 1000", "errors": "<= 5%", "latency_p90": "<= 1.5x", "agreement": ">= 0.9"}
    )
    samples, errors, latency, agreement = evaluate(gates, report, "canary").judgements
    assert (samples.outcome, samples.value) == (Outcome.PASSED, 1000)
    assert (errors.outcome, errors.value) == (Outcome.PASSED, 0.02)
    assert latency.outcome is Outcome.FAILED
    assert latency.value == pytest.approx(2, rel=0.03)
    assert agreement.outcome is Outcome.UNDECIDED
    assert evaluate(gates, report, "nobody").outcome is Outcome.UNDECIDED


def test_a_predictors_gates_come_before_those_of_all() -> None:
    text = write_annotation(
        {"*": {"samples": ">= 10", "errors": "<= 1%"}, "ghost": {"samples": ">= 20"}, "main": {}}
    )
    assert {each.metric: each.text for each in read_annotation(text, "ghost").gates} == {
        "samples": ">= 20",
        "errors": "<= 1%",
    }
    assert read_annotation(text, "other").gates[0].text == ">= 10"
    assert read_annotation(None, "ghost").gates == ()
    with pytest.raises(GateError):
        read_annotation("{", "ghost")
    verdicts = judge_all(report_of(agreeing(5, 5), json.loads(text)), None, {})
    assert [each.candidate for each in verdicts] == ["ghost"]


@pytest.mark.parametrize(
    "text", [None, "", "[]", "nonsense", '{"sample": "x", "segment": 3}', '{"sample": 7}']
)
def test_settings_that_are_none_are_the_usual_ones(text: str | None) -> None:
    assert read_settings(text) == CompareSettings()
    assert read_settings(write_settings(0.25, "tier")) == CompareSettings(0.25, "tier")


GRAPH = """
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: score}
inputs: {left: "FP32[batch, 3]", right: "FP32[batch, 3]"}
nodes:
  both: {component: mean, in: [left, right]}
outputs: {answer: both}
promote_when: {agreement: ">= 0.99", samples: ">= 1000"}
compare: {sample: 0.5, segment: tier, url: "http://graphc-compare.graphc-system"}
predictors:
  main: {traffic: 100}
  ghost: {shadow: true, promote_when: {samples: ">= 10"}}
"""


def test_gates_and_loggers_are_in_the_compiled_manifest(tmp_path: Path) -> None:
    path = tmp_path / "graph.yaml"
    path.write_text(GRAPH)
    done = compile_files(Request([str(path)], {}, {}))
    assert not done.sink.has_errors
    (deployment,) = (each for each in done.emissions[0].documents if each["kind"] == "SeldonDeployment")
    plain = json.loads(json.dumps(deployment))
    annotations = plain["metadata"]["annotations"]
    assert read_annotation(annotations[ANNOTATION], "ghost").gates[1].text == ">= 10"
    assert read_settings(annotations["graphc.dev/compare"]) == CompareSettings(0.5, "tier")
    loggers = {each["name"]: each["graph"]["logger"] for each in plain["spec"]["predictors"]}
    # Both versions hold the same: the last word names what that is.
    (content,) = {each["url"].rpartition("=")[2] for each in loggers.values()}
    asked = f"?sample=0.5&segment=tier&content={content}"
    assert loggers == {
        "main": {"mode": "all", "url": f"http://graphc-compare.graphc-system/live{asked}"},
        "ghost": {"mode": "all", "url": f"http://graphc-compare.graphc-system/shadow{asked}"},
    }
    # The executor logs, so it has to be there although the graph is of one unit.
    assert not any("annotations" in each for each in plain["spec"]["predictors"])


@pytest.mark.parametrize(
    ("change", "is_another"),
    [
        ({"traffic": 50, "shadow": False}, False),
        ({"replicas": 3}, False),
        ({"nodes": {"both": {"component": "max"}}}, True),
        ({"resources": {"cpu": 2}}, True),
    ],
)
def test_loggers_name_what_a_version_holds(
    change: dict[str, object], is_another: bool, tmp_path: Path
) -> None:
    contents: list[str] = []
    for fields in ({"shadow": True}, {"shadow": True} | change):
        predictors = {"main": {"traffic": 50 if "traffic" in fields else 100}, "ghost": fields}
        path = tmp_path / "graph.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(GRAPH) | {"predictors": predictors}, sort_keys=False))
        done = compile_files(Request([str(path)], {}, {}))
        assert not done.sink.has_errors, [each.message for each in done.sink]
        (deployment,) = (each for each in done.emissions[0].documents if each["kind"] == "SeldonDeployment")
        ghost = json.loads(json.dumps(deployment))["spec"]["predictors"][1]
        contents.append(ghost["graph"]["logger"]["url"].rpartition("content=")[2])
    assert (contents[0] != contents[1]) == is_another


def test_nothing_is_said_of_comparing_where_the_file_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "graph.yaml"
    path.write_text(
        "\n".join(line for line in GRAPH.splitlines() if not line.startswith(("promote", "compare")))
    )
    path.write_text(path.read_text().replace(', promote_when: {samples: ">= 10"}', ""))
    done = compile_files(Request([str(path)], {}, {}))
    text = json.dumps(done.emissions[0].documents)
    assert "logger" not in text
    assert "graphc.dev/compare" not in text
    assert ANNOTATION not in text


@pytest.mark.parametrize("written", ["[" * 100_000, '{"sample": ' + "9" * 400 + "}", "9" * 5000])
def test_annotations_too_large_for_any_reader_are_as_wrong_ones(written: str, tmp_path: Path) -> None:
    assert read_settings(written) == CompareSettings()
    for annotation in (ANNOTATION, SETTINGS):
        assert (
            open_recorder("score", {annotation: written}, database=str(tmp_path / "figures.db")).problem
            is None
        )


def test_gates_nested_too_deeply_are_not_json() -> None:
    with pytest.raises(GateError, match="is not JSON"):
        read_annotation("[" * 100_000, "main")
