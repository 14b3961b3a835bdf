"""What is known of common GPU products: their memory and how MIG can slice them.

Memory is as the devices report it, in MiB; slices and how many fit are of NVIDIA's MIG user guide.
"""

import re
from collections.abc import Mapping
from dataclasses import field
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from graphc.records import record

_SLICE: Final = re.compile(r"(?:mig-)?([1-7])g\.(\d{1,3})gb(?:[.+](me|gfx|me\.all|all))?\Z")


@record
class Slice:
    """A MIG profile: its share of a device's compute, its memory in MiB, and how many a device has at most."""

    name: str
    share: Fraction
    memory_mib: int
    most: int

    @property
    def resource(self) -> str:
        """The name of the resource under the mixed strategy."""
        return f"nvidia.com/mig-{self.name}"


@record
class Product:
    """A GPU product; `label` is the beginning of what GPU feature discovery labels its nodes with."""

    name: str
    memory_mib: int
    labels: tuple[str, ...]
    slices: Mapping[str, Slice] = field(default_factory=dict[str, Slice])

    def is_called(self, name: str) -> bool:
        """Say whether a name, such as `A100` or `A100-80GB`, is this product's, or its family's."""
        wanted, own = name.lower(), self.name.lower()
        return own == wanted or own.startswith(f"{wanted}-")


def slice_name(text: str) -> str | None:
    """Return a MIG profile's name as resources have it (`1g.10gb`, `1g.10gb.me`); None where it is none's."""
    found = _SLICE.match(text)
    if found is None:
        return None
    extension = f".{found[3]}" if found[3] else ""
    return f"{found[1]}g.{found[2]}gb{extension}"


def _slices(parts: int, most: Mapping[str, int]) -> Mapping[str, Slice]:
    """Build the slices of a product whose compute has so many parts, from the counts of each profile."""
    made: dict[str, Slice] = {}
    for text, count in most.items():
        compute, gigabytes = re.findall(r"\d+", text)[:2]
        made[text] = Slice(text, Fraction(int(compute), parts), _usable(int(gigabytes)), count)
    return MappingProxyType(made)


def _usable(gigabytes: int) -> int:
    """Return the MiB of a slice: less than its name says, as an A100's 1g.5gb has 4864."""
    return gigabytes * 1024 * 95 // 100


_A100_40: Final = {
    "1g.5gb": 7,
    "1g.5gb.me": 1,
    "1g.10gb": 4,
    "2g.10gb": 3,
    "3g.20gb": 2,
    "4g.20gb": 1,
    "7g.40gb": 1,
}
_80: Final = {
    "1g.10gb": 7,
    "1g.10gb.me": 1,
    "1g.20gb": 4,
    "2g.20gb": 3,
    "3g.40gb": 2,
    "4g.40gb": 1,
    "7g.80gb": 1,
}
_94: Final = {
    "1g.12gb": 7,
    "1g.12gb.me": 1,
    "1g.24gb": 4,
    "2g.24gb": 3,
    "3g.47gb": 2,
    "4g.47gb": 1,
    "7g.94gb": 1,
}
_96: Final = {
    "1g.12gb": 7,
    "1g.12gb.me": 1,
    "1g.24gb": 4,
    "2g.24gb": 3,
    "3g.48gb": 2,
    "4g.48gb": 1,
    "7g.96gb": 1,
}
_141: Final = {
    "1g.18gb": 7,
    "1g.18gb.me": 1,
    "1g.35gb": 4,
    "2g.35gb": 3,
    "3g.71gb": 2,
    "4g.71gb": 1,
    "7g.141gb": 1,
}
_180: Final = {
    "1g.23gb": 7,
    "1g.23gb.me": 1,
    "1g.45gb": 4,
    "2g.45gb": 3,
    "3g.90gb": 2,
    "4g.90gb": 1,
    "7g.180gb": 1,
}
_A30: Final = {"1g.6gb": 4, "1g.6gb.me": 1, "2g.12gb": 2, "2g.12gb.me": 1, "4g.24gb": 1}

PRODUCTS: Final[Mapping[str, Product]] = MappingProxyType(
    {
        product.name: product
        for product in (
            Product("A10", 23028, ("NVIDIA-A10",)),
            Product(
                "A100-40GB", 40960, ("NVIDIA-A100-SXM4-40GB", "NVIDIA-A100-PCIE-40GB"), _slices(7, _A100_40)
            ),
            Product("A100-80GB", 81920, ("NVIDIA-A100-SXM4-80GB", "NVIDIA-A100-80GB-PCIe"), _slices(7, _80)),
            Product("A30", 24576, ("NVIDIA-A30",), _slices(4, _A30)),
            Product("A40", 46068, ("NVIDIA-A40",)),
            Product("B200", 183359, ("NVIDIA-B200",), _slices(7, _180)),
            Product("GH200-96GB", 97871, ("NVIDIA-GH200-480GB",), _slices(7, _96)),
            Product("H100-80GB", 81559, ("NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-PCIe"), _slices(7, _80)),
            Product("H100-94GB", 95830, ("NVIDIA-H100-NVL",), _slices(7, _94)),
            Product("H200", 143771, ("NVIDIA-H200", "NVIDIA-H200-NVL"), _slices(7, _141)),
            Product("L4", 23034, ("NVIDIA-L4",)),
            Product("L40S", 46068, ("NVIDIA-L40S",)),
            Product("T4", 15360, ("Tesla-T4",)),
            Product("V100-16GB", 16384, ("Tesla-V100-SXM2-16GB", "Tesla-V100-PCIE-16GB")),
            Product("V100-32GB", 32768, ("Tesla-V100-SXM2-32GB", "Tesla-V100-PCIE-32GB")),
        )
    }
)
"""By name; the names are graphc's, made of the family and, where there are several, the memory."""


def products_called(name: str) -> list[Product]:
    """Return the products of a name, a family's all."""
    return [product for product in PRODUCTS.values() if product.is_called(name)]
