"""Writes what the documents of all targets share: their metadata, config maps and the hash of all of them."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from graphc.ir.graph import Value
from graphc.targets.interface import Data, Settings
from graphc.targets.shipping import ConfigMapShipment
from graphc.version import VERSION


def write_metadata(settings: Settings, name: str, added: Mapping[str, str] | None = None) -> Data:
    """Metadata with graphc's labels; the user's own win over none of them."""
    labels = dict(settings.labels) | {
        "app.kubernetes.io/managed-by": "graphc",
        "app.kubernetes.io/part-of": settings.name,
    }
    annotations = dict(settings.annotations) | dict(added or {}) | {"graphc.dev/version": VERSION}
    metadata: Data = {"name": name}
    if settings.namespace is not None:
        metadata["namespace"] = settings.namespace
    metadata["labels"] = dict[str, Value](sorted(labels.items()))
    metadata["annotations"] = dict[str, Value](sorted(annotations.items()))
    return metadata


def write_config_map(settings: Settings, shipment: ConfigMapShipment) -> Data:
    """Return a config map, which never changes: its name tells what it holds."""
    document: Data = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": write_metadata(settings, shipment.name),
    }
    document["immutable"] = True
    if shipment.text:
        document["data"] = dict[str, Value](shipment.text)
    if shipment.binary:
        document["binaryData"] = dict[str, Value](shipment.binary)
    return document


def sign(documents: Sequence[Data]) -> None:
    """Write into every document a hash of all of them."""
    digest = hashlib.sha256(json.dumps(documents, separators=(",", ":")).encode()).hexdigest()
    for document in documents:
        metadata = document["metadata"]
        assert isinstance(metadata, dict)
        annotations = metadata.setdefault("annotations", {})
        assert isinstance(annotations, dict)
        annotations["graphc.dev/content-hash"] = f"sha256:{digest}"
        metadata["annotations"] = dict(sorted(annotations.items()))
