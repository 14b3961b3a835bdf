"""All that is known of one comparison, in bounded memory, as aggregates that can be merged."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from graphc.client.tensor import Tensor
from graphc.compare.decode import DecodeError, Tensors, decode_answer
from graphc.compare.observer import Seen
from graphc.compare.outputs import OTHERS, OutputFigures
from graphc.compare.plain import Plain, counter_of, mapping_of, number_of, plain_counts
from graphc.compare.sketch import Sketch

MOST_OUTPUTS: Final = 16
MOST_SEGMENTS: Final = 16
MOST_COMPARISONS: Final = 16
MOST_PREDICTORS: Final = 32

NONE: Final = "(none)"
"""The segment of requests that lack the parameter."""


@dataclass(slots=True)
class PredictorFigures:
    """One predictor's answers, compared with others or not."""

    statuses: Counter[str] = field(default_factory=Counter[str])
    """Answers by HTTP status; `0` where none came."""
    seconds: Sketch = field(default_factory=Sketch)
    """How long the good answers took."""

    def add(self, seen: Seen) -> None:
        """Count an answer."""
        status = seen.status if 0 <= seen.status <= 999 else 0
        self.statuses[str(status)] += 1
        if is_good(seen):
            self.seconds.add_one(seen.seconds)

    def merge(self, other: "PredictorFigures") -> None:
        """Count all that was counted elsewhere."""
        self.statuses.update(other.statuses)
        self.seconds.merge(other.seconds)

    def to_plain(self) -> dict[str, Plain]:
        """Return the figures as JSON holds them."""
        return {"statuses": plain_counts(self.statuses), "seconds": self.seconds.to_plain()}

    @classmethod
    def of_plain(cls, plain: Plain) -> "PredictorFigures":
        """Return the figures that JSON holds; raises ValueError."""
        fields = mapping_of(plain)
        return cls(counter_of(fields.get("statuses")), Sketch.of_plain(fields.get("seconds")))


@dataclass(slots=True)
class PairFigures:
    """Pairs of answers to the same requests."""

    pairs: int = 0
    errors: int = 0
    """Pairs whose live answer is good and whose other is not: the client would have lost these."""
    live_errors: int = 0
    """Pairs whose live answer is not good and whose other is."""
    both_errors: int = 0
    faults: Counter[str] = field(default_factory=Counter[str])
    """Pairs by what kept their outputs from being compared, or should not be: see `FAULTS`."""
    faulty: int = 0
    """Pairs with a fault that is the candidate's."""
    live_seconds: Sketch = field(default_factory=Sketch)
    seconds: Sketch = field(default_factory=Sketch)
    """How long the answers took of pairs that are good on both sides."""
    outputs: dict[str, OutputFigures] = field(default_factory=dict[str, OutputFigures])

    def add(self, live: Seen, candidate: Seen, tensors: "DecodedPair") -> None:
        """Count a pair of answers."""
        self.pairs += 1
        good = is_good(live), is_good(candidate)
        self.errors += good == (True, False)
        self.live_errors += good == (False, True)
        self.both_errors += good == (False, False)
        if good == (True, True):
            self.live_seconds.add_one(live.seconds)
            self.seconds.add_one(candidate.seconds)
            self._add_tensors(tensors)

    def merge(self, other: "PairFigures") -> None:
        """Count all that was counted elsewhere."""
        self.pairs += other.pairs
        self.errors += other.errors
        self.live_errors += other.live_errors
        self.both_errors += other.both_errors
        self.faults.update(other.faults)
        self.faulty += other.faulty
        self.live_seconds.merge(other.live_seconds)
        self.seconds.merge(other.seconds)
        for name, figures in other.outputs.items():
            if mine := self._output(name):
                mine.merge(figures)

    def to_plain(self) -> dict[str, Plain]:
        """Return the figures as JSON holds them."""
        return {
            "pairs": self.pairs,
            "errors": self.errors,
            "live_errors": self.live_errors,
            "both_errors": self.both_errors,
            "faults": plain_counts(self.faults),
            "faulty": self.faulty,
            "live_seconds": self.live_seconds.to_plain(),
            "seconds": self.seconds.to_plain(),
            "outputs": {name: each.to_plain() for name, each in sorted(self.outputs.items())},
        }

    @classmethod
    def of_plain(cls, plain: Plain) -> "PairFigures":
        """Return the figures that JSON holds; raises ValueError."""
        fields = mapping_of(plain)
        pairs, errors, live_errors, both_errors = (
            int(number_of(fields.get(name))) for name in ("pairs", "errors", "live_errors", "both_errors")
        )
        return cls(
            pairs,
            errors,
            live_errors,
            both_errors,
            counter_of(fields.get("faults")),
            int(number_of(fields.get("faulty"))),
            Sketch.of_plain(fields.get("live_seconds")),
            Sketch.of_plain(fields.get("seconds")),
            {
                name: OutputFigures.of_plain(mapping_of(each))
                for name, each in mapping_of(fields.get("outputs")).items()
            },
        )

    def _add_tensors(self, tensors: "DecodedPair") -> None:
        faults = set(tensors.faults)
        for name, live, candidate in tensors.shared:
            if figures := self._output(name):
                unlike = figures.unlike
                figures.add(live, candidate)
                if figures.unlike > unlike:
                    faults.add("not finite")
            else:
                faults.add("too many outputs")
        self.faults.update(faults)
        self.faulty += bool(faults - NOT_BLAMED)

    def _output(self, name: str) -> OutputFigures | None:
        if name not in self.outputs and len(self.outputs) >= MOST_OUTPUTS:
            return None
        return self.outputs.setdefault(name, OutputFigures())


FAULTS: Final[Mapping[str, str]] = {
    "missing": "an output of the live answer is missing",
    "extra": "an output is there that the live answer has not",
    "datatype": "an output has another datatype",
    "shape": "an output has another shape",
    "not finite": "a number is NaN or infinite on one side alone",
    "unreadable": "the answer is not V2",
    "too large": "an answer is too large to be compared",
    "live unreadable": "the live answer is not V2",
    "too many outputs": f"there are more than {MOST_OUTPUTS} outputs",
}
"""What can be wrong with a pair."""

NOT_BLAMED: Final = frozenset({"too large", "live unreadable", "too many outputs"})
"""What is no fault of the candidate's."""


@dataclass(slots=True)
class Comparison:
    """A candidate beside a live predictor: all pairs, and those of each segment of the requests."""

    overall: PairFigures = field(default_factory=PairFigures)
    segments: dict[str, PairFigures] = field(default_factory=dict[str, PairFigures])

    def add(self, live: Seen, candidate: Seen, segment: str | None) -> "DecodedPair":
        """Count a pair, in its segment too where there are segments; return what was read of it."""
        tensors = decode_pair(live, candidate)
        self.overall.add(live, candidate, tensors)
        if segment is not None:
            self._segment(segment).add(live, candidate, tensors)
        return tensors

    def merge(self, other: "Comparison") -> None:
        """Count all that was counted elsewhere."""
        self.overall.merge(other.overall)
        for name, figures in sorted(other.segments.items()):
            self._segment(name).merge(figures)

    def _segment(self, name: str) -> PairFigures:
        name = name[:64]
        if name not in self.segments and len(self.segments) >= MOST_SEGMENTS:
            name = OTHERS
        return self.segments.setdefault(name, PairFigures())

    def to_plain(self) -> dict[str, Plain]:
        """Return the figures as JSON holds them."""
        return {
            "overall": self.overall.to_plain(),
            "segments": {name: each.to_plain() for name, each in sorted(self.segments.items())},
        }

    @classmethod
    def of_plain(cls, plain: Plain) -> "Comparison":
        """Return the figures that JSON holds; raises ValueError."""
        fields = mapping_of(plain)
        segments = mapping_of(fields.get("segments"))
        return cls(
            PairFigures.of_plain(fields.get("overall")),
            {name: PairFigures.of_plain(each) for name, each in segments.items()},
        )


@dataclass(slots=True)
class Figures:
    """All figures of one graph: its predictors, its comparisons, and what was not compared."""

    predictors: dict[str, PredictorFigures] = field(default_factory=dict[str, PredictorFigures])
    comparisons: dict[tuple[str, str], Comparison] = field(default_factory=dict[tuple[str, str], Comparison])
    """By the live predictor and the candidate."""
    left_out: Counter[str] = field(default_factory=Counter[str])
    """Answers that were not compared, by reason."""

    def predictor(self, name: str) -> PredictorFigures | None:
        """Return a predictor's figures; None where there are too many already."""
        if name not in self.predictors and len(self.predictors) >= MOST_PREDICTORS:
            return None
        return self.predictors.setdefault(name, PredictorFigures())

    def comparison(self, live: str, candidate: str) -> Comparison | None:
        """Return the figures of a comparison; None where there are too many already."""
        key = live, candidate
        if key not in self.comparisons and len(self.comparisons) >= MOST_COMPARISONS:
            return None
        return self.comparisons.setdefault(key, Comparison())

    @property
    def has_answers(self) -> bool:
        """Whether anybody answered anything."""
        return any(each.statuses.total() for each in self.predictors.values())

    def merge(self, other: "Figures") -> None:
        """Count all that was counted elsewhere."""
        for name, predictor in sorted(other.predictors.items()):
            if mine := self.predictor(name):
                mine.merge(predictor)
        for (live, candidate), comparison in sorted(other.comparisons.items()):
            if own := self.comparison(live, candidate):
                own.merge(comparison)
        self.left_out.update(other.left_out)

    def candidates(self) -> Mapping[str, Comparison]:
        """Return the comparisons by candidate, those with several live predictors joined."""
        joined: dict[str, Comparison] = {}
        for (_, candidate), comparison in sorted(self.comparisons.items()):
            joined.setdefault(candidate, Comparison()).merge(comparison)
        return joined

    def to_plain(self) -> dict[str, Plain]:
        """Return the figures as JSON holds them."""
        return {
            "predictors": {name: each.to_plain() for name, each in sorted(self.predictors.items())},
            "comparisons": [
                {"live": live, "candidate": candidate, **each.to_plain()}
                for (live, candidate), each in sorted(self.comparisons.items())
            ],
            "left_out": plain_counts(self.left_out),
        }

    @classmethod
    def of_plain(cls, plain: Plain) -> "Figures":
        """Return the figures that JSON holds; raises ValueError."""
        fields = mapping_of(plain)
        listed = fields.get("comparisons")
        comparisons = [mapping_of(each) for each in listed] if isinstance(listed, list) else []
        return cls(
            {
                name: PredictorFigures.of_plain(each)
                for name, each in mapping_of(fields.get("predictors")).items()
            },
            {
                (str(each.get("live")), str(each.get("candidate"))): Comparison.of_plain(each)
                for each in comparisons
            },
            counter_of(fields.get("left_out")),
        )


@dataclass(frozen=True, slots=True)
class DecodedPair:
    """The tensors that two answers share, and what is wrong with the others."""

    shared: tuple[tuple[str, Tensor, Tensor], ...] = ()
    faults: frozenset[str] = frozenset()


def is_good(seen: Seen) -> bool:
    """Say whether an answer is one that a client can use."""
    return 200 <= seen.status < 300


def decode_pair(live: Seen, candidate: Seen) -> DecodedPair:
    """Read both answers; two that are equal to the byte are read once."""
    if not (is_good(live) and is_good(candidate)):
        return DecodedPair()
    try:
        first = decode_answer(live)
    except DecodeError as error:
        return DecodedPair(faults=frozenset({f"live {error}" if str(error) == "unreadable" else str(error)}))
    try:
        second = first if _equal(live, candidate) else decode_answer(candidate)
    except DecodeError as error:
        return DecodedPair(faults=frozenset({str(error)}))
    return _match(first, second)


def _equal(live: Seen, candidate: Seen) -> bool:
    form = live.header_length, live.content_encoding
    return form == (candidate.header_length, candidate.content_encoding) and live.body == candidate.body


def _match(live: Tensors, candidate: Tensors) -> DecodedPair:
    shared = [name for name in live if name in candidate]
    problems = {name: list(_differences(live[name], candidate[name])) for name in shared}
    faults = {each for found in problems.values() for each in found}
    faults |= {"missing"} if live.keys() - candidate.keys() else set()
    faults |= {"extra"} if candidate.keys() - live.keys() else set()
    fit = ((name, live[name], candidate[name]) for name in shared if not problems[name])
    return DecodedPair(tuple(fit), frozenset(faults))


def _differences(live: Tensor, candidate: Tensor) -> Iterator[str]:
    if live.datatype != candidate.datatype:
        yield "datatype"
    if live.array.shape != candidate.array.shape:
        yield "shape"
