"""What is said to fit finds room whatever a scheduler does; what is said not to fit never does."""

import random
from fractions import Fraction
from typing import Final

from graphc.gpus.ask import Count, GpuAsk, Share
from graphc.gpus.choose import Grant, choose_offer
from graphc.gpus.pools import Gpus, Mode, Pool, Taint, offers_of
from graphc.gpus.products import PRODUCTS
from graphc.gpus.room import CPU, MEMORY, PODS
from graphc.hardware.peak import PodAsk, fit_pods
from hypothesis import given, settings
from hypothesis import strategies as st
from steady_draws import steady_draws

MIB: Final = 2**20
TAINT: Final = Taint("nvidia.com/gpu", None, "NoSchedule")
MODES: Final[tuple[Mode, ...]] = ("exclusive", "exclusive", "mps")


def whole(name: str, nodes: int, devices: int, product: str = "A100-40GB") -> Pool:
    return Pool(name, nodes, 16_000, 65_536 * MIB, Gpus(PRODUCTS[product], devices), taints=(TAINT,))


def grant(count: int, *pools: Pool) -> Grant:
    found = choose_offer(GpuAsk(Count(count)), pools)
    assert isinstance(found, Grant)
    return found


def test_a_rollout_needs_more_than_what_it_keeps() -> None:
    pool = whole("a", 1, 4)
    ask = PodAsk("main", 4, (grant(1, pool),))
    assert fit_pods([ask], [pool]).verdict == "fits"
    surge = fit_pods([ask], [pool], "surge")
    assert surge.verdict == "short"
    assert surge.needs == {"nvidia.com/gpu": 5}
    assert surge.reasons[0] == "`main` has 5 pods, and there is room for 4"


def test_pods_that_part_the_nodes_badly_are_tight() -> None:
    pool = whole("a", 2, 2)
    asks = [PodAsk("small", 2, (grant(1, pool),)), PodAsk("large", 1, (grant(2, pool),))]
    found = fit_pods(asks, [pool])
    assert found.verdict == "tight"
    assert found.reasons == ("`large` fits only if the other pods leave room together",)


def test_a_pod_of_several_units_needs_all_of_it_on_one_node() -> None:
    pool = whole("a", 4, 1)
    ask = PodAsk("main", 1, (grant(1, pool), grant(1, pool)))
    assert fit_pods([ask], [pool]).reasons[0] == "`main` has 1 pods, and there is room for 0"


def test_processors_and_memory_count() -> None:
    pool = whole("a", 1, 8)
    assert fit_pods([PodAsk("main", 3, (grant(1, pool),), cpu_m=6_000)], [pool]).verdict == "short"
    assert fit_pods([PodAsk("main", 3, (grant(1, pool),), memory=30_000 * MIB)], [pool]).verdict == "short"


def test_pods_without_gpus_do_not_go_where_they_are_kept_away() -> None:
    assert fit_pods([PodAsk("main", 1, cpu_m=1)], [whole("a", 1, 1)]).verdict == "short"


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[PodAsk], list[Pool]]:
    pools: list[Pool] = []
    for index in range(draw(st.integers(1, 3))):
        nodes, devices = draw(st.integers(1, 4)), draw(st.integers(1, 4))
        mode = draw(st.sampled_from(MODES))
        gpus = Gpus(PRODUCTS["T4"], devices, mode, replicas=draw(st.integers(2, 4)))
        pools.append(Pool(f"p{index}", nodes, draw(st.sampled_from([2_000, 16_000])), 65_536 * MIB, gpus))
    asks: list[PodAsk] = []
    for index in range(draw(st.integers(1, 4))):
        amount = draw(st.sampled_from([None, Count(1), Count(1), Count(2), Share(Fraction(1, 4))]))
        grants: tuple[Grant, ...] = ()
        if amount is not None:
            found = choose_offer(GpuAsk(amount), pools)
            grants = (found,) if isinstance(found, Grant) else ()
        cpu = draw(st.sampled_from([0, 500, 1_500]))
        asks.append(PodAsk(f"a{index}", draw(st.integers(0, 6)), grants, cpu_m=cpu))
    return asks, pools


def schedule(asks: list[PodAsk], pools: list[Pool], chance: random.Random) -> bool:
    """Put one pod after another on any node that has room, in any order; say whether all found one."""
    nodes: list[tuple[Pool, dict[str, int]]] = []
    for pool in pools:
        room = {CPU: pool.cpu_m, MEMORY: pool.memory, PODS: pool.pods}
        for offer in offers_of(pool):
            room[offer.resource] = room.get(offer.resource, 0) + offer.per_node
        nodes += [(pool, dict(room)) for _ in range(pool.nodes)]
    pods = [ask for ask in asks for _ in range(ask.count("steady"))]
    chance.shuffle(pods)
    for ask in pods:
        able = [
            room
            for pool, room in nodes
            if ask.may_go_to(pool) and all(room.get(name, 0) >= amount for name, amount in ask.needs.items())
        ]
        if not able:
            return False
        room = chance.choice(able)
        for name, amount in ask.needs.items():
            room[name] -= amount
    return True


@settings(max_examples=300, deadline=None)
@given(fleets(), st.randoms(use_true_random=False))
def test_schedulers_agree(fleet: tuple[list[PodAsk], list[Pool]], chance: random.Random) -> None:
    asks, pools = fleet
    verdict = fit_pods(asks, pools).verdict
    found = [schedule(asks, pools, chance) for _ in range(5)]
    if verdict != "tight":
        assert found == [verdict == "fits"] * 5


def test_few_are_called_tight() -> None:
    seen = {"fits": 0, "tight": 0, "short": 0}

    @settings(max_examples=300, deadline=None, derandomize=True, database=None)
    @given(fleets())
    def count(fleet: tuple[list[PodAsk], list[Pool]]) -> None:
        seen[fit_pods(*fleet).verdict] += 1

    with steady_draws():
        count()
    total = sum(seen.values())
    assert seen["fits"] > total / 5
    assert seen["short"] > total / 10
    assert seen["tight"] < total / 3
