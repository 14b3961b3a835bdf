"""Tells which content of a predictor the engines' logs are of, so that figures of two contents never mix."""

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

MOST_PREDICTORS: Final = 64
MOST_CONTENTS: Final = 16
MOST_LETTERS: Final = 64


class Admission(Enum):
    """What an event is to the figures that are kept."""

    CURRENT = auto()
    NEW = auto()
    """Of a content that replaces the one heard of before: figures begin anew."""
    OUTDATED = auto()
    """Of pods that are about to end."""


@dataclass(frozen=True, slots=True)
class ContentLimits:
    """Seconds after which a silent content may be replaced by an older one, and between two beginnings."""

    silence: float = 30.0
    calm: float = 2.0


@dataclass(slots=True)
class _Content:
    name: str
    heard: float
    replaced: OrderedDict[str, None] = field(default_factory=OrderedDict[str, None])


@dataclass(slots=True)
class Contents:
    """The contents of one graph's predictors, by the words that are in their loggers' addresses.

    While pods are replaced both contents answer: a new one takes over at once, and one that was replaced only when
    the other has fallen silent, as after a rollback.
    """

    limits: ContentLimits = field(default_factory=ContentLimits)
    _known: dict[str, _Content] = field(default_factory=dict[str, _Content])
    _begun: float = -1e9

    def admit(self, predictor: str, content: str, now: float) -> Admission:
        """Take note of an event; `now` is in seconds."""
        content = content[:MOST_LETTERS]
        known = self._known.get(predictor)
        if known is None:
            if len(self._known) < MOST_PREDICTORS:
                self._known[predictor] = _Content(content, now)
            return Admission.CURRENT
        if known.name == content:
            known.heard = now
            return Admission.CURRENT
        is_back_too_soon = content in known.replaced and now - known.heard < self.limits.silence
        if is_back_too_soon or now - self._begun < self.limits.calm:
            return Admission.OUTDATED
        self._replace(known, content, now)
        return Admission.NEW

    def _replace(self, known: _Content, content: str, now: float) -> None:
        known.replaced[known.name] = None
        known.replaced.pop(content, None)
        while len(known.replaced) > MOST_CONTENTS:
            known.replaced.popitem(last=False)
        known.name, known.heard, self._begun = content, now, now
