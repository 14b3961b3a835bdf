"""The observer takes references and returns; pairing, queue and database are bounded, and survive what comes."""

import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from graphc.compare.figures import Figures
from graphc.compare.pairing import Pairing, PairingLimits
from graphc.compare.recorder import Recorder, RecorderOptions
from graphc.compare.samples import MOST_KEPT, Sample
from graphc.compare.store import MOST_WINDOWS, Store, url_of
from graphc.compare.store_problem import StoreError
from hypothesis import given
from hypothesis import strategies as st
from seen_answers import body_of, live, shadow
from sqlalchemy import create_engine, text

GOOD = body_of(("label", "INT32", [2], [0, 1]))
BAD = body_of(("label", "INT32", [2], [0, 2]))
EAGER = RecorderOptions(busy=1.0)


def test_answers_pair_whichever_comes_first() -> None:
    pairing = Pairing(PairingLimits(), Counter())
    one, other = live("a"), shadow("a")
    assert pairing.add(one, 0) == []
    assert pairing.add(other, 0) == [(one, other)]
    later, sooner = live("b"), shadow("b")
    assert pairing.add(sooner, 0) == []
    assert pairing.add(later, 0) == [(later, sooner)]
    assert len(pairing) == 0


def test_several_shadows_pair_with_one_answer() -> None:
    left_out = Counter[str]()
    pairing = Pairing(PairingLimits(), left_out)
    first, second = shadow("a"), shadow("a", predictor="other")
    answer = live("a", mirrored=("ghost", "other"))
    assert pairing.add(first, 0) == []
    assert pairing.add(answer, 0) == [(answer, first)]
    assert pairing.add(second, 0) == [(answer, second)]
    assert len(pairing) == 0
    assert pairing.add(live("b", mirrored=()), 0) == []
    assert len(pairing) == 0
    assert not left_out


def test_where_the_shadows_are_not_known_answers_wait_for_all_their_time() -> None:
    left_out = Counter[str]()
    pairing = Pairing(PairingLimits(seconds=10), left_out)
    answer = live("a", mirrored=None)
    assert pairing.add(answer, 0) == []
    assert len(pairing.add(shadow("a"), 1)) == 1
    assert len(pairing.add(shadow("a", predictor="other"), 2)) == 1
    assert pairing.add(shadow("a"), 3) == []
    pairing.add(live("alone", mirrored=None), 3)
    pairing.expire(20)
    assert len(pairing) == 0
    assert left_out == {"duplicate": 1, "live alone": 1}


def test_what_waits_is_bounded_in_number_bytes_and_time() -> None:
    left_out = Counter[str]()
    pairing = Pairing(PairingLimits(requests=10, bytes=100_000, seconds=5), left_out)
    for number in range(1000):
        pairing.add(live(str(number)), 0)
    assert len(pairing) == 10
    for number in range(10):
        pairing.add(shadow(f"large-{number}", b" " * 30_000), 0)
    assert len(pairing) == 3
    pairing.expire(5.1)
    assert len(pairing) == 0
    assert left_out == {"unpaired": 1010}


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(["main", "ghost", "other"]), st.integers(0, 3)),
        max_size=60,
    )
)
def test_every_answer_is_paired_once_or_counted(events: list[tuple[int, str, int]]) -> None:
    left_out, paired, now = Counter[str](), Counter[str](), 0.0
    pairing = Pairing(PairingLimits(requests=3, seconds=4), left_out)
    shadows = 0
    for number, predictor, passed in events:
        now += passed
        is_live = predictor == "main"
        seen = live(str(number), mirrored=None) if is_live else shadow(str(number), predictor=predictor)
        shadows += not is_live
        for one, other in pairing.add(seen, now):
            assert (one.request, one.shadow, other.shadow) == (other.request, False, True)
            paired["pairs"] += 1
    pairing.expire(now + 100)
    assert len(pairing) == 0
    assert paired["pairs"] + left_out["unpaired"] <= shadows
    assert shadows <= paired["pairs"] + left_out["unpaired"] + left_out["duplicate"]
    assert pairing.waiting_bytes == 0


def test_a_recorder_compares_in_its_own_time() -> None:
    recorder = Recorder(EAGER)
    for number in range(200):
        recorder.observe(live(str(number), GOOD))
        recorder.observe(shadow(str(number), GOOD if number % 4 else BAD))
    recorder.close()
    figures = recorder.figures()
    pairs = figures.comparisons["main", "ghost"].overall
    assert pairs.pairs == 200
    assert pairs.outputs["label"].agreement.share == 350 / 400
    assert figures.predictors["ghost"].statuses == {"200": 200}
    assert not figures.left_out


def test_segments_are_the_values_of_a_parameter() -> None:
    recorder = Recorder(RecorderOptions(busy=1.0, segment="tier"))
    asked = {
        "gold": b'{"parameters": {"tier": "gold"}, "inputs": []}',
        "3": b'{"parameters": {"tier": 3}}',
        "true": b'{"parameters": {"tier": true}}',
        "(none)": b"{}",
    }
    for name, request in [
        *asked.items(),
        ("garbage", b"\xff"),
        ("list", b"[]"),
        ("null", b'{"parameters": null}'),
    ]:
        recorder.observe(live(name, GOOD, asked=request))
        recorder.observe(shadow(name, GOOD))
    recorder.close()
    segments = recorder.figures().comparisons["main", "ghost"].segments
    assert {name: each.pairs for name, each in segments.items()} == {
        "gold": 1,
        "3": 1,
        "true": 1,
        "(none)": 4,
    }


def test_sampling_takes_all_answers_to_a_request_or_none() -> None:
    recorder = Recorder(RecorderOptions(sample=0.25, busy=1.0))
    for number in range(2000):
        recorder.observe(live(f"request-{number}", GOOD))
        recorder.observe(shadow(f"request-{number}", GOOD))
    recorder.close()
    figures = recorder.figures()
    pairs = figures.comparisons["main", "ghost"].overall.pairs
    # Five standard deviations of a binomial.
    assert abs(pairs - 500) < 100
    assert figures.left_out == {"sampling": 4000 - 2 * pairs}


def test_a_slow_worker_never_holds_up_the_observer() -> None:
    """The worker takes half a second for a window; observing takes microseconds and drops are counted."""
    archive = SlowArchive(0.5)
    recorder = Recorder(RecorderOptions(queue=100, window_s=0.0, busy=1.0), archive)
    archive.entered.wait(5)
    seen, slowest = live("1", GOOD), 0.0
    began = time.perf_counter()
    for _ in range(5000):
        before = time.perf_counter()
        recorder.observe(seen)
        slowest = max(slowest, time.perf_counter() - before)
    took = time.perf_counter() - began
    archive.seconds = 0.0
    recorder.close()
    assert took / 5000 < 0.0005
    # Less than what the worker was busy with; the interpreter's own pauses are allowed for.
    assert slowest < 0.3
    figures = recorder.figures()
    observed = figures.predictors["main"].statuses.total()
    assert observed + figures.left_out["queue full"] == 5000
    assert figures.left_out["queue full"] > 4000


def test_many_threads_observe_at_once() -> None:
    recorder = Recorder(RecorderOptions(queue=100_000, busy=1.0))

    def observe(first: int) -> None:
        for number in range(first, first + 250):
            recorder.observe(live(str(number), GOOD))
            recorder.observe(shadow(str(number), GOOD))

    threads = [threading.Thread(target=observe, args=(250 * each,)) for each in range(8)]
    for each in threads:
        each.start()
    while any(each.is_alive() for each in threads):
        recorder.figures().to_plain()
    recorder.close()
    assert recorder.figures().comparisons["main", "ghost"].overall.pairs == 2000


def test_the_queue_is_bounded_in_bytes() -> None:
    archive = SlowArchive(0.5)
    recorder = Recorder(RecorderOptions(queue_bytes=1_000_000, window_s=0.0, busy=1.0), archive)
    archive.entered.wait(5)
    for number in range(50):
        recorder.observe(live(str(number), bytes(100_000)))
    archive.seconds = 0.0
    recorder.close()
    assert recorder.figures().left_out["queue full"] == 41


@pytest.mark.parametrize(
    "thousands", [20, pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])]
)
def test_many_answers_leave_nothing_behind(thousands: int) -> None:
    """Half a million pairs, a million answers: the memory after a tenth of them is that after all."""
    clock = iter(range(10**9))
    recorder = Recorder(RecorderOptions(queue=20_000, busy=1.0), clock=lambda: next(clock) / 1000)
    bodies = [body_of(("p", "FP32", [1], [each / 7])) for each in range(50)]
    sizes: list[int] = []
    tracemalloc.start()
    for number in range(thousands):
        for each in range(1000):
            recorder.observe(shadow(f"{number}-{each}", status=500))
            recorder.observe(live(f"{number}-{each}", bodies[each % 50]))
        assert recorder.drain(60)
        if number in {thousands // 10 - 1, thousands - 1}:
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    recorder.close()
    assert recorder.figures().comparisons["main", "ghost"].overall.errors == thousands * 1000
    assert sizes[1] < sizes[0] + 500_000


class SlowArchive:
    """An archive that takes its time, or fails."""

    def __init__(self, seconds: float = 0.0, failing: int = 0) -> None:
        self.seconds, self.failing = seconds, failing
        self.entered = threading.Event()
        self.written: list[Figures] = []

    def write(self, started: float, ended: float, figures: Figures) -> bool:
        assert started <= ended
        self.entered.set()
        time.sleep(self.seconds)
        self.failing -= 1
        if self.failing >= 0:
            return False
        self.written.append(figures)
        return True

    def keep(self, samples: list[Sample]) -> None:
        raise AssertionError(f"nothing is kept unless it is asked for: {samples}")

    def close(self, ended: float) -> None:
        assert ended
        self.entered.clear()


def test_windows_that_could_not_be_stored_come_again() -> None:
    archive = SlowArchive(failing=2)
    recorder = Recorder(RecorderOptions(window_s=0.05, busy=1.0), archive)
    for number in range(20):
        recorder.observe(live(str(number), GOOD))
        recorder.observe(shadow(str(number), GOOD))
        time.sleep(0.02)
    recorder.close()
    merged = Figures()
    for each in archive.written:
        merged.merge(each)
    assert merged.comparisons["main", "ghost"].overall.pairs == 20
    assert merged.to_plain() == recorder.figures().to_plain()


def record(store: Store, windows: int, *, keep: int = 0) -> str:
    recording = store.begin("score", 100.0, {"*": {"agreement": ">= 0.9"}})
    clock = iter(range(100, 10**6))
    options = RecorderOptions(window_s=1e9, busy=1.0, keep_samples=keep)
    recorder = Recorder(options, recording, clock=lambda: float(next(clock)))
    for number in range(windows):
        recorder.observe(live(str(number), GOOD))
        recorder.observe(shadow(str(number), GOOD if number % 2 else BAD))
    recorder.close()
    return recording.run


def test_a_run_is_read_back_as_it_was(database: str) -> None:
    store = Store(database)
    run = record(store, 30)
    (found,) = store.runs()
    assert (found.run, found.graph, found.started) == (run, "score", 100.0)
    assert found.ended is not None
    report = store.report(found)
    assert report.gates == {"*": {"agreement": ">= 0.9"}}
    assert report.figures.comparisons["main", "ghost"].overall.outputs["label"].agreement.share == 0.75
    store.close()


def test_no_payload_is_stored_unless_it_is_asked_for(tmp_path: Path) -> None:
    secret = b'{"parameters": {"name": "ada"}, "inputs": ["secret-payload"]}'
    for keep in (0, 3):
        path = tmp_path / f"{keep}.db"
        store = Store(url_of(str(path)))
        recording = store.begin("score", 0.0, None)
        recorder = Recorder(RecorderOptions(busy=1.0, keep_samples=keep), recording)
        for number in range(10):
            recorder.observe(live(str(number), GOOD, asked=secret + b" " * MOST_KEPT))
            recorder.observe(shadow(str(number), BAD if number in {3, 5} else GOOD))
        recorder.close()
        reader = Store(url_of(str(path)))
        samples = reader.samples(reader.runs()[0])
        reader.close()
        held = b"".join(each.read_bytes() for each in tmp_path.glob(f"{keep}.db*"))
        assert (b"secret-payload" in held) == bool(keep)
        assert [each.request for each in samples] == (["5", "3"] if keep else [])
        assert all(len(each.asked) == MOST_KEPT for each in samples)


def test_a_long_run_stays_small_and_whole(database: str) -> None:
    store = Store(database)
    recording = store.begin("score", 0.0, None)
    for number in range(2 * MOST_WINDOWS + 7):
        figures = Figures()
        figures.left_out["sampling"] = number
        assert recording.write(float(number), number + 1.0, figures)
    (run,) = store.runs()
    windows = list(store.windows(run))
    assert len(windows) <= MOST_WINDOWS
    assert sum(each.left_out["sampling"] for _, _, each in windows) == sum(range(2 * MOST_WINDOWS + 7))
    bounds = [(start, end) for start, end, _ in windows]
    assert bounds[0][0] == 0
    assert all(end == start for (_, end), (start, _) in pairwise(bounds))
    store.close()


KILLED = """
import sys, time
from graphc.compare.recorder import Recorder, RecorderOptions
from graphc.compare.store import Store
sys.path.insert(0, sys.argv[2])
from seen_answers import body_of, live, shadow
from sqlalchemy import create_engine, text
body = body_of(("label", "INT32", [1], [1]))
recording = Store(sys.argv[1]).begin("score", time.time(), None)
recorder = Recorder(RecorderOptions(window_s=0.1, busy=1.0), recording)
number = 0
while True:
    recorder.observe(live(str(number), body))
    recorder.observe(shadow(str(number), body))
    number += 1
    time.sleep(0.001)
    if number == 50:
        print("going", flush=True)
"""


def test_readers_see_whole_windows_while_a_writer_is_killed(database: str) -> None:
    url = database
    support = str(Path(__file__).parents[1] / "support")
    writer = subprocess.Popen([sys.executable, "-c", KILLED, url, support], stdout=subprocess.PIPE)
    try:
        assert writer.stdout
        assert writer.stdout.readline() == b"going\n"
        store = Store(url)
        deadline = time.monotonic() + 20
        pairs: list[int] = []
        while (len(pairs) < 3 or pairs[-1] == pairs[0]) and time.monotonic() < deadline:
            comparisons = store.report(store.runs()[0]).figures.comparisons
            if comparisons:
                pairs.append(comparisons["main", "ghost"].overall.pairs)
            time.sleep(0.1)
    finally:
        writer.kill()
        writer.communicate()
    assert pairs == sorted(pairs)
    assert pairs[-1] > pairs[0]
    (run,) = store.runs()
    assert run.ended is None
    assert store.report(run).figures.comparisons["main", "ghost"].overall.pairs >= pairs[-1]
    record(store, 5)
    assert len(store.runs()) == 2
    store.close()


def test_names_of_any_length_and_letter_are_kept(database: str) -> None:
    graph = "models/" + "g" * 240
    hostile = "r\0\ud800\U0001f600" + "x" * 300
    store = Store(database)
    recording = store.begin(graph, 0.0, None)
    recorder = Recorder(RecorderOptions(busy=1.0, keep_samples=3), recording)
    recorder.observe(live(hostile, GOOD, asked=b"\0\xff"))
    recorder.observe(shadow(hostile, BAD))
    recorder.close()
    (run,) = store.runs()
    assert run.graph == graph
    assert run.ended is not None
    assert store.report(run).figures.comparisons["main", "ghost"].overall.pairs == 1
    (sample,) = store.samples(run)
    assert sample.request.startswith("r")
    assert len(sample.request) <= 256
    assert sample.asked == b"\0\xff"
    store.close()


def test_several_writers_begin_at_once(database: str) -> None:
    failures: list[BaseException] = []

    def begin() -> None:
        try:
            store = Store(database)
            record(store, 3)
            store.close()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    store = Store(database)
    assert len(store.runs()) == 4
    store.close()


def test_a_database_of_a_later_version_is_left_alone(database: str) -> None:
    Store(database).close()
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE graphc_compare_format SET version = 99"))
    engine.dispose()
    with pytest.raises(
        StoreError, match="by a later graphc: its tables have version 99, and this one knows 1"
    ):
        Store(database)


@pytest.mark.parametrize(
    "url", ["sqlite:////no/such/folder/runs.db", "nonsense", "nonsense://x", "postgresql://u:secret@h/d"]
)
def test_a_database_that_cannot_be_used_is_said_plainly(url: str) -> None:
    with pytest.raises(StoreError, match="cannot be used: ") as error:
        Store(url)
    assert "secret" not in str(error.value)


def test_what_is_no_database_is_said_plainly(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database" * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        Store(url_of(str(path)))
