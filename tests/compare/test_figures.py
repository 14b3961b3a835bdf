"""Known answers have known figures; merging them in any order gives the same; hostile ones are faults."""

import base64
import gzip
import json
import math
import struct
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from graphc.client.tensor import Tensor
from graphc.compare.agreement import Agreement, wilson
from graphc.compare.decode import MOST_BYTES
from graphc.compare.figures import (
    MOST_COMPARISONS,
    MOST_OUTPUTS,
    MOST_SEGMENTS,
    Comparison,
    Figures,
    PairFigures,
)
from graphc.compare.measure import drift, measure
from graphc.compare.outputs import MOST_CHANGES, OTHERS, OutputFigures
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats  # pyright: ignore[reportMissingTypeStubs]
from seen_answers import body_of, live, shadow


def compare(*pairs: tuple[bytes, bytes]) -> PairFigures:
    comparison = Comparison()
    for number, (one, other) in enumerate(pairs):
        comparison.add(live(str(number), one), shadow(str(number), other), None)
    return comparison.overall


def floats(name: str, rows: Sequence[Sequence[float]]) -> bytes:
    flat = [each for row in rows for each in row]
    return body_of((name, "FP32", [len(rows), len(rows[0])], flat))


def test_errors_of_numbers_are_those_of_numpy() -> None:
    random = np.random.default_rng(7)
    one = random.normal(size=(300, 4, 3))
    other = one + random.normal(scale=0.1, size=one.shape)
    pairs = [(floats("p", a.tolist()), floats("p", b.tolist())) for a, b in zip(one, other, strict=True)]
    figures = compare(*pairs)
    output = figures.outputs["p"]
    # They travel as FP32.
    errors = np.abs(one.astype("f4").astype("f8") - other.astype("f4").astype("f8"))
    assert output.largest == pytest.approx(errors.max(), rel=1e-12)
    assert output.error_sum / output.errors.count == pytest.approx(errors.mean(), rel=1e-9)
    for share in (0.5, 0.9, 0.99):
        assert output.errors.quantile(share) == pytest.approx(
            np.quantile(errors, share, method="lower"), rel=0.01
        )
    agreed = (one.astype("f4").argmax(-1) == other.astype("f4").argmax(-1)).mean()
    assert output.agreement.share == pytest.approx(agreed)
    assert output.agreement.total == 1200
    assert not figures.faults


def test_classes_are_compared_by_equality() -> None:
    one = body_of(("label", "BYTES", [4], ["a", "b", "c", "c"]), ("n", "INT64", [2], [2**62, 1]))
    other = body_of(("label", "BYTES", [4], ["a", "b", "b", "c"]), ("n", "INT64", [2], [2**62 + 1, 1]))
    figures = compare((one, other), (one, one))
    assert figures.outputs["label"].agreement.share == 7 / 8
    assert figures.outputs["label"].changes == {"c → b": 1}
    assert figures.outputs["n"].agreement.share == 3 / 4
    assert measure(figures, "agreement", 0) == measure(figures, "agreement", 0.0)
    found = measure(figures, "agreement", 0)
    assert found is not None
    assert found.value == 3 / 4


def test_a_single_column_or_row_is_no_decision() -> None:
    one = body_of(("a", "FP32", [2, 1], [1, 2]), ("b", "FP64", [2], [1, 2]), ("c", "FP32", [0, 3], []))
    figures = compare((one, one))
    assert [each.agreement.total for each in figures.outputs.values()] == [0, 0, 0]
    assert measure(figures, "agreement", 1) is None


def test_nan_and_infinities_are_faults_only_where_they_differ() -> None:
    same = b'{"outputs":[{"name":"p","datatype":"FP32","shape":[1,3],"data":[NaN,Infinity,0.5]}]}'
    null = same.replace(b"NaN", b"null")
    other = b'{"outputs":[{"name":"p","datatype":"FP32","shape":[1,3],"data":[0.1,-Infinity,0.5]}]}'
    assert not compare((same, null)).faults
    figures = compare((same, other))
    assert figures.faults == {"not finite": 1}
    assert figures.outputs["p"].unlike == 2
    assert figures.outputs["p"].largest == 0
    found = measure(figures, "max_error", 0)
    assert found is not None
    assert math.isinf(found.value)
    Figures.of_plain(json.loads(json.dumps(Figures({}, {("a", "b"): Comparison(figures)}).to_plain())))


def test_names_datatypes_and_shapes_that_differ_are_faults() -> None:
    one = body_of(("a", "FP32", [2], [1, 2]), ("b", "FP32", [1], [1]))
    cases = {
        "missing": body_of(("a", "FP32", [2], [1, 2])),
        "extra": body_of(("a", "FP32", [2], [1, 2]), ("b", "FP32", [1], [1]), ("c", "FP32", [1], [1])),
        "datatype": body_of(("a", "FP64", [2], [1, 2]), ("b", "FP32", [1], [1])),
        "shape": body_of(("a", "FP32", [2, 1], [1, 2]), ("b", "FP32", [1], [1])),
    }
    for fault, other in cases.items():
        figures = compare((one, other))
        assert (figures.faults, figures.faulty) == ({fault: 1}, 1)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"\xff\xfe",
        b"<html>",
        b"[" * 100_000,
        b'{"outputs": 3}',
        b'{"outputs": [null]}',
        b'{"outputs": [{"name": "a", "datatype": "FP32", "shape": [1e99], "data": [1]}]}',
        b'{"outputs": [{"name": "a", "datatype": "FP32", "shape": [9999999999], "data": []}]}',
        b'{"outputs": [{"name": "a", "datatype": "INT8", "shape": [1], "data": [4096]}]}',
        b'{"outputs": [{"name": "a", "datatype": "FP32", "shape": [1], "data": [{"a": 1}]}]}',
        b'{"outputs": [{"name": "a", "datatype": "FP32", "shape": [1], "data": [' + b"9" * 5000 + b"]}]}",
        b'{"outputs": [{"name": "a", "datatype": "FP32", "shape": [1], "data": [1], '
        b'"parameters": {"encoding": "base64"}}]}',
        b'{"outputs": [{"name": "a", "datatype": "FP32", "shape": [0], "data": []}, '
        b'{"name": "a", "datatype": "FP32", "shape": [0], "data": []}]}',
    ],
)
def test_hostile_answers_are_faults_of_the_side_that_gave_them(body: bytes) -> None:
    good = body_of(("a", "FP32", [1], [1]))
    figures = compare((good, body))
    assert (figures.faults, figures.faulty) == ({"unreadable": 1}, 1)
    figures = compare((body, good))
    assert (figures.faults, figures.faulty) == ({"live unreadable": 1}, 0)


def test_large_answers_and_compressed_bombs_are_not_read() -> None:
    good = body_of(("a", "FP32", [1], [1]))
    large = b" " * (MOST_BYTES + 1)
    assert compare((good, large)).faults == {"too large": 1}
    comparison = Comparison()
    bomb = gzip.compress(b" " * 100_000_000)
    comparison.add(live("1", good), shadow("1", bomb, content_encoding="gzip"), None)
    comparison.add(live("2", good), shadow("2", gzip.compress(good), content_encoding="gzip"), None)
    comparison.add(live("3", good), shadow("3", gzip.compress(good)[:-9], content_encoding="gzip"), None)
    comparison.add(live("4", good), shadow("4", good, content_encoding="br"), None)
    assert comparison.overall.faults == {"too large": 1, "unreadable": 2}
    assert comparison.overall.outputs["a"].errors.count == 1


def test_all_forms_of_a_tensor_are_the_same() -> None:
    values = np.array([[1.5, -2.0]], dtype="<f4")
    plain = floats("a", values.tolist())
    raw = base64.b64encode(values.tobytes()).decode()
    fields = {"name": "a", "datatype": "FP32", "shape": [1, 2]}
    coded = json.dumps({"outputs": [fields | {"data": [raw], "parameters": {"encoding": "base64"}}]}).encode()
    head = json.dumps({"outputs": [fields | {"parameters": {"binary_data_size": 8}}]}).encode()
    comparison = Comparison()
    comparison.add(live("1", plain), shadow("1", coded), None)
    comparison.add(live("2", plain), shadow("2", head + values.tobytes(), header_length=len(head)), None)
    assert comparison.overall.outputs["a"].errors.to_plain() == [[0, 4]]
    assert not comparison.overall.faults
    cut = shadow("3", head + values.tobytes()[:5], header_length=len(head))
    comparison.add(live("3", plain), cut, None)
    texts = b"".join(struct.pack("<I", len(each)) + each for each in (b"x", b"yz"))
    named = {"name": "t", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(texts)}}
    head = json.dumps({"outputs": [named]}).encode()
    text = body_of(("t", "BYTES", [2], ["x", "yz"]))
    comparison.add(live("4", text), shadow("4", head + texts, header_length=len(head)), None)
    assert comparison.overall.faults == {"unreadable": 1}
    assert comparison.overall.outputs["t"].agreement.share == 1


def test_errors_count_against_the_candidate_only_where_the_live_answer_is_good() -> None:
    comparison = Comparison()
    good = body_of(("a", "FP32", [1], [1]))
    for one, other in ((200, 500), (200, 0), (400, 400), (500, 200), (200, 200)):
        comparison.add(live("1", good, status=one), shadow("1", good, status=other, seconds=0.03), None)
    figures = comparison.overall
    assert (figures.pairs, figures.errors, figures.both_errors, figures.live_errors) == (5, 2, 1, 1)
    found = measure(figures, "errors", 0)
    assert found is not None
    assert found.value == 2 / 3
    ratio = measure(figures, "latency_p50", 0)
    assert ratio is not None
    assert ratio.value == pytest.approx(3, rel=0.03)


def test_latency_ratios_are_those_of_numpy() -> None:
    random = np.random.default_rng(3)
    one, other = random.lognormal(-4, 0.5, 5000), random.lognormal(-3.9, 0.6, 5000)
    figures = PairFigures()
    figures.live_seconds.add(one)
    figures.seconds.add(other)
    for metric, share in (("latency_p50", 0.5), ("latency_p99", 0.99)):
        found = measure(figures, metric, 1.645)
        wanted = np.quantile(other, share) / np.quantile(one, share)
        assert found is not None
        assert found.value == pytest.approx(wanted, rel=0.025)
        assert found.low < wanted < found.high
        absolute = measure(figures, metric, 1.645, ratio=False)
        assert absolute is not None
        assert absolute.value == pytest.approx(np.quantile(other, share), rel=0.02)


def test_what_cannot_be_told_apart_is_bounded_and_counted() -> None:
    comparison, names = Comparison(), [f"o{each}" for each in range(MOST_OUTPUTS + 3)]
    many = body_of(*((name, "FP32", [1], [1]) for name in names))
    for number in range(100):
        comparison.add(live(str(number), many), shadow(str(number), many), f"segment-{number}")
    assert len(comparison.overall.outputs) == MOST_OUTPUTS
    assert comparison.overall.faults == {"too many outputs": 100}
    assert comparison.overall.faulty == 0
    assert len(comparison.segments) == MOST_SEGMENTS + 1
    assert comparison.segments[OTHERS].pairs == 100 - MOST_SEGMENTS
    one = body_of(("label", "INT32", [300], list(range(300))))
    other = body_of(("label", "INT32", [300], list(range(1, 301))))
    changes = compare((one, other)).outputs["label"].changes
    assert len(changes) <= MOST_CHANGES + 1
    assert changes.total() == 300
    figures = Figures()
    kept = [figures.comparison("main", f"v{each}") for each in range(MOST_COMPARISONS + 1)]
    assert [each is None for each in kept] == [False] * MOST_COMPARISONS + [True]


def test_wilsons_interval_is_scipys() -> None:
    for agreed, total in ((0, 10), (9, 10), (990, 1000), (1000, 1000)):
        interval = stats.binomtest(agreed, total).proportion_ci(0.9, "wilson")  # pyright: ignore
        low, high = float(interval.low), float(interval.high)  # pyright: ignore
        assert wilson(agreed / total, total, 1.6448536269514722) == pytest.approx((low, high))
    assert wilson(0, 0, 2) == (0, 1)


def test_rows_of_one_batch_weigh_less_than_rows_of_many() -> None:
    alike, apart = Agreement(), Agreement()
    random = np.random.default_rng(5)
    for _ in range(1000):
        alike.add(10 if random.random() < 0.9 else 0, 10)
        apart.add(int(random.binomial(10, 0.9)), 10)
    assert alike.effective == pytest.approx(1000, rel=0.1)
    assert apart.effective == pytest.approx(10_000, rel=0.15)
    assert Agreement(0).effective == 0
    alone = Agreement()
    for _ in range(50):
        alone.add(8, 8)
    assert (alone.share, alone.effective) == (1, 50)


def test_single_decisions_are_plain_samples() -> None:
    figures = Agreement()
    for number in range(1000):
        figures.add(number % 10 > 0, 1)
    assert figures.effective == pytest.approx(1000, rel=0.002)


def test_classes_that_shift_raise_the_stability_index() -> None:
    def index(candidate: Sequence[int]) -> float:
        figures = OutputFigures()
        figures.live_classes.update({0: 500, 1: 500})
        figures.classes.update(dict(enumerate(candidate)))
        found = drift(figures).psi
        assert found is not None
        return found

    assert index([500, 500]) == 0
    wanted = (0.8 - 0.5) * math.log(0.8 / 0.5) + (0.2 - 0.5) * math.log(0.2 / 0.5)
    assert index([800, 200]) == pytest.approx(wanted, rel=0.01)


SEENS = st.tuples(
    st.sampled_from([200, 200, 200, 500, 0]),
    st.sampled_from([200, 200, 200, 503]),
    st.lists(st.integers(0, 3), min_size=2, max_size=2),
    st.lists(st.integers(0, 3), min_size=2, max_size=2),
    st.sampled_from([None, "gold", "silver"]),
)


def figures_of(observed: Sequence[tuple[int, int, list[int], list[int], str | None]]) -> Figures:
    figures = Figures()
    for one, other, before, after, segment in observed:
        first = live("r", body_of(("label", "INT32", [2], before), ("p", "FP32", [1, 2], before)), status=one)
        second = shadow(
            "r", body_of(("label", "INT32", [2], after), ("p", "FP32", [1, 2], after)), status=other
        )
        comparison, predictor = figures.comparison("main", "ghost"), figures.predictor("main")
        assert comparison is not None
        assert predictor is not None
        predictor.add(first)
        comparison.add(first, second, segment)
        figures.left_out["sampling"] += 1
    return figures


def merge(*parts: Figures) -> str:
    into = Figures()
    for each in parts:
        into.merge(each)
    return json.dumps(into.to_plain())


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(SEENS, max_size=4), min_size=3, max_size=3))
def test_merging_is_associative_and_commutative_and_survives_json(
    parts: list[list[tuple[int, int, list[int], list[int], str | None]]],
) -> None:
    a, b, c = map(figures_of, parts)
    whole = merge(figures_of([each for part in parts for each in part]))
    again = Figures.of_plain(json.loads(merge(b, c)))
    assert merge(a, b, c) == merge(c, a, b) == merge(a, again) == whole


def test_a_million_answers_need_no_more_memory_than_some() -> None:
    # Two hundred pairs of five thousand rows: a million decisions and two million numbers.
    random = np.random.default_rng(1)
    figures = OutputFigures()
    tracemalloc.start()
    sizes: list[int] = []
    for number in range(200):
        one = random.normal(scale=10.0 ** random.integers(-12, 12), size=(5000, 2))
        other = one + random.normal(scale=10.0 ** random.integers(-12, 12), size=one.shape)
        figures.add(Tensor("p", "FP64", one), Tensor("p", "FP64", other))
        if number in {99, 199}:
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert figures.agreement.total == 1_000_000
    assert figures.errors.count == 2_000_000
    assert sizes[1] < 1.3 * sizes[0]
    assert sizes[1] < 4_000_000
