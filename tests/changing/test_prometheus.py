"""Gates of live metrics, asked of a real Prometheus that scrapes what Seldon's executor or our engine would tell."""

import json
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final
from wsgiref.simple_server import WSGIServer

import pytest
from graphc.cluster.asking import Finding
from graphc.cluster.bundle import Bundle
from graphc.cluster.judges import Limits, LiveMetrics
from graphc.cluster.problem import ClusterError
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_server import running_prometheus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LIMITS: Final = Limits(errors=0.02, latency=2, samples=100, window="1m")
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
ROUNDS: Final = 8
PER_ROUND: Final = 60
POD: Final = "5d8f7c9b6d-x2x4z"

CANDIDATES: Final[dict[str, tuple[float, int, int]]] = {
    # Seconds of an answer, and how many of a round's fail; how many there are.
    "main": (0.02, 0, PER_ROUND),
    "good": (0.02, 0, PER_ROUND),
    "failing": (0.02, 6, PER_ROUND),
    "slow": (0.4, 0, PER_ROUND),
    "rare": (0.02, 0, 1),
}


class Walkers:
    """The metrics of several predictors, as endpoints of Seldon's executor and of graphc's engine tell them.

    The namespace and the pod are what Prometheus' operator adds to those of an engine.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("deployment_name", "predictor_name", "predictor_version", "service", "method", "code")
        self._seconds = Histogram(
            "seldon_api_executor_server_requests_seconds",
            "HTTP Server Requests",
            labels,
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._engine = Counter(
            "graphc_engine_requests", "Inferences", ("namespace", "pod", "code"), registry=self.registry
        )
        self._engine_seconds = Histogram(
            "graphc_engine_request_seconds",
            "Time",
            ("namespace", "pod"),
            buckets=BUCKETS,
            registry=self.registry,
        )

    def begin(self) -> None:
        """Show every counter at nought, which is where Prometheus counts from."""
        for name in CANDIDATES:
            for code in ("200", "500"):
                self._of(name, code)
                self._engine.labels("models", _pod(name), code)
        # A graph whose name goes on, and the same in another namespace, are others.
        self._engine.labels("models", f"g-good-more-{POD}", "500").inc(PER_ROUND * ROUNDS)
        self._engine.labels("other", _pod("good"), "500").inc(PER_ROUND * ROUNDS)

    def answer(self, name: str, seconds: float, code: str) -> None:
        self._of(name, code).observe(seconds)
        self._engine.labels("models", _pod(name), code).inc()
        self._engine_seconds.labels("models", _pod(name)).observe(seconds)

    def _of(self, name: str, code: str) -> Histogram:
        return self._seconds.labels("g", name, "", "predictions", "post", code)


def _pod(predictor: str) -> str:
    return f"g-{predictor}-{POD}"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a Prometheus that has seen a few seconds of every predictor."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("Prometheus is not installed: there is no `prometheus` on the path")
    folder = tmp_path_factory.mktemp("prometheus")
    executors = Walkers()
    executors.begin()
    with telling(executors) as target, scraping(program, folder, target) as url:
        await_scrapes(url, 2)
        for _ in range(ROUNDS):
            for name, (seconds, failed, count) in CANDIDATES.items():
                for number in range(count):
                    executors.answer(name, seconds, "500" if number < failed else "200")
            time.sleep(0.5)
        await_scrapes(url, int(ROUNDS / 2) + 3)
        yield url


@contextmanager
def telling(executors: Walkers) -> Generator[str]:
    server: WSGIServer
    thread: threading.Thread
    server, thread = start_http_server(0, "127.0.0.1", executors.registry)
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def scraping(program: str, folder: Path, target: str) -> AbstractContextManager[str]:
    scrape: dict[str, Any] = {"job_name": "executors", "static_configs": [{"targets": [target]}]}
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}
    return running_prometheus(program, folder, config)


def await_scrapes(url: str, count: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(
                f"{url}/api/v1/query?query=count_over_time(up[5m])", timeout=5
            ) as found:
                result: list[Any] = json.load(found)["data"]["result"]
        except (urllib.error.URLError, OSError):
            result = []
        if result and int(result[0]["value"][1]) >= count:
            return
        time.sleep(0.2)
    raise AssertionError(f"Prometheus has not scraped {count} times")


def bundle(candidate: str, target: str = "seldon") -> Bundle:
    if target == "kubernetes":
        return Bundle("g", "models", tuple(workload(each) for each in ("main", candidate)))
    predictors: list[Any] = [{"name": "main", "traffic": 50}, {"name": candidate, "traffic": 50}]
    deployment: dict[str, Any] = {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": {"name": "g"},
        "spec": {"predictors": predictors},
    }
    return Bundle("g", "models", (deployment,))


def workload(predictor: str) -> dict[str, Any]:
    labels = {
        "app.kubernetes.io/managed-by": "graphc",
        "app.kubernetes.io/part-of": "g",
        "app.kubernetes.io/component": "entry",
        "graphc.dev/predictor": predictor,
    }
    shares = {"ways": [{"shares": dict.fromkeys(("main", "good", "failing", "slow", "rare", "absent"), 20)}]}
    annotations = {"graphc.dev/engine": "graphc-engine", "graphc.dev/rollout": json.dumps(shares)}
    metadata = {"name": f"g-{predictor}", "labels": labels, "annotations": annotations}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}


@pytest.mark.parametrize("target", ["seldon", "kubernetes"])
@pytest.mark.parametrize(
    ("candidate", "finding", "words"),
    [
        ("good", "passed", "`good` has errors of 0.00%"),
        ("failing", "failed", "`failing` has errors of 10.0"),
        ("slow", "failed", "x that of `main`; no more than 2x is allowed"),
        ("rare", "undecided", "requests of `rare`, wanted 100"),
        ("absent", "undecided", "0 requests of `absent`, wanted 100"),
    ],
)
def test_a_candidate_is_judged_by_what_prometheus_saw(
    candidate: str, finding: Finding, words: str, target: str, prometheus: str
) -> None:
    judged = LiveMetrics(prometheus, LIMITS).judge(bundle(candidate, target), candidate, "main")
    assert (judged.finding, words in " ".join(judged.statements)) == (finding, True), judged
    if finding == "failed":
        assert len(judged.reasons) == 1


def test_what_prometheus_refuses_is_said(prometheus: str) -> None:
    with pytest.raises(ClusterError, match="parse error"):
        LiveMetrics(prometheus, Limits(window="nonsense")).judge(bundle("good"), "good", "main")
    with pytest.raises(ClusterError, match="status 404"):
        LiveMetrics(f"{prometheus}/elsewhere", LIMITS).judge(bundle("good"), "good", "main")
