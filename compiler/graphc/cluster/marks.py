"""Tells whether somebody else changed an object since graphc did."""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from graphc.cluster.bundle import WORKLOAD
from graphc.cluster.client import ref_of
from graphc.ir.graph import Value
from graphc.unchecked import copy_fields, fields, number

RESTARTED: Final = "kubectl.kubernetes.io/restartedAt"
"""What `kubectl rollout restart` writes into a Deployment's pods: they are others, and the same."""

_DIGITS: Final = 12
"""Hexadecimal ones of a checksum: more than generations ever have, and few enough to be exact as a number of JSON."""


def find_mark(live: Mapping[str, Value], document: Mapping[str, Value]) -> dict[str, int]:
    """Return what to remember of a live object that came of a document, by its name.

    That is its generation, which the server counts. A Deployment's generation counts too what scales or restarts it, so
    that a checksum of all the rest goes with it.
    """
    ref, generation = ref_of(document), number(live, "metadata", "generation")
    if generation is None:
        return {}
    if ref.kind != WORKLOAD:
        return {str(ref): generation}
    is_scaled = "replicas" not in fields(document, "spec")
    return {str(ref): generation, _name(str(ref), is_scaled=is_scaled): _sum_up(live, is_scaled=is_scaled)}


def is_as_marked(live: Mapping[str, Value], marks: Mapping[str, int]) -> bool:
    """Say whether an object is as it was remembered."""
    name = str(ref_of(live))
    if name in marks and number(live, "metadata", "generation") == marks[name]:
        return True
    return any(
        marks.get(_name(name, is_scaled=is_scaled)) == _sum_up(live, is_scaled=is_scaled)
        for is_scaled in (False, True)
    )


def _name(ref: str, *, is_scaled: bool) -> str:
    return f"{ref}: all but replicas" if is_scaled else f"{ref}: all"


def _sum_up(live: Mapping[str, Value], *, is_scaled: bool) -> int:
    spec = copy_fields(fields(live, "spec"))
    if is_scaled:
        spec.pop("replicas", None)
    metadata = fields(spec, "template", "metadata")
    annotations = fields(metadata, "annotations")
    annotations.pop(RESTARTED, None)
    if not annotations:
        metadata.pop("annotations", None)
    written = json.dumps(spec, sort_keys=True)
    return int(hashlib.sha256(written.encode()).hexdigest()[:_DIGITS], 16)
