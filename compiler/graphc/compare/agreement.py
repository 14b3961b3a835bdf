"""How many decisions agree, and how sure that is, where decisions of one request depend on each other."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from graphc.compare.plain import Plain, number_of


@dataclass(slots=True)
class Agreement:
    """Sums over requests: of `total` decisions, `agreed` agree; merging adds them, exactly."""

    requests: int = 0
    total: int = 0
    agreed: int = 0
    total_squares: int = 0
    agreed_squares: int = 0
    products: int = 0

    def add(self, agreed: int, total: int) -> None:
        """Count one request's decisions; a request without any says nothing."""
        if total:
            self.merge(Agreement(1, total, agreed, total * total, agreed * agreed, agreed * total))

    def merge(self, other: "Agreement") -> None:
        """Count all that was counted elsewhere."""
        self.requests += other.requests
        self.total += other.total
        self.agreed += other.agreed
        self.total_squares += other.total_squares
        self.agreed_squares += other.agreed_squares
        self.products += other.products

    @property
    def share(self) -> float | None:
        """The share of decisions that agree."""
        return self.agreed / self.total if self.total else None

    def bounds(self, deviations: float) -> tuple[float, float]:
        """Return Wilson's interval for the share, as if so many decisions were independent as weigh the same."""
        return wilson(self.share or 0.0, self.effective, deviations)

    @property
    def effective(self) -> float:
        """How many independent decisions would vary as these do.

        The rows of one batch are alike, so a thousand rows in ten requests are less than a thousand samples. The
        variance of the share, taken between requests (the ratio estimator), says how much less. Where all
        agree or none does nothing varies, and each request counts once.
        """
        share = self.share
        if share is None:
            return 0.0
        if self.requests < 2 or self.agreed in {0, self.total}:
            return float(self.requests)
        squares = self.agreed_squares - 2 * share * self.products + share * share * self.total_squares
        variance = max(squares, 0.0) / self.total**2
        if variance == 0:
            return float(self.requests)
        return min(float(self.total), share * (1 - share) / variance)

    def to_plain(self) -> dict[str, Plain]:
        """Return the sums as JSON holds them."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def of_plain(cls, plain: Plain) -> "Agreement":
        """Return the sums that JSON holds; raises ValueError where it holds none."""
        fields: Mapping[str, Plain] = plain if isinstance(plain, dict) else {}
        return cls(*(int(number_of(fields.get(name))) for name in cls.__slots__))


def wilson(share: float, count: float, deviations: float) -> tuple[float, float]:
    """Return Wilson's score interval for a share that was seen among so many."""
    if count <= 0:
        return 0.0, 1.0
    square = deviations * deviations
    middle = share + square / (2 * count)
    spread = deviations * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    scale = 1 + square / count
    # Rounding keeps the ends of the range from being reached.
    low = 0.0 if share == 0 else max(0.0, (middle - spread) / scale)
    return low, 1.0 if share == 1 else min(1.0, (middle + spread) / scale)
