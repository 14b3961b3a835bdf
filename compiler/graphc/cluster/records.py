"""What graphc remembers of a graph in the cluster: its revisions, the current one, and a change under way.

A config map holds the state, as readable JSON; one more for each revision holds its documents, compressed. Config
maps of content are named by their hash and never change, so a revision only says which ones it needs.
"""

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from graphc.cluster.bundle import Bundle, is_content, name_of
from graphc.cluster.client import Kind, Ref, ref_of
from graphc.cluster.problem import ClusterError
from graphc.ir.graph import Value
from graphc.unchecked import Data, fields, items, number, objects, parse, text, texts

FORMAT: Final = 1
KEPT: Final = 10
"""How many revisions can be gone back to."""
LISTED: Final = 30
"""How many the history lists, those that failed included."""
MOST_PACKED: Final = 1_000_000
"""Bytes of a revision's compressed documents: a config map holds 1 MiB."""
MOST_OPENED: Final = 64 * 1024 * 1024

GRAPH_LABEL: Final = "graphc.dev/graph"
RECORD_LABEL: Final = "graphc.dev/record"
HELD: Final = "graphc.dev/held"
"""The field that stands for a content's data in a revision: their digest."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who makes a change, and the process that does; one on this machine can be looked for."""

    who: str
    machine: str
    process: int


@dataclass(frozen=True, slots=True)
class Pending:
    """A change under way, or left unfinished."""

    revision: int
    what: str
    step: str
    base: int | None
    """The revision that served before, to which a failure goes back."""
    made: tuple[Ref, ...]
    """What was not there before the change."""
    started: str
    holder: Holder
    digest: str
    beat: int = 0
    """Grows while the holder lives."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the history."""

    revision: int
    at: str
    who: str
    what: str
    outcome: str
    """`serving`, `replaced`, `failed: ...` or `found`."""
    changes: tuple[str, ...]
    traffic: Mapping[str, int]
    contents: tuple[str, ...]
    """The config maps of content that its documents need."""
    is_kept: bool
    """Whether its documents are kept, so that it can be gone back to."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """Traffic that was moved since the file was applied: what the file said, and what is so now."""

    filed: Mapping[str, int]
    moved: Mapping[str, int]
    shadows: tuple[str, ...]
    """Predictors that the file calls shadows, and that answer clients now."""
    target: str
    steps: tuple[int, ...]
    is_done: bool


@dataclass(frozen=True, slots=True)
class State:
    """All that is known of a graph."""

    graph: str
    namespace: str
    current: int | None = None
    next: int = 1
    pending: Pending | None = None
    entries: tuple[Entry, ...] = ()
    refs: tuple[Ref, ...] = ()
    """Every object that graphc made and has not seen gone."""
    generations: Mapping[str, int] = field(default_factory=dict[str, int])
    """The objects' generations after the last change: another number says that somebody else wrote."""
    promotion: Promotion | None = None
    stamp: str = ""
    """Tells one write from another's."""
    version: str = ""
    """The config map's resourceVersion; empty where there is none yet."""

    def entry(self, revision: int | None) -> Entry | None:
        """Return a revision's line."""
        return next((each for each in self.entries if each.revision == revision), None)

    @property
    def kept_contents(self) -> set[str]:
        """The config maps that some revision needs which can be gone back to."""
        return {name for entry in self.entries if entry.is_kept for name in entry.contents}


def state_ref(namespace: str, graph: str) -> Ref:
    """Return which config map holds a graph's state."""
    return Ref(Kind("v1", "ConfigMap"), namespace, f"{graph}.graphc")


def revision_ref(namespace: str, graph: str, revision: int) -> Ref:
    """Return which config map holds a revision's documents."""
    return Ref(Kind("v1", "ConfigMap"), namespace, f"{graph}.graphc.{revision}")


def _record(ref: Ref, graph: str, record: str) -> Data:
    labels: Data = {"app.kubernetes.io/managed-by": "graphc", GRAPH_LABEL: graph, RECORD_LABEL: record}
    metadata: Data = {"name": ref.name, "namespace": ref.namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def write_state(state: State) -> Data:
    """Return the config map of a state."""
    document = _record(state_ref(state.namespace, state.graph), state.graph, "state")
    if state.version:
        fields(document, "metadata")["resourceVersion"] = state.version
    body: Data = {
        "graphc": FORMAT,
        "current": state.current,
        "next": state.next,
        "pending": _write_pending(state.pending),
        "entries": [_write_entry(each) for each in state.entries],
        "refs": [_write_ref(each) for each in state.refs],
        "generations": dict[str, Value](state.generations),
        "promotion": _write_promotion(state.promotion),
        "stamp": state.stamp,
    }
    document["data"] = {"state.json": json.dumps(body, indent=1, ensure_ascii=False)}
    return document


def _write_ref(ref: Ref) -> Data:
    return {"apiVersion": ref.kind.api_version, "kind": ref.kind.kind, "name": ref.name}


def _write_pending(pending: Pending | None) -> Value:
    if pending is None:
        return None
    holder = pending.holder
    return {
        "revision": pending.revision,
        "what": pending.what,
        "step": pending.step,
        "base": pending.base,
        "made": [_write_ref(each) for each in pending.made],
        "started": pending.started,
        "holder": {"who": holder.who, "machine": holder.machine, "process": holder.process},
        "digest": pending.digest,
        "beat": pending.beat,
    }


def _write_entry(entry: Entry) -> Data:
    return {
        "revision": entry.revision,
        "at": entry.at,
        "who": entry.who,
        "what": entry.what,
        "outcome": entry.outcome,
        "changes": list[Value](entry.changes),
        "traffic": dict[str, Value](entry.traffic),
        "contents": list[Value](entry.contents),
        "kept": entry.is_kept,
    }


def _write_promotion(promotion: Promotion | None) -> Value:
    if promotion is None:
        return None
    return {
        "filed": dict[str, Value](promotion.filed),
        "moved": dict[str, Value](promotion.moved),
        "shadows": list[Value](promotion.shadows),
        "target": promotion.target,
        "steps": list[Value](promotion.steps),
        "done": promotion.is_done,
    }


def read_state(document: Mapping[str, Value]) -> State:
    """Return the state that a config map holds; raises where graphc cannot have written it."""
    namespace = text(document, "metadata", "namespace")
    graph = text(document, "metadata", "labels", GRAPH_LABEL)
    body = _parse(text(document, "data", "state.json"))
    if body is None or body.get("graphc") != FORMAT or not graph:
        name = text(document, "metadata", "name")
        raise ClusterError(
            f"ConfigMap {name} does not hold a state that this graphc can read; another version may have written it"
        )
    return State(
        graph=graph,
        namespace=namespace,
        current=number(body, "current"),
        next=number(body, "next") or 1,
        pending=_read_pending(body.get("pending"), namespace),
        entries=tuple(_read_entry(each) for each in objects(body, "entries")),
        refs=tuple(_read_ref(each, namespace) for each in objects(body, "refs")),
        generations=_numbers(body, "generations"),
        promotion=_read_promotion(body.get("promotion")),
        stamp=text(body, "stamp"),
        version=text(document, "metadata", "resourceVersion"),
    )


def _numbers(value: object, *path: str) -> dict[str, int]:
    return {name: each for name in fields(value, *path) if (each := number(value, *path, name)) is not None}


def _strings(value: object, *path: str) -> tuple[str, ...]:
    return tuple(each for each in items(value, *path) if isinstance(each, str))


def _read_ref(value: Data, namespace: str) -> Ref:
    return Ref(Kind(text(value, "apiVersion"), text(value, "kind")), namespace, text(value, "name"))


def _read_pending(value: Value, namespace: str) -> Pending | None:
    if not isinstance(value, dict):
        return None
    holder = Holder(
        text(value, "holder", "who"),
        text(value, "holder", "machine"),
        number(value, "holder", "process") or 0,
    )
    return Pending(
        revision=number(value, "revision") or 0,
        what=text(value, "what"),
        step=text(value, "step"),
        base=number(value, "base"),
        made=tuple(_read_ref(each, namespace) for each in objects(value, "made")),
        started=text(value, "started"),
        holder=holder,
        digest=text(value, "digest"),
        beat=number(value, "beat") or 0,
    )


def _read_entry(value: Data) -> Entry:
    return Entry(
        revision=number(value, "revision") or 0,
        at=text(value, "at"),
        who=text(value, "who"),
        what=text(value, "what"),
        outcome=text(value, "outcome"),
        changes=_strings(value, "changes"),
        traffic=_numbers(value, "traffic"),
        contents=_strings(value, "contents"),
        is_kept=value.get("kept") is True,
    )


def _read_promotion(value: Value) -> Promotion | None:
    if not isinstance(value, dict):
        return None
    steps = tuple(each for each in items(value, "steps") if isinstance(each, int))
    return Promotion(
        filed=_numbers(value, "filed"),
        moved=_numbers(value, "moved"),
        shadows=_strings(value, "shadows"),
        target=text(value, "target"),
        steps=steps,
        is_done=value.get("done") is True,
    )


def _parse(written: str) -> Data | None:
    try:
        found = parse(written)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None  # pyright: ignore[reportUnknownVariableType]


def contents_of(documents: Sequence[Mapping[str, Value]]) -> tuple[str, ...]:
    """Return the names of the config maps of content among the documents."""
    return tuple(ref_of(each).name for each in documents if is_content(each))


def write_revision(bundle: Bundle, revision: int) -> Data:
    """Return the config map of a revision; raises where it is too large for one."""
    document = _record(revision_ref(bundle.namespace, bundle.name, revision), bundle.name, "revision")
    held: list[Value] = [_hold(each) for each in bundle.documents]
    packed = zlib.compress(json.dumps(held, separators=(",", ":")).encode(), 9)
    if len(packed) > MOST_PACKED:
        raise ClusterError(
            f"`{bundle.name}` cannot be remembered: compressed it has {len(packed):,} bytes, "
            f"and a revision holds {MOST_PACKED:,}"
        )
    document["immutable"] = True
    document["binaryData"] = {"documents": base64.b64encode(packed).decode("ascii")}
    return document


def _hold(document: Data) -> Data:
    if not is_content(document):
        return document
    rest = {name: value for name, value in document.items() if name not in {"data", "binaryData"}}
    return rest | {HELD: digest_of(document)}


def digest_of(content: Mapping[str, Value]) -> str:
    """Return what tells a config map's data from any others."""
    data = [texts(content, "data"), texts(content, "binaryData")]
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def read_revision(document: Mapping[str, Value]) -> list[Data]:
    """Return the documents of a revision, in which contents are only named."""
    name = text(document, "metadata", "name")
    try:
        opened = zlib.decompressobj()
        packed = base64.b64decode(text(document, "binaryData", "documents"), validate=True)
        found: object = json.loads(opened.decompress(packed, MOST_OPENED))
    except (ValueError, RecursionError, zlib.error, binascii.Error) as error:
        raise ClusterError(f"ConfigMap {name} does not hold a revision that can be read") from error
    documents = list(objects({"documents": found}, "documents"))
    if not documents:
        raise ClusterError(f"ConfigMap {name} does not hold a revision that can be read")
    return documents


def fill(document: Data, live: Data | None) -> Data:
    """Give a content of a revision its data back, which the cluster still holds; raises where it does not."""
    if HELD not in document:
        return document
    if live is None or digest_of(live) != document[HELD]:
        state = "is gone" if live is None else "holds something else"
        raise ClusterError(f"{name_of(document)}, which that revision needs, {state}")
    filled = {name: value for name, value in document.items() if name != HELD}
    return filled | {name: live[name] for name in ("data", "binaryData") if name in live}


def add_entry(state: State, entry: Entry) -> State:
    """Add a line to the history; what is too old is no longer kept, or no longer listed."""
    others = [each for each in state.entries if each.revision != entry.revision]
    entries = sorted([*others, entry], key=lambda each: each.revision)[-LISTED:]
    kept = [each.revision for each in entries if each.is_kept][-KEPT:]
    thinned = [
        each if each.revision in kept or each.revision == state.current else replace(each, is_kept=False)
        for each in entries
    ]
    return replace(state, entries=tuple(thinned))
