"""What a container gets for what it asks of GPUs."""

from fractions import Fraction
from typing import Final

import pytest
from graphc.gpus.ask import (
    AskError,
    Count,
    GpuAsk,
    MemoryNeed,
    Share,
    Sharing,
    SliceNeed,
    parse_amount,
)
from graphc.gpus.choose import Grant, Refused, choose_offer
from graphc.gpus.pools import Gpus, Mode, Pool, offers_of
from graphc.gpus.products import PRODUCTS, products_called


def pool(name: str, product: str, mode: Mode = "exclusive", **fields: object) -> Pool:
    gpus = Gpus(PRODUCTS[product], 2, mode, **fields)  # pyright: ignore[reportArgumentType]
    return Pool(name, 3, 16_000, 65_536, gpus)


WHOLE: Final = pool("whole", "A100-40GB")
SMALL: Final = pool("small", "T4")
MPS: Final = pool("mps", "L4", "mps", replicas=4)
SLICED: Final = pool("sliced", "T4", "time-slicing", replicas=4)
MIXED: Final = pool("mixed", "A100-80GB", "mig", slices={"1g.10gb": 3, "2g.20gb": 2})
SINGLE: Final = pool("single", "A100-40GB", "mig", strategy="single", slices={"1g.5gb": 7})
NONE: Final = Pool("none", 3, 16_000, 65_536)


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (1, Count(1)),
        ("2", Count(2)),
        (2.0, Count(2)),
        (0.25, Share(Fraction(1, 4))),
        ("1/3", Share(Fraction(1, 3))),
        ("10Gi", MemoryNeed(10240)),
        ("500Mi", MemoryNeed(500)),
        ("20G", MemoryNeed(19073)),
        ("1Mi", MemoryNeed(1)),
        ("5M", MemoryNeed(4)),
        ("1T", MemoryNeed(953674)),
        ("2Ti", MemoryNeed(2 * 2**20)),
        ("8388608Ti", MemoryNeed(2**43)),
        (0, Count(0)),
        (1024, Count(1024)),
        ("mig-1g.10gb", SliceNeed("1g.10gb")),
        ("1g.5gb+me", SliceNeed("1g.5gb.me")),
    ],
)
def test_amounts_are_read(value: object, amount: object) -> None:
    assert parse_amount(value) == amount


@pytest.mark.parametrize(
    "value",
    [True, None, -1, 1.5, "1.5", "much", "0Gi", "1M", "8388609Ti", "mig-9g.10gb", "nan", 1025, "1/0", []],
)
def test_other_values_are_refused(value: object) -> None:
    with pytest.raises(AskError):
        parse_amount(value)


@pytest.mark.parametrize(
    ("amount", "sharing", "pools", "resource", "names"),
    [
        (1, "any", (MPS, WHOLE, SMALL), "nvidia.com/gpu", ["whole", "small"]),
        (2, "any", (WHOLE,), "nvidia.com/gpu", ["whole"]),
        (0.25, "any", (WHOLE, MPS, SLICED), "nvidia.com/gpu.shared", ["mps"]),
        (0.25, "time-slicing", (MPS, SLICED), "nvidia.com/gpu.shared", ["sliced"]),
        (0.25, "any", (SLICED,), "nvidia.com/gpu.shared", ["sliced"]),
        (0.2, "any", (MIXED, SLICED), "nvidia.com/mig-2g.20gb", ["mixed"]),
        (1, "mps", (MPS,), "nvidia.com/gpu.shared", ["mps"]),
        ("4Gi", "any", (WHOLE, SINGLE), "nvidia.com/gpu", ["single"]),
        ("12Gi", "any", (WHOLE, MIXED), "nvidia.com/mig-2g.20gb", ["mixed"]),
        ("15Gi", "any", (SMALL, SLICED), "nvidia.com/gpu", ["small"]),
        ("30Gi", "any", (MPS, WHOLE), "nvidia.com/gpu", ["whole"]),
        ("mig-1g.10gb", "any", (WHOLE, MIXED), "nvidia.com/mig-1g.10gb", ["mixed"]),
        ("mig-1g.5gb", "any", (SINGLE,), "nvidia.com/gpu", ["single"]),
    ],
)
def test_the_smallest_that_does_is_chosen(
    amount: object, sharing: Sharing, pools: tuple[Pool, ...], resource: str, names: list[str]
) -> None:
    grant = choose_offer(GpuAsk(parse_amount(amount), sharing), pools)
    assert isinstance(grant, Grant)
    assert grant.resource == resource
    assert [offer.pool.name for offer in grant.offers] == names


@pytest.mark.parametrize(
    ("ask", "pools", "reason"),
    [
        (GpuAsk(Count(1)), (NONE,), "the cluster has no GPUs"),
        (GpuAsk(Count(3)), (WHOLE,), "no more than 2 in one container"),
        (GpuAsk(Count(2), "mps"), (MPS,), "no more than 1 in one container"),
        (GpuAsk(Count(2), "time-slicing"), (SLICED,), "no more than 1 in one container"),
        (GpuAsk(Count(2), "mig"), (MIXED,), "no more than 1 in one container"),
        (GpuAsk(Count(2), "mig"), (SINGLE,), "no more than 1 in one container"),
        (GpuAsk(Count(1)), (MPS,), "`mps` has L4 by MPS in 4: "),
        (GpuAsk(Count(1)), (SLICED,), "`sliced` has T4 by time-slicing in 4: "),
        (GpuAsk(Count(1)), (MPS,), "parts of devices, and whole ones are asked for"),
        (GpuAsk(Share(Fraction(1, 2))), (WHOLE,), "not parted"),
        (GpuAsk(Share(Fraction(1, 2))), (MPS,), "0.25 of a device each"),
        (GpuAsk(SliceNeed("3g.20gb")), (SINGLE,), "not that slice"),
        (GpuAsk(MemoryNeed(30_000)), (MPS,), "5.623 GiB of memory"),
        (GpuAsk(Count(1), models=("H100",)), (WHOLE,), "not H100"),
        (GpuAsk(Count(1), "mig"), (WHOLE,), "not mig"),
    ],
)
def test_what_no_pool_has_is_refused_with_the_reason(
    ask: GpuAsk, pools: tuple[Pool, ...], reason: str
) -> None:
    found = choose_offer(ask, pools)
    assert isinstance(found, Refused)
    assert reason in found.reasons[0]


@pytest.mark.parametrize(
    ("amount", "pools", "count"),
    [
        (1, (WHOLE,), 1),
        (2, (WHOLE,), 2),
        (0.25, (MPS,), 1),
        ("4Gi", (SINGLE,), 1),
        ("30Gi", (WHOLE,), 1),
        ("mig-1g.5gb", (SINGLE,), 1),
    ],
)
def test_only_a_number_is_of_several_devices(amount: object, pools: tuple[Pool, ...], count: int) -> None:
    grant = choose_offer(GpuAsk(parse_amount(amount)), pools)
    assert isinstance(grant, Grant)
    assert grant.count == count


def test_any_of_the_products_will_do() -> None:
    grant = choose_offer(GpuAsk(Count(1), models=("H100", "A100", "T4")), (WHOLE, SMALL))
    assert isinstance(grant, Grant)
    assert [offer.pool.name for offer in grant.offers] == ["whole", "small"]


def test_counts_are_written_for_messages() -> None:
    assert [str(Count(each)) for each in (0, 1, 2)] == ["0 GPUs", "1 GPU", "2 GPUs"]


def test_memory_that_is_needed_counts_with_what_is_asked() -> None:
    assert isinstance(choose_offer(GpuAsk(Count(1)), (SMALL,), 16_000), Refused)
    grant = choose_offer(GpuAsk(Share(Fraction(1, 8))), (MIXED,), 12_000)
    assert isinstance(grant, Grant)
    assert grant.resource == "nvidia.com/mig-2g.20gb"


def test_memory_that_is_just_enough_will_do() -> None:
    for need_mib, kind in ((15_360, Grant), (15_361, Refused)):
        assert isinstance(choose_offer(GpuAsk(Count(1)), (SMALL,), need_mib), kind)


def test_offers_are_parts_of_devices_and_as_many_as_a_node_has() -> None:
    found = [
        [(each.share, each.per_node) for each in offers_of(pool)]
        for pool in (WHOLE, MPS, MIXED, SINGLE, NONE)
    ]
    seventh = Fraction(1, 7)
    assert found == [
        [(Fraction(1), 2)],
        [(Fraction(1, 4), 8)],
        [(seventh, 6), (2 * seventh, 4)],
        [(seventh, 14)],
        [],
    ]


def test_products_are_called_by_their_family() -> None:
    assert [each.name for each in products_called("a100")] == ["A100-40GB", "A100-80GB"]
    assert [each.name for each in products_called("A10")] == ["A10"]
    assert products_called("A1") == []


def test_slices_fill_a_device_at_most() -> None:
    for product in PRODUCTS.values():
        for each in product.slices.values():
            assert each.share * each.most <= 1
            assert each.memory_mib * each.most <= product.memory_mib * 1.01, (product.name, each.name)
