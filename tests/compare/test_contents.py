"""Figures of two contents of a predictor never mix, whatever order their answers come in."""

from graphc.compare.contents import MOST_CONTENTS, MOST_PREDICTORS, Admission, ContentLimits, Contents

CURRENT, NEW, OUTDATED = Admission.CURRENT, Admission.NEW, Admission.OUTDATED


def test_a_new_content_takes_over_at_once_and_what_it_replaced_is_left_out() -> None:
    contents = Contents()
    heard = [
        ("one", 0.0),
        ("one", 1.0),
        ("two", 2.0),
        ("one", 2.1),
        ("two", 30.0),
        ("one", 59.0),
        ("two", 59.5),
    ]
    assert [contents.admit("ghost", *each) for each in heard] == [
        CURRENT,
        CURRENT,
        NEW,
        OUTDATED,
        CURRENT,
        OUTDATED,
        CURRENT,
    ]


def test_a_replaced_content_comes_back_once_the_other_is_silent() -> None:
    contents = Contents()
    for content, now in (("one", 0.0), ("two", 10.0)):
        contents.admit("ghost", content, now)
    assert contents.admit("ghost", "one", 39.0) is OUTDATED
    assert contents.admit("ghost", "one", 41.0) is NEW
    assert contents.admit("ghost", "one", 42.0) is CURRENT
    assert contents.admit("ghost", "two", 43.5) is OUTDATED


def test_predictors_do_not_replace_each_other() -> None:
    contents = Contents()
    assert {contents.admit(name, name, 1.0) for name in ("main", "ghost")} == {CURRENT}
    assert {contents.admit(name, name, 2.0) for name in ("main", "ghost")} == {CURRENT}


def test_nobody_can_begin_anew_all_the_time_or_fill_the_memory() -> None:
    contents = Contents(ContentLimits(silence=30, calm=2))
    found = [contents.admit("ghost", str(number), number / 10) for number in range(1000)]
    assert found.count(NEW) <= 51
    for number in range(3 * MOST_PREDICTORS):
        contents.admit(f"p{number}", "x" * 10_000, 200.0)
    known = contents._known  # pyright: ignore[reportPrivateUsage]
    assert len(known) == MOST_PREDICTORS
    assert len(known["ghost"].replaced) <= MOST_CONTENTS
    assert max(len(each.name) for each in known.values()) <= 64
