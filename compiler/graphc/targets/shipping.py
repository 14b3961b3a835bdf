"""How a node's artefacts reach its container: in a config map, by a download, or on a claim."""

import base64
import hashlib
import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from graphc.diagnostics import Span
from graphc.ir.graph import CpuModel, Host, ModelWork, Node, PythonWork, Value
from graphc.records import record
from graphc.regular_files import read_regular
from graphc.server_start import server_container
from graphc.targets.storing import Files, Upload, store_archive, store_files

# Kubernetes refuses a config map with more bytes of data; it counts them decoded.
CONFIG_MAP_LIMIT: Final = 1_048_576

VARIANTS: Final = "cpu"
"""The folder, beside a model, of what runs in its place where there is no GPU."""

_SERVED: Final = "models"
"""The folder, in a volume, of what a server serves."""

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
    folder: str = ""
    """The folder of the volume that is mounted: the volume itself has links of the cluster's own beside it."""


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
    digests: tuple[str, ...] = ()
    """The SHA-256 that the file and those beside it have to have; none of what graphc never saw."""
    packed: bool = False
    """Whether it is an archive, of which the files are what is wanted."""
    uploads: tuple[Upload, ...] = ()


@record
class ClaimShipment:
    """A folder of a persistent volume claim; the empty one is the claim itself."""

    node: str
    claim: str
    folder: str
    uploads: tuple[Upload, ...] = ()


@record
class LocalShipment:
    """Files on this machine, for a run on it.

    The user's Python finds them where it lies itself, and must not find, or write to, what lies beside them here:
    it gets copies.
    """

    node: str
    files: tuple[tuple[str, Path], ...]
    copied: bool = False


@record
class TooLarge:
    """Files that no config map holds, where no store is named for such."""

    node: str
    files: tuple[str, ...]
    size: int
    at: Span


Shipment = ConfigMapShipment | DownloadShipment | ClaimShipment | LocalShipment
Purpose = Literal["cluster", "local"]


@record
class Store:
    """Where units get what no config map holds: a URI, and the Secret with the credentials for it."""

    uri: str
    credentials: str | None = None


def ship_node(graph: str, node: Node, store: Store | None, purpose: Purpose) -> Shipment | TooLarge | None:
    """Return how the artefacts of a node travel; None where it has none."""
    if purpose == "local":
        store = None
    match node.work:
        case ModelWork(local=None) as work:
            return _ship_remote(node, work)
        case ModelWork(local=Path() as path) as work:
            files = [*_files_of(path, work.files), *_files_of_variant(work.cpu)]
            # What graphc made of several models comes with them only where no config map holds it.
            if store is not None and (not work.merged or _is_large(files)):
                return _store_model(node.origin, files, work, store)
            return _ship_files(graph, node, files, purpose)
        case PythonWork(local=Path()) as work:
            if store is not None and _is_large(work.files):
                return _store_files(node.origin, work.files, store)
            return _ship_files(graph, node, list(work.files), purpose)
        case _:
            return None


def ship_host(graph: str, host: Host, store: Store | None, purpose: Purpose) -> Shipment | TooLarge | None:
    """Return how what a server serves travels to its container; None where its image has it."""
    name = server_container(host.name)
    if host.models is not None and host.models.startswith("pvc://"):
        parts = urlsplit(host.models)
        return ClaimShipment(name, parts.netloc, parts.path.strip("/"))
    if not host.files:
        return None
    if purpose == "local":
        return LocalShipment(name, host.files, copied=True)
    if not _is_large(host.files):
        found = _config_map(graph, name, [(file, read_regular(path)) for file, path in host.files])
        # Triton takes every folder for a model, the cluster's own `..data` included, and does not start.
        paths = tuple((key, f"{_SERVED}/{path}") for key, path in found.paths)
        return replace(found, paths=paths, folder=_SERVED)
    if store is None:
        size = sum(path.stat().st_size for _, path in host.files)
        return TooLarge(name, tuple(file for file, _ in host.files), size, host.at)
    return _store_files(name, host.files, store)


def _files_of(path: Path, beside: Sequence[str]) -> list[tuple[str, Path]]:
    return [(name, path.parent / name) for name in (path.name, *beside)]


def _files_of_variant(variant: CpuModel | None) -> list[tuple[str, Path]]:
    if variant is None or variant.local is None:
        return []
    return [(f"{VARIANTS}/{name}", path) for name, path in _files_of(variant.local, variant.files)]


def _is_large(files: Files) -> bool:
    return sum(path.stat().st_size for _, path in files) > CONFIG_MAP_LIMIT


def _store_model(node: str, files: Files, work: ModelWork, store: Store) -> Shipment:
    uploads = store_files(node, store.uri, files)
    if (claim := _claim_of(store)) is not None:
        return ClaimShipment(node, *_folder_of(claim, uploads[0]), uploads)
    credentials = work.credentials or store.credentials
    own, others = uploads[: 1 + len(work.files)], uploads[1 + len(work.files) :]
    variant = work.cpu and DownloadShipment(
        node, others[0].uri, credentials, work.cpu.files, digests=tuple(each.sha256 for each in others)
    )
    digests = tuple(each.sha256 for each in own)
    return DownloadShipment(node, own[0].uri, credentials, work.files, variant, digests, uploads=uploads)


def _store_files(node: str, files: Files, store: Store) -> Shipment:
    if (claim := _claim_of(store)) is not None:
        # A claim holds them as they are: there is nobody to unpack an archive.
        uploads = store_files(node, store.uri, files)
        return ClaimShipment(node, *_folder_of(claim, uploads[0]), uploads)
    upload = store_archive(node, store.uri, files)
    return DownloadShipment(
        node, upload.uri, store.credentials, digests=(upload.sha256,), packed=True, uploads=(upload,)
    )


def _claim_of(store: Store) -> str | None:
    parts = urlsplit(store.uri)
    return parts.netloc if parts.scheme == "pvc" else None


def _folder_of(claim: str, upload: Upload) -> tuple[str, str]:
    """Return the claim and the folder of it that all files of a node lie in."""
    path = urlsplit(upload.uri).path.lstrip("/")
    return claim, path.removesuffix(f"/{upload.files[0][0]}")


def _ship_remote(node: Node, work: ModelWork) -> Shipment:
    parts = urlsplit(work.location)
    if parts.scheme == "pvc":
        return ClaimShipment(node.origin, parts.netloc, parts.path.lstrip("/").rpartition("/")[0])
    variant = work.cpu and DownloadShipment(node.origin, work.cpu.location, work.credentials)
    return DownloadShipment(node.origin, work.location, work.credentials, cpu=variant)


def _ship_files(
    graph: str, node: Node, files: list[tuple[str, Path]], purpose: Purpose
) -> Shipment | TooLarge:
    if purpose == "local":
        return LocalShipment(node.origin, tuple(files), copied=isinstance(node.work, PythonWork))
    if _is_large(files):
        size = sum(path.stat().st_size for _, path in files)
        return TooLarge(node.origin, tuple(name for name, _ in files), size, node.at)
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
