"""Tells whether somebody else changed an object since graphc did."""

import hashlib
import json
from collections.abc import Mapping

from graphc.cluster.bundle import WORKLOAD
from graphc.cluster.client import ref_of
from graphc.ir.graph import Value
from graphc.unchecked import Data, fields, number

_DIGITS = 12
"""Hexadecimal ones of a checksum: more than generations ever have, and few enough to be exact as a number of JSON."""


def mark(live: Mapping[str, Value], document: Mapping[str, Value]) -> int | None:
    """Return what to remember of a live object that came of a document.

    That is its generation, which the server counts; of a Deployment whose replicas something else sets, which counts
    as well, it is a checksum of all the rest.
    """
    if ref_of(document).kind == WORKLOAD and "replicas" not in fields(document, "spec"):
        return _sum_up(live)
    return number(live, "metadata", "generation")


def is_as_marked(live: Mapping[str, Value], remembered: int | None) -> bool:
    """Say whether an object is as it was remembered."""
    return remembered is not None and remembered in {number(live, "metadata", "generation"), _sum_up(live)}


def _sum_up(live: Mapping[str, Value]) -> int:
    spec: Data = {name: value for name, value in fields(live, "spec").items() if name != "replicas"}
    written = json.dumps(spec, sort_keys=True)
    return int(hashlib.sha256(written.encode()).hexdigest()[:_DIGITS], 16)
