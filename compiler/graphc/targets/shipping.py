"""How a node's artefacts reach its container: in a config map, by a download, or on a claim."""

import base64
import hashlib
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.artefacts import TOO_LARGE_FOR_CONFIG_MAP, UPLOAD_MERGED
from graphc.graph import CpuModel, ModelWork, Node, PythonWork, Value
from graphc.records import record
from graphc.regular_files import read_regular

# Kubernetes refuses a config map with more bytes of data; it counts them decoded.
CONFIG_MAP_LIMIT: Final = 1_048_576

VARIANTS: Final = "cpu"
"""The folder, beside a model, of what runs in its place where there is no GPU."""

REGION_FILE: Final = "region"
"""The file of a config map that holds a region which is too large for a variable."""
# Characters, before compression: more nodes than 50,000, and seconds to parse whenever a unit starts.
MOST_REGION: Final = 16 * 1024 * 1024

Data = dict[str, Value]


@record
class ConfigMapShipment:
    """Files in a config map whose name holds their hash, so that a change of content is a rollout."""

    node: str
    name: str
    text: tuple[tuple[str, str], ...]
    binary: tuple[tuple[str, str], ...]
    paths: tuple[tuple[str, str], ...]
    """Keys with the paths that they have below the mount."""


@record
class DownloadShipment:
    """A URI that an init container downloads; credentials are a Secret's keys in its environment."""

    node: str
    uri: str
    credentials: str | None
    beside: tuple[str, ...] = ()
    """Further files of the model, relative to it."""
    cpu: "DownloadShipment | None" = None
    """What runs in its place where there is no GPU."""


@record
class ClaimShipment:
    """A path on a persistent volume claim."""

    node: str
    claim: str
    path: str


@record
class LocalShipment:
    """Files on this machine, for a run on it.

    The user's Python finds them where it lies itself, and must not find, or write to, what lies beside them here:
    it gets copies.
    """

    node: str
    files: tuple[tuple[str, Path], ...]
    copied: bool = False


Shipment = ConfigMapShipment | DownloadShipment | ClaimShipment | LocalShipment
Purpose = Literal["cluster", "local"]


def ship_node(graph: str, node: Node, store: str | None, purpose: Purpose, sink: Sink) -> Shipment | None:
    """Return how the artefacts of a node travel; None where it has none, or, reported, where they cannot."""
    match node.work:
        case ModelWork(local=None) as work:
            return _ship_remote(node, work)
        case ModelWork(local=Path() as path) as work:
            files = [*_files_of(path, work.files), *_files_of_variant(work.cpu)]
            is_large = sum(each.stat().st_size for _, each in files) > CONFIG_MAP_LIMIT
            if work.merged and is_large and purpose == "cluster" and store is not None:
                uri = f"{store.rstrip('/')}/{work.location}"
                _ask_for_upload(node, path, uri, bool(work.files), sink)
            elif work.merged:
                # The user's store has the models that were merged, and not what graphc made of them.
                return _ship_files(graph, node, files, purpose, sink)
            if purpose == "cluster" and store is not None:
                uri = f"{store.rstrip('/')}/{work.location}"
                return DownloadShipment(
                    node.origin, uri, work.credentials, work.files, _stored(node, work, store)
                )
            return _ship_files(graph, node, files, purpose, sink)
        case PythonWork(local=Path()) as work:
            return _ship_files(graph, node, list(work.files), purpose, sink)
        case _:
            return None


def _files_of(path: Path, beside: Sequence[str]) -> list[tuple[str, Path]]:
    return [(name, path.parent / name) for name in (path.name, *beside)]


def _files_of_variant(variant: CpuModel | None) -> list[tuple[str, Path]]:
    if variant is None or variant.local is None:
        return []
    return [(f"{VARIANTS}/{name}", path) for name, path in _files_of(variant.local, variant.files)]


def _stored(node: Node, work: ModelWork, store: str) -> DownloadShipment | None:
    if work.cpu is None:
        return None
    uri = f"{store.rstrip('/')}/{work.cpu.location}"
    return DownloadShipment(node.origin, uri, work.credentials, work.cpu.files)


def _ask_for_upload(node: Node, path: Path, uri: str, has_files: bool, sink: Sink) -> None:
    message = (
        f"`{node.origin}` is merged into a model that no config map holds and the store does not have yet"
    )
    if has_files:
        path, uri = path.parent, uri.rpartition("/")[0]
    sink.report(Diagnostic(UPLOAD_MERGED, message, node.at, f"copy `{path}` to `{uri}`"))


def _ship_remote(node: Node, work: ModelWork) -> Shipment:
    parts = urlsplit(work.location)
    if parts.scheme == "pvc":
        return ClaimShipment(node.origin, parts.netloc, parts.path.lstrip("/"))
    variant = work.cpu and DownloadShipment(node.origin, work.cpu.location, work.credentials)
    return DownloadShipment(node.origin, work.location, work.credentials, cpu=variant)


def _ship_files(
    graph: str, node: Node, files: list[tuple[str, Path]], purpose: Purpose, sink: Sink
) -> Shipment | None:
    if purpose == "local":
        return LocalShipment(node.origin, tuple(files), copied=isinstance(node.work, PythonWork))
    size = sum(path.stat().st_size for _, path in files)
    if size > CONFIG_MAP_LIMIT:
        message = f"`{node.origin}`: `{files[0][0]}` has {size:,} bytes, and a config map holds {CONFIG_MAP_LIMIT:,}"
        hint = (
            "put the models into a store, and name it in `artifacts:`, as in `artifacts: s3://bucket/models`"
        )
        sink.report(Diagnostic(TOO_LARGE_FOR_CONFIG_MAP, message, node.at, hint))
        return None
    return _config_map(graph, node.origin, [(name, read_regular(path)) for name, path in files])


def _config_map(graph: str, node: str, files: list[tuple[str, bytes]]) -> ConfigMapShipment:
    digest = hashlib.sha256()
    text: list[tuple[str, str]] = []
    binary: list[tuple[str, str]] = []
    keys = _keys([name for name, _ in files])
    for key, (name, content) in zip(keys, files, strict=True):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
        if name.endswith(".py") and (written := _as_text(content)) is not None:
            text.append((key, written))
        else:
            binary.append((key, base64.b64encode(content).decode("ascii")))
    paths = tuple((key, name) for key, (name, _) in zip(keys, files, strict=True))
    name = f"{graph}-{node}-{digest.hexdigest()[:10]}"
    return ConfigMapShipment(node, name, tuple(text), tuple(binary), paths)


def _keys(names: Sequence[str]) -> list[str]:
    """Return keys for files; Kubernetes takes letters, digits, `-`, `_` and `.` in a config map's key."""
    keys = [re.sub(r"[^-._a-zA-Z0-9]", "_", name) for name in names]
    return keys if len(set(keys)) == len(keys) else [f"{index}-{key}" for index, key in enumerate(keys)]


def _as_text(content: bytes) -> str | None:
    """Return a module's text; None where it declares another encoding than UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def ship_region(graph: str, unit: str, text: str) -> ConfigMapShipment | None:
    """Return the config map of a region's text, compressed; None where that is larger than a unit reads."""
    packed = zlib.compress(text.encode(), 9)
    if len(text) > MOST_REGION or len(packed) > CONFIG_MAP_LIMIT:
        return None
    # The name is of the text: another zlib may compress it to other bytes.
    name = f"{graph}-{unit}-region-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
    binary = ((REGION_FILE, base64.b64encode(packed).decode("ascii")),)
    return ConfigMapShipment(unit, name, (), binary, ((REGION_FILE, REGION_FILE),))
