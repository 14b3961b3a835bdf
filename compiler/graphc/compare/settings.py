"""How a deployment says that its versions are compared: an annotation that every reader of a manifest finds."""

import json
from dataclasses import dataclass
from typing import Final, cast

from graphc.unchecked import parse

ANNOTATION: Final = "graphc.dev/compare"


@dataclass(frozen=True, slots=True)
class CompareSettings:
    """The share of the requests that is compared, and the request parameter that figures are kept apart by."""

    sample: float = 1.0
    segment: str | None = None


def write_settings(sample: float, segment: str | None) -> str:
    """Return the annotation's text."""
    fields: dict[str, object] = {"sample": sample}
    if segment is not None:
        fields["segment"] = segment
    return json.dumps(fields, separators=(",", ":"))


def read_settings(text: str | None) -> CompareSettings:
    """Read the annotation; what is not as graphc writes it is as if it were not there."""
    try:
        value = parse(text) if text else None
    except ValueError:
        value = None
    fields = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    sample, segment = fields.get("sample"), fields.get("segment")
    share = sample if isinstance(sample, int | float) and not isinstance(sample, bool) else 1.0
    named = segment if isinstance(segment, str) else None
    return CompareSettings(float(share) if 0 < share <= 1 else 1.0, named)
