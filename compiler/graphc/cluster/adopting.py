"""Makes graphc the owner of what kubectl applied of its documents.

To a server, fields that kubectl applied are kubectl's for good: what a later version no longer has, such as a
container, would stay. So their ownership goes to graphc before its first change, as kubectl itself hands over what it
applied on the client's side.
"""

from collections.abc import Mapping
from typing import Final

from graphc.cluster.client import MANAGER, Cluster, Ref
from graphc.cluster.problem import RefusedError
from graphc.engine_graph import MANAGED_BY
from graphc.ir.graph import Value
from graphc.unchecked import Data, copy, fields, objects, text

KUBECTL: Final = "kubectl"
_APPLIERS: Final = {(KUBECTL, "Apply"), ("kubectl-client-side-apply", "Update")}


def is_kubectls(live: Mapping[str, Value]) -> bool:
    """Say whether kubectl applied one of graphc's documents on the server's side, and graphc did not."""
    entries = list(objects(live, "metadata", "managedFields"))
    return any(_is_handed_over(each) and text(each, "manager") == KUBECTL for each in entries) and not any(
        map(_is_ours, entries)
    )


def hand_over(cluster: Cluster, ref: Ref, live: Mapping[str, Value]) -> None:
    """Let graphc own all that kubectl applied of one of its documents, if it did."""
    owners = merge_owned(live)
    if owners is None:
        return
    metadata: Data = {"resourceVersion": text(live, "metadata", "resourceVersion"), "managedFields": owners}
    try:
        cluster.merge(ref, {"metadata": metadata})
    except RefusedError as refused:
        # A request that was sent twice conflicts with itself.
        if not refused.is_conflict or merge_owned(cluster.get(ref) or {}) is not None:
            raise


def merge_owned(live: Mapping[str, Value]) -> list[Value] | None:
    """Return who owns which fields once kubectl's are graphc's; None where none of them are kubectl's."""
    entries = list(objects(live, "metadata", "managedFields"))
    given = [each for each in entries if _is_handed_over(each)]
    if not given:
        return None
    owned: Data = {}
    for each in [*given, *filter(_is_ours, entries)]:
        _merge(owned, fields(each, "fieldsV1"))
    kept: list[Value] = [each for each in entries if each not in given and not _is_ours(each)]
    entry = {key: value for key, value in given[0].items() if key != "fieldsV1"}
    return [*kept, {**entry, "manager": MANAGER, "operation": "Apply", "fieldsV1": owned}]


def _is_handed_over(entry: Data) -> bool:
    """Say whether an entry is that of a whole document: who applies less than that does not apply the labels."""
    who = text(entry, "manager"), text(entry, "operation")
    labels = fields(entry, "fieldsV1", "f:metadata", "f:labels")
    return who in _APPLIERS and not text(entry, "subresource") and f"f:{MANAGED_BY}" in labels


def _is_ours(entry: Data) -> bool:
    return text(entry, "manager") == MANAGER and text(entry, "operation") == "Apply"


def _merge(into: Data, owned: Data) -> None:
    for key, value in owned.items():
        known = into.setdefault(key, {})
        if isinstance(value, dict) and isinstance(known, dict):
            _merge(known, value)
        else:
            into[key] = copy(value)
