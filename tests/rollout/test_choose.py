"""Requests reach predictors by their weights, by headers and paths, and by keys that do not change their mind."""

import math
import random
from collections import Counter
from collections.abc import Mapping
from itertools import permutations

import pytest
from graphc.rollout.choose import Chooser, choose_by_key
from graphc.rollout.shares import Match, Mirror, Rollout, Share, Way, order_ways

REQUESTS = 10_000
DEVIATIONS = 5
"""A sound draw falls outside so many standard deviations once in more than a million runs."""


def shares(**weights: int) -> tuple[Share, ...]:
    return tuple(Share(name, weight) for name, weight in weights.items())


def chooser(rollout: Rollout, seed: int = 1) -> Chooser:
    return Chooser("fraud", rollout, random.Random(seed))


def assert_near(counts: Mapping[str, int], weights: Mapping[str, int], total: int) -> None:
    for name, weight in weights.items():
        share = weight / 100
        spread = math.sqrt(total * share * (1 - share))
        assert abs(counts.get(name, 0) - total * share) <= DEVIATIONS * spread, (name, counts)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "weights", [{"main": 90, "canary": 10}, {"a": 1, "b": 49, "c": 50}, {"main": 100, "off": 0}]
)
def test_traffic_is_shared_as_the_weights_say(weights: dict[str, int], seed: int) -> None:
    chosen = chooser(Rollout((Way(Match(), shares(**weights)),)), seed)
    counts = Counter(str(chosen.choose(())) for _ in range(REQUESTS))
    assert_near(counts, weights, REQUESTS)


def test_equal_seeds_choose_equally() -> None:
    rollout = Rollout((Way(Match(), shares(a=50, b=50)),))
    one, other = chooser(rollout), chooser(rollout)
    assert [one.choose(()) for _ in range(100)] == [other.choose(()) for _ in range(100)]


WAYS = order_ways(
    {
        Match(): shares(main=100),
        Match(headers=(("x-version", "beta"),)): shares(beta=100),
        Match(headers=(("x-team", "risk"), ("x-version", "beta"))): shares(risk=100),
        Match("v2"): shares(two=100),
        Match("v2", (("x-version", "beta"),)): shares(both=100),
        Match("v3"): shares(three=100),
    }
)
BETA = ("X-Version", "beta")
RISK = ("x-TEAM", "risk")


@pytest.mark.parametrize(
    ("path", "headers", "wanted"),
    [
        (None, (), "main"),
        (None, (BETA,), "beta"),
        (None, (("X-Version", "Beta"),), "main"),
        (None, (("X-Version", "other"), BETA), "main"),
        (None, (RISK,), "main"),
        (None, (RISK, BETA), "risk"),
        ("v2", (), "two"),
        ("v2", (BETA,), "both"),
        ("v3", (BETA,), "three"),
        ("v4", (BETA,), None),
    ],
)
def test_paths_and_headers_lead_to_versions(
    path: str | None, headers: tuple[tuple[str, str], ...], wanted: str | None
) -> None:
    assert chooser(Rollout(WAYS)).choose(headers, path) == wanted


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ((), "main"),
        ((("graphc-path", "v2"),), "two"),
        ((("graphc-path", "v4"),), "main"),
        ((("graphc-path", "v2"), ("x-version", "beta")), "both"),
        ((("graphc-path", "v3"), ("x-version", "beta"), ("x-team", "risk")), "risk"),
    ],
)
def test_calls_name_a_path_in_their_metadata(headers: tuple[tuple[str, str], ...], wanted: str) -> None:
    assert chooser(Rollout(WAYS)).choose_call(headers) == wanted


def test_a_key_keeps_its_predictor() -> None:
    rollout = Rollout((Way(Match(), shares(main=90, canary=10)),), sticky="x-user")
    counts = Counter[str]()
    for user in range(REQUESTS):
        headers = (("X-User", f"user-{user}"),)
        chosen = {chooser(rollout, seed).choose(headers) for seed in range(3)}
        assert len(chosen) == 1
        counts[str(chosen.pop())] += 1
    assert_near(counts, {"main": 90, "canary": 10}, REQUESTS)


def test_a_key_chooses_as_documented() -> None:
    """What other programs may rely on: these choices never change."""
    keys = ["", "a", "b", "alice", "bob", "ü", "user-17", "user-18"]
    chosen = [choose_by_key("fraud", shares(main=50, canary=50), key) for key in keys]
    assert chosen == ["main", "main", "canary", "canary", "main", "canary", "canary", "main"]


def test_the_order_of_predictors_does_not_matter_to_a_key() -> None:
    for key in map(str, range(200)):
        orders = permutations(shares(a=20, b=30, c=50))
        assert len({choose_by_key("fraud", order, key) for order in orders}) == 1


def test_only_keys_move_that_have_to() -> None:
    before, after = shares(main=90, canary=10, old=0), shares(main=50, canary=50, old=0)
    moves = Counter[tuple[str, str]]()
    for key in map(str, range(REQUESTS)):
        moves[choose_by_key("fraud", before, key), choose_by_key("fraud", after, key)] += 1
    assert moves["canary", "main"] == 0
    assert_near({"moved": moves["main", "canary"]}, {"moved": 40}, REQUESTS)


def test_without_a_key_chance_decides() -> None:
    rollout = Rollout((Way(Match(), shares(main=50, canary=50)),), sticky="x-user")
    drawn = chooser(rollout)
    assert {drawn.choose(()) for _ in range(50)} == {"main", "canary"}


def test_mirrors_are_drawn_by_their_percentage() -> None:
    mirrors = (Mirror("ghost", 20), Mirror("other", 100))
    drawn = chooser(Rollout((Way(Match(), shares(main=100)),), mirrors))
    counts = Counter(name for _ in range(REQUESTS) for name in drawn.mirrors())
    assert_near(counts, {"ghost": 20, "other": 100}, REQUESTS)
