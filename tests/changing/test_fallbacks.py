"""Units that prefer a GPU and go without are told of by what their containers said as they started."""

from dataclasses import dataclass, field
from typing import cast

import pytest
from graphc.cluster.client import Access, Cluster
from graphc.cluster.fallbacks import Fallback, describe_fallback, find_fallbacks
from graphc.cluster.problem import RefusedError
from graphc.cluster.serving_seldon import SeldonServing
from graphc.ir.graph import Value
from graphc.unchecked import Data

LOG = """2026-01-01 10:00:00,000 [mlserver] INFO - Using asyncio event-loop policy: uvloop
2026-01-01 10:00:01,000 [mlserver.graphc] WARNING - node `score` runs its model for the CPU, `score/cpu/small.onnx`
2026-01-01 10:00:01,000 [mlserver.graphc] WARNING - no GPU, so models run on the CPU: GRAPHC_DEVICE asks for it
2026-01-01 10:00:01,000 [mlserver.graphc] WARNING - no GPU, so models run on the CPU: GRAPHC_DEVICE asks for it
"""
BESIDE = """[mlserver.graphc] WARNING - node `vote` runs 2 of its 9 operators on the CPU: 2 Unique
[mlserver.graphc] WARNING - node `scale` runs 1 of its 1 operators on the CPU: 1 ai.onnx.ml.Scaler
"""


@dataclass
class Pods:
    """A cluster of one Deployment's pods: the log of each, None where it may not be read."""

    logs: dict[str, str | None]
    device: str = "prefer-cuda"
    is_running: bool = True
    access: Access = field(default_factory=Access)

    @property
    def container(self) -> Data:
        return {
            "name": "heavy",
            "image": "runtime:1",
            "env": [{"name": "GRAPHC_DEVICE", "value": self.device}],
        }

    @property
    def deployment(self) -> Data:
        labels: Data = {"app": "fraud-main-0-heavy", "version": "main"}
        template: Data = {"spec": {"containers": [self.container]}}
        return {"metadata": {"name": "fraud-main-0-heavy", "labels": labels}, "spec": {"template": template}}

    def find(self, *_: object) -> list[Data]:
        state: Data = (
            {"running": {"startedAt": "2026-01-01T10:00:00Z"}} if self.is_running else {"waiting": {}}
        )
        statuses: list[Value] = [{"name": "heavy", "state": state}]
        return [
            {
                "metadata": {"name": name},
                "spec": {"containers": [self.container]},
                "status": {"containerStatuses": statuses},
            }
            for name in self.logs
        ]

    def read_first_words(self, _namespace: str, pod: str, container: str) -> str:
        assert container == "heavy"
        log = self.logs[pod]
        if log is None:
            raise RefusedError("not for everyone", 403, "Forbidden", ())
        return log

    def look(self) -> list[Fallback]:
        return find_fallbacks(cast("Cluster", self), "models", SeldonServing(), [self.deployment])


def test_a_unit_that_has_its_gpu_is_not_told_of() -> None:
    assert Pods({"a": "ready\n", "b": ""}).look() == []


def test_pods_that_go_without_are_counted_and_the_reason_is_said() -> None:
    (found,) = Pods({"a": LOG, "b": "ready\n", "c": None}).look()
    model = "score: score/cpu/small.onnx"
    assert found == Fallback("main", "heavy", 3, 1, 1, "GRAPHC_DEVICE asks for it", (model,))
    assert list(describe_fallback(found)) == [
        "`heavy` of `main` prefers a GPU and runs on the CPU in 1 of 3 pods: GRAPHC_DEVICE asks for it",
        f"  with the models that are named for it: {model}",
        "`heavy` of `main` prefers a GPU, and the logs of 1 of 3 pods cannot be read",
    ]


def test_a_unit_for_which_nothing_but_a_gpu_will_do_has_it_where_it_runs() -> None:
    assert Pods({"a": None, "b": "ready\n"}, device="cuda").look() == []
    assert Pods({"a": LOG}, device="cpu").look() == []


@pytest.mark.parametrize("device", ["cuda", "prefer-tensorrt"])
def test_operators_that_run_on_the_cpu_are_told_of(device: str) -> None:
    pods = Pods({"a": BESIDE, "b": BESIDE}, device=device)
    (found,) = pods.look()
    operators = ("scale: 1 of its 1 operators, 1 ai.onnx.ml.Scaler", "vote: 2 of its 9 operators, 2 Unique")
    assert found == Fallback("main", "heavy", 2, 0, 0, operators=operators)
    assert list(describe_fallback(found)) == [
        f"`heavy` of `main` has a GPU and runs in part on the CPU: {each}" for each in operators
    ]


def test_containers_that_have_not_started_are_not_asked() -> None:
    assert Pods({"a": None}, is_running=False).look() == []


def test_what_a_log_holds_is_shown_on_one_line_and_without_secrets() -> None:
    line = "no GPU, so models run on the CPU: \x1b[31m Bearer abcdefgh12345678" + "x" * 5000
    (found,) = Pods({"a": line}).look()
    assert "\x1b" not in found.reason
    assert "abcdefgh" not in found.reason
    assert len(found.reason) < 500
