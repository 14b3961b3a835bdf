"""What graphc remembers: written and read again, bounded, and plain errors for what it did not write."""

import base64
import copy
import json
import zlib
from dataclasses import replace
from typing import Any, Final

import pytest
from graphc.cluster.bundle import Bundle
from graphc.cluster.client import Kind, Ref
from graphc.cluster.problem import ClusterError
from graphc.cluster.records import (
    HELD,
    KEPT,
    LISTED,
    Entry,
    Holder,
    Pending,
    Promotion,
    State,
    add_entry,
    fill,
    read_revision,
    read_state,
    write_revision,
    write_state,
)

Json = dict[str, Any]

REF: Final = Ref(Kind("v1", "ConfigMap"), "models", "g-a-1")
CONTENT: Final[Json] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "g-a-1", "namespace": "models", "labels": {"a": "b"}},
    "immutable": True,
    "binaryData": {"model.onnx": "AAAA"},
}
DEPLOYMENT: Final[Json] = {
    "apiVersion": "machinelearning.seldon.io/v1",
    "kind": "SeldonDeployment",
    "metadata": {"name": "g", "namespace": "models"},
    "spec": {"predictors": [{"name": "main", "traffic": 100}]},
}


def entry(revision: int, *, kept: bool = True) -> Entry:
    return Entry(
        revision,
        "2026-01-01T00:00:00Z",
        "me",
        "apply",
        "serving",
        ("x",),
        {"main": 100},
        (f"g-{revision}",),
        kept,
    )


def state() -> State:
    holder = Holder("me@here", "machine", 7)
    pending = Pending(4, "apply", "waiting", 3, (REF,), "2026-01-01T00:00:00Z", holder, "digest", 5)
    promotion = Promotion(
        {"main": 90, "canary": 10}, {"main": 0, "canary": 100}, ("dark",), "canary", (50, 100), True
    )
    return State(
        "g",
        "models",
        3,
        5,
        pending,
        (entry(1, kept=False), entry(3)),
        (REF,),
        {"x": 2},
        promotion,
        "stamp",
        "9",
    )


def test_a_state_is_read_as_it_was_written() -> None:
    written = write_state(state())
    assert read_state(written) == state()
    empty = State("g", "models")
    again = read_state(write_state(empty))
    assert again == empty
    metadata = write_state(empty)["metadata"]
    assert isinstance(metadata, dict)
    assert "resourceVersion" not in metadata


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"graphc": 2}', "[" * 100_000])
def test_a_state_that_graphc_did_not_write_is_a_plain_error(text: str) -> None:
    written = write_state(state())
    written["data"] = {"state.json": text}
    with pytest.raises(ClusterError, match="does not hold a state"):
        read_state(written)


def test_wrong_types_in_a_state_are_passed_over() -> None:
    written = write_state(state())
    body: Json = {
        "graphc": 1,
        "current": "x",
        "next": [],
        "pending": 3,
        "entries": [1, {"revision": {}}],
        "refs": {"a": 1},
    }
    written["data"] = {"state.json": json.dumps(body)}
    found = read_state(written)
    assert (found.current, found.next, found.pending, found.refs) == (None, 1, None, ())


def test_a_revision_holds_the_documents_and_only_names_contents() -> None:
    bundle = Bundle("g", "models", (CONTENT, DEPLOYMENT))
    written = write_revision(bundle, 3)
    assert written["immutable"] is True
    held, deployment = read_revision(written)
    assert deployment == DEPLOYMENT
    assert "binaryData" not in held
    live: Json = copy.deepcopy(CONTENT) | {"metadata": CONTENT["metadata"] | {"uid": "1"}}
    assert fill(held, live) == CONTENT
    assert fill(deployment, None) == DEPLOYMENT
    with pytest.raises(ClusterError, match="ConfigMap g-a-1, which that revision needs, is gone"):
        fill(held, None)
    live["binaryData"] = {"model.onnx": "BBBB"}
    with pytest.raises(ClusterError, match="holds something else"):
        fill(held, live)
    assert HELD in held


def test_a_revision_that_no_config_map_holds_is_refused() -> None:
    import random

    noise = base64.b64encode(random.Random(1).randbytes(1_100_000)).decode()
    large = copy.deepcopy(DEPLOYMENT)
    large["spec"]["noise"] = noise
    with pytest.raises(ClusterError, match="cannot be remembered"):
        write_revision(Bundle("g", "models", (large,)), 1)


@pytest.mark.parametrize(
    "packed", ["", "!", base64.b64encode(b"no").decode(), base64.b64encode(zlib.compress(b"3")).decode()]
)
def test_a_broken_revision_is_a_plain_error(packed: str) -> None:
    written = write_revision(Bundle("g", "models", (DEPLOYMENT,)), 1)
    written["binaryData"] = {"documents": packed}
    with pytest.raises(ClusterError, match="does not hold a revision"):
        read_revision(written)


def test_a_revision_that_opens_to_gigabytes_is_not_opened() -> None:
    written = write_revision(Bundle("g", "models", (DEPLOYMENT,)), 1)
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(b"[" * 1_000_000) for _ in range(80)) + packer.flush()
    written["binaryData"] = {"documents": base64.b64encode(bomb).decode()}
    with pytest.raises(ClusterError, match="does not hold a revision"):
        read_revision(written)


def test_the_history_is_bounded_and_never_drops_what_serves() -> None:
    found = State("g", "models", current=1)
    for revision in range(1, 100):
        found = add_entry(replace(found, current=revision), entry(revision))
    assert len(found.entries) == LISTED
    assert [each.revision for each in found.entries if each.is_kept] == list(range(100 - KEPT, 100))
    assert found.kept_contents == {f"g-{revision}" for revision in range(100 - KEPT, 100)}
    old = State("g", "models", current=1)
    for revision in range(1, KEPT + 6):
        old = add_entry(old, entry(revision))
    assert 1 in [each.revision for each in old.entries if each.is_kept]
