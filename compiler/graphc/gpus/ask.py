"""What a graph asks of GPUs, in the words of its file."""

import re
from fractions import Fraction
from typing import Final, Literal, get_args

from graphc.diagnostics.printable import quoted
from graphc.gpus.products import slice_name
from graphc.records import record

Sharing = Literal["exclusive", "mig", "mps", "time-slicing", "any"]
Device = Literal["gpu", "prefer-gpu", "cpu"]

SHARINGS: Final[tuple[Sharing, ...]] = get_args(Sharing)
DEVICES: Final[tuple[Device, ...]] = get_args(Device)

_MEMORY: Final = re.compile(r"(\d+(?:\.\d+)?)(Mi|Gi|Ti|M|G|T)\Z")
_BYTES: Final = {"Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "M": 10**6, "G": 10**9, "T": 10**12}
_PLAIN: Final = re.compile(r"[-+]?[\d./]{1,40}(?:[eE][-+]?\d{1,2})?")
"""No number of more digits is meant, and a large exponent takes a fraction for ever."""

_MOST_MIB: Final = 2**43
"""As many as Kubernetes can count the bytes of."""


@record
class Count:
    """Whole devices, or, where sharing is asked for, parts of them."""

    number: int

    def __str__(self) -> str:
        """Write it for a message."""
        return f"{self.number} GPU{'s' * (self.number != 1)}"


@record
class Share:
    """A part of one device, of its compute and its memory, more than 0 and less than 1."""

    part: Fraction

    def __str__(self) -> str:
        """Write it for a message."""
        return f"{float(self.part):g} of a GPU"


@record
class MemoryNeed:
    """As much of one device as has this memory, in MiB."""

    mib: int

    def __str__(self) -> str:
        """Write it for a message."""
        return f"a GPU with {show_mib(self.mib)}"


@record
class SliceNeed:
    """A MIG slice, by the name of its profile."""

    name: str

    def __str__(self) -> str:
        """Write it for a message."""
        return f"a slice mig-{self.name}"


Amount = Count | Share | MemoryNeed | SliceNeed


@record
class Engine:
    """That TensorRT runs the models: whether in half precision, and the claim and path where engines are kept."""

    fp16: bool = False
    claim: str | None = None
    path: str = ""


@record
class GpuAsk:
    """An amount, how it may be shared, the products that will do (any where none is named), and what else will do."""

    amount: Amount
    sharing: Sharing = "any"
    models: tuple[str, ...] = ()
    device: Device = "gpu"
    engine: Engine | None = None
    """How TensorRT runs the models; None leaves them to CUDA."""

    @property
    def wants_gpu(self) -> bool:
        """Whether it asks for a GPU at all."""
        return self.device != "cpu" and self.amount != Count(0)

    def __str__(self) -> str:
        """Write it for a message."""
        models = f" ({' or '.join(self.models)})" if self.models else ""
        return f"{self.amount}{models}"


class AskError(ValueError):
    """Not an amount of GPUs; the message says what is."""


def parse_amount(value: object) -> Amount:
    """Return the amount that a value of a file says; raises AskError."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise AskError(_say(value))
    if isinstance(value, int):
        return _count(value)
    text = value.strip() if isinstance(value, str) else repr(value)
    if (name := slice_name(text)) is not None:
        return SliceNeed(name)
    if found := _MEMORY.match(text):
        mib = int(Fraction(found[1]) * _BYTES[found[2]] / 2**20)
        if not 1 <= mib <= _MOST_MIB:
            raise AskError(f"{quoted(text)} is no memory")
        return MemoryNeed(mib)
    return _number(text)


def _number(text: str) -> Amount:
    if not _PLAIN.fullmatch(text):
        raise AskError(_say(text))
    try:
        number = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise AskError(_say(text)) from None
    if number.denominator == 1:
        return _count(int(number))
    if not 0 < number < 1:
        raise AskError(f"`{text}` is more than one GPU and not a whole number; a part is of one device")
    return Share(number)


def _count(number: int) -> Count:
    if not 0 <= number <= 1024:
        raise AskError(f"`{number}` is not a number of GPUs")
    return Count(number)


def _say(value: object) -> str:
    shown = (
        quoted(value) if isinstance(value, str) else "true or false" if isinstance(value, bool) else "this"
    )
    return (
        f"{shown} is not an amount of GPUs: a number such as `1`, a part such as `0.25`, memory such as `10Gi`, "
        "or a MIG slice such as `mig-1g.10gb`"
    )


def show_mib(mib: int) -> str:
    """Return an amount of memory as people write it."""
    return f"{mib} MiB" if mib < 1024 else f"{mib / 1024:.4g} GiB"
