"""Requests are counted in plain numbers, and whoever collects the metrics finds all of them."""

import threading
from collections.abc import Callable

import pytest
from graphc_runtimes.ledger import Ledger
from prometheus_client import CollectorRegistry, Counter, Histogram, Summary, generate_latest

BUCKETS = (0.1, 0.5, 1.0)
DURATIONS = (0.05, 0.1, 0.3, 0.5, 0.7, 2.0)


def _observe_plainly(registry: CollectorRegistry, kind: type[Histogram | Summary]) -> bytes:
    counter = Counter("asked", "Requests.", ["path"], registry=registry)
    durations = _make(kind, registry)
    for each in DURATIONS:
        counter.labels("a").inc()
        durations.labels("a").observe(each)
    return _show(registry)


def _make(kind: type[Histogram | Summary], registry: CollectorRegistry) -> Histogram | Summary:
    if kind is Histogram:
        return Histogram("took", "Seconds.", ["path"], registry=registry, buckets=BUCKETS)
    return Summary("took", "Seconds.", ["path"], registry=registry)


def _show(registry: CollectorRegistry) -> bytes:
    lines = generate_latest(registry).splitlines()
    return b"\n".join(sorted(line for line in lines if b"_created" not in line))


@pytest.mark.parametrize("kind", [Histogram, Summary])
def test_metrics_are_those_of_counting_at_once(kind: type[Histogram | Summary]) -> None:
    registry = CollectorRegistry()
    counter, durations = Counter("asked", "Requests.", ["path"], registry=registry), _make(kind, registry)
    ledger = Ledger([counter, durations], registry)
    tally = ledger.open(counter.labels("a"), durations.labels("a"))
    for each in DURATIONS[:1]:
        tally.note(each)
    _show(registry)
    for each in DURATIONS[1:]:
        tally.note(each)
    assert _show(registry) == _observe_plainly(CollectorRegistry(), kind)


def test_where_processes_share_metrics_each_request_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "anywhere")
    registry = CollectorRegistry()
    counter, durations = Counter("asked", "Requests.", registry=registry), _make(Summary, registry)
    tally = Ledger([counter, durations], registry).open(counter, durations.labels("a"))
    tally.note(0.5)
    # Past the ledger: another process would read the metric itself.
    (metric,) = counter.collect()
    assert [each.value for each in metric.samples if each.name == "asked_total"] == [1]


def test_none_is_lost_to_a_scrape_in_another_thread() -> None:
    registry = CollectorRegistry()
    counter, durations = Counter("asked", "Requests.", registry=registry), _make(Histogram, registry)
    tally = Ledger([counter, durations], registry).open(counter, durations.labels("a"))
    scraping = threading.Event()
    thread = threading.Thread(target=_repeat, args=(lambda: _show(registry), scraping))
    thread.start()
    for _ in range(20_000):
        tally.note(0.01)
    scraping.set()
    thread.join()
    assert registry.get_sample_value("asked_total") == 20_000
    assert registry.get_sample_value("took_count", {"path": "a"}) == 20_000


def test_several_threads_that_count_and_tell_lose_none() -> None:
    registry = CollectorRegistry()
    counter, durations = Counter("asked", "Requests.", registry=registry), _make(Histogram, registry)
    tally = Ledger([counter, durations], registry).open(counter, durations.labels("a"))
    done, failed = threading.Event(), list[BaseException]()

    def tell() -> None:
        try:
            tally.publish()
        except BaseException as error:
            failed.append(error)

    telling = [threading.Thread(target=_repeat, args=(tell, done)) for _ in range(2)]
    noting = [threading.Thread(target=lambda: [tally.note(0.01) for _ in range(20_000)]) for _ in range(3)]
    for each in [*telling, *noting]:
        each.start()
    for each in noting:
        each.join()
    done.set()
    for each in telling:
        each.join()
    _show(registry)
    assert not failed
    assert registry.get_sample_value("asked_total") == 60_000


def _repeat(work: Callable[[], object], until: threading.Event) -> None:
    while not until.is_set():
        work()


@pytest.mark.parametrize("kind", [Histogram, Summary])
@pytest.mark.parametrize("untimed", [0, 1, 94, 1000])
def test_requests_that_were_not_timed_count_as_the_others_took(
    kind: type[Histogram | Summary], untimed: int
) -> None:
    registry = CollectorRegistry()
    counter, durations = Counter("asked", "Requests.", registry=registry), _make(kind, registry)
    tally = Ledger([counter, durations], registry).open(counter, durations.labels("a"))
    tally.note_all(DURATIONS, untimed)
    tally.note_all((), 7)
    count = len(DURATIONS) + untimed
    look = registry.get_sample_value
    assert look("asked_total") == count + 7
    assert look("took_count", {"path": "a"}) == count
    assert look("took_sum", {"path": "a"}) == pytest.approx(sum(DURATIONS) * count / len(DURATIONS))
    if kind is Histogram:
        below = [look("took_bucket", {"path": "a", "le": le}) for le in ("0.1", "0.5", "1.0", "+Inf")]
        assert below == pytest.approx([count * share for share in (2 / 6, 4 / 6, 5 / 6, 1)], abs=4)
