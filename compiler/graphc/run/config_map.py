"""What a config map holds, all as bytes."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from graphc.run.problem import Findings
from graphc.seldon.node import ManifestNode

KIND: Final = "ConfigMap"


@dataclass(frozen=True, slots=True)
class ConfigMap:
    """A config map's entries, all as bytes."""

    name: str
    entries: Mapping[str, bytes]


def read_config_map(document: ManifestNode, findings: Findings) -> ConfigMap:
    """Return the entries of a config map; what is not base64 goes to `findings`."""
    name = document.child("metadata").text("name")
    entries = {key: value.encode() for key, value in document.texts("data").items()}
    for key, value in document.texts("binaryData").items():
        try:
            entries[key] = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            findings.refuse(f"`{key}` in the binaryData of config map `{name}` is not base64")
    return ConfigMap(name, entries)
