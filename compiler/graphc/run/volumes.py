"""Put a pod's volumes under a folder, and lay a container's mounts over them as links."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from graphc.run.config_map import ConfigMap
from graphc.run.problem import Findings, say_reason
from graphc.seldon.deployment import Pod
from graphc.seldon.node import ManifestNode

_KEY: Final = re.compile(r"(?!\.\.)[-._a-zA-Z0-9]{1,253}\Z")
LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
"""The names of predictors, units and volumes: labels of the DNS."""


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """Files of this machine, by name, that stand for a container's folder; `copied` ones are read-only copies."""

    files: Mapping[str, Path]
    copied: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """Where volumes come from: `overrides` are what container folders hold that no volume brings."""

    config_maps: Mapping[str, ConfigMap]
    claims: Mapping[str, Path]
    overrides: Mapping[str, LocalFiles]
    folders: Sequence[Path] | None = None
    """The folders that a manifest may name files of, beside those of claims; None where it may name any."""

    def may_read(self, path: Path) -> bool:
        """Say whether a file that a manifest names may be taken, wherever links lead."""
        if self.folders is None:
            return True
        real = path.resolve()
        return any(real.is_relative_to(each.resolve()) for each in (*self.folders, *self.claims.values()))


def say_claim_missing(claim: str, findings: Findings) -> None:
    """Report that no option says where a volume claim's folder is."""
    findings.refuse(f"the volume claim `{claim}` is not here", f"give it with `--mount {claim}=DIR`")


@dataclass(slots=True)
class PodVolumes:
    """The volumes of one pod; each is made when a container first mounts it."""

    pod: Pod
    folder: Path
    sources: Sources
    findings: Findings
    _made: dict[str, Path | None] = field(default_factory=dict[str, Path | None])

    def find(self, name: str, container: str) -> Path | None:
        """Return the folder of a volume, or None where it cannot be had."""
        if name not in self._made:
            self._made[name] = self._make(name, container)
        return self._made[name]

    def _make(self, name: str, container: str) -> Path | None:
        volume = self.pod.volumes.get(name)
        if volume is None or not LABEL.match(name):
            self.findings.refuse(f"container `{container}` mounts `{name}`, which is not a volume of its pod")
            return None
        target = self.folder / name
        if source := volume.find("configMap"):
            return self._make_config_map(name, source, target)
        if claim := volume.find("persistentVolumeClaim"):
            return self._find_claim(claim.text("claimName"))
        keys = [key for key, _ in volume.keys()]  # noqa: SIM118 - not a dict
        kinds = [key for key in keys if key != "name" and volume.has(key)]
        # The API server drops a `null`, and makes an empty folder of a volume without a source.
        if kinds and "emptyDir" not in kinds:
            self.findings.refuse(f"volume `{name}` is a `{kinds[0]}`, which a local run cannot provide")
            return None
        target.mkdir(parents=True, exist_ok=True)
        return target

    def _find_claim(self, claim: str) -> Path | None:
        folder = self.sources.claims.get(claim)
        if folder is None:
            say_claim_missing(claim, self.findings)
        return folder

    def _make_config_map(self, name: str, source: ManifestNode, target: Path) -> Path | None:
        config_map = self.sources.config_maps.get(source.text("name"))
        target.mkdir(parents=True, exist_ok=True)
        if config_map is None:
            if not source.flag("optional"):
                self.findings.refuse(
                    f"volume `{name}` needs config map `{source.text('name')}`, "
                    "which is not among the documents"
                )
            return target
        files = {key: key for key in config_map.entries}
        if source.has("items"):
            files = {each.text("path"): each.text("key") for each in source.items("items")}
        for path, key in files.items():
            self._write_entry(target, path, config_map, key, optional=source.flag("optional"))
        return target

    def _write_entry(
        self, target: Path, path: str, config_map: ConfigMap, key: str, *, optional: bool
    ) -> None:
        parts = PurePosixPath(path).parts
        if not parts or not all(_KEY.match(part) for part in parts):
            self.findings.refuse(f"`{path}` in config map `{config_map.name}` is not a usable file name")
        elif key in config_map.entries:
            file = target.joinpath(*parts)
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(config_map.entries[key])
            except OSError as failure:
                self.findings.refuse(
                    f"`{path}` in config map `{config_map.name}` cannot be written: {say_reason(failure)}"
                )
        elif not optional:
            self.findings.refuse(f"config map `{config_map.name}` has no `{key}`")
