"""What lets a candidate take traffic: verdicts on compared answers, and live metrics."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from graphc.cluster.asking import Finding
from graphc.cluster.bundle import Bundle
from graphc.cluster.comparison import ComparedAnswers, has_gates, judge_written
from graphc.cluster.judges import Limits, LiveMetrics
from graphc.cluster.problem import ClusterError

Json = dict[str, Any]


def bundle(share: int, **more: Any) -> Bundle:
    """Return a graph of two predictors, `more` being fields of each."""
    shares = {"main": 100 - share, "canary": share}
    predictors: list[Any] = [{"name": name, "traffic": each, **more} for name, each in shares.items()]
    metadata: Json = {"name": "g", "annotations": {"graphc.dev/promote-when": "{}"}}
    deployment: Json = {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": metadata,
    }
    deployment["spec"] = {"predictors": predictors}
    return Bundle("g", "models", (deployment,))


@pytest.mark.parametrize(
    ("outcome", "finding"),
    [
        ("passed", "passed"),
        ("failed", "failed"),
        ("not enough samples", "undecided"),
        ("strange", "undecided"),
    ],
)
def test_a_written_verdict_is_taken_as_it_is(outcome: str, finding: Finding, tmp_path: Path) -> None:
    verdict = {
        "candidate": "canary",
        "outcome": outcome,
        "gates": [{"statement": "agreement: 0.99, wanted >= 0.98"}],
    }
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"verdicts": [{"candidate": "other", "outcome": "passed"}, verdict]}))
    judged = ComparedAnswers(str(path)).judge(bundle(10), "canary", "main")
    assert judged.finding == finding
    assert judged.statements == ("gate: agreement: 0.99, wanted >= 0.98",)


def test_a_report_without_a_verdict_decides_nothing() -> None:
    judged = judge_written({"verdicts": [3, {"candidate": "other"}]}, "canary", "report.json")
    assert (judged.finding, judged.statements) == ("undecided", ("report.json has no verdict on `canary`",))


def test_a_report_that_is_not_json_is_a_plain_error(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("{no")
    with pytest.raises(ClusterError, match="does not answer with JSON"):
        ComparedAnswers(str(path)).judge(bundle(10), "canary", "main")


def test_gates_are_where_the_graph_carries_them() -> None:
    assert has_gates(bundle(0))
    assert not has_gates(Bundle("g", "models", ()))


def test_a_candidate_without_requests_has_nothing_to_be_judged_by() -> None:
    class NoRequests(LiveMetrics):
        def _number(self, query: str) -> float | None:
            assert 'deployment_name="g"' in query
            return None

    live = NoRequests("http://example.test", Limits())
    assert live.judge(bundle(0), "canary", "main").finding == "passed"
    judged = live.judge(bundle(10), "canary", "main")
    assert judged.finding == "undecided"
    assert judged.statements == ("live: 0 requests of `canary`, wanted 100",)


def test_a_candidate_without_the_executor_has_no_counts_of_its() -> None:
    """Seldon's executor stands before no predictor that is without it: its samples would be waited for in vain."""
    lone = bundle(10, annotations={"seldon.io/no-engine": "true"})
    judged = LiveMetrics(UNREACHABLE, Limits()).judge(lone, "canary", "main")
    assert judged.finding == "undecided"
    assert judged.statements == (
        "live: nothing counts the requests of `canary`: no engine stands before its one unit",
    )


UNREACHABLE: Final = "http://user:hunter2@127.0.0.1:9"


def test_a_prometheus_that_does_not_answer_is_a_plain_error_without_secrets() -> None:
    with pytest.raises(ClusterError, match="does not answer") as caught:
        LiveMetrics(UNREACHABLE, Limits()).judge(bundle(10), "canary", "main")
    assert "hunter2" not in str(caught.value)
