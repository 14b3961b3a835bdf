"""Lay a container's mounts out below a folder, as links to its volumes."""

import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from graphc.run.problem import Findings
from graphc.run.volumes import LocalFiles, PodVolumes
from graphc.seldon.deployment import Container
from graphc.seldon.node import Node

LARGEST_COPY: Final = 256 << 20
"""Bytes; the folder for temporary files may be in memory."""


@dataclass(frozen=True, slots=True)
class Mounts:
    """A container's view of the file system: what lies below a mount is below `root` here."""

    root: Path
    paths: tuple[str, ...]

    def place(self, path: str) -> Path:
        """Return where an absolute path of the container is on this machine."""
        return self.root / path.lstrip("/")

    def translate(self, value: str) -> str:
        """Return the value, moved below `root` if it is a path below a mount."""
        for path in self.paths:
            if value == path or value.startswith(path.rstrip("/") + "/"):
                return str(self.place(value))
        return value

    def link(self, path: str, source: Path, findings: Findings) -> None:
        """Make a file or folder appear at a path of the container."""
        place = self.place(path)
        if not source.exists():
            findings.refuse(f"`{source}` does not exist")
            return
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.is_dir() and not place.is_symlink():
                place.rmdir()
            place.symlink_to(source.resolve(), target_is_directory=source.is_dir())
        except OSError as failure:
            findings.refuse(f"`{source}` cannot be mounted: {failure.strerror}")

    def put(self, path: str, source: Path, findings: Findings) -> None:
        """Make an artefact appear at a folder of the container: a folder as it is, a file inside."""
        self.link(path if source.is_dir() else f"{path}/{source.name}", source, findings)

    def put_files(self, path: str, local: LocalFiles, findings: Findings) -> None:
        """Make files appear in a folder of the container, each under its name."""
        for name, source in local.files.items():
            if local.copied:
                self.copy(f"{path}/{name}", source, findings)
            else:
                self.link(f"{path}/{name}", source, findings)

    def copy(self, path: str, source: Path, findings: Findings) -> None:
        """Make a copy of a file that nobody writes to; one too large for that is linked."""
        try:
            if source.stat().st_size > LARGEST_COPY:
                self.link(path, source, findings)
                return
            place = self.place(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)
            place.chmod(0o444)
        except OSError as failure:
            findings.refuse(f"`{source}` cannot be copied: {(failure.strerror or str(failure)).lower()}")


def lay_mounts(container: Container, root: Path, volumes: PodVolumes) -> Mounts:
    """Link a container's mounts to their volumes; a deeper mount is laid over a shallower one."""
    mounts = Mounts(root, ())
    for mount in sorted(container.mounts, key=lambda each: each.text("mountPath").count("/")):
        path = mount.text("mountPath")
        if _is_usable(path, mount.text("subPath")):
            path = str(PurePosixPath(path))
            _lay_mount(mounts, path, mount, container.name, volumes)
            mounts = Mounts(root, (*mounts.paths, path))
        else:
            volumes.findings.refuse(f"container `{container.name}` has a mount without a usable path")
    return mounts


def _lay_mount(mounts: Mounts, path: str, mount: Node, container: str, volumes: PodVolumes) -> None:
    above = [mounts.place(each) for each in mounts.paths if path.startswith(f"{each}/")]
    # Below another mount the link is left inside that volume: fine in a copy, not in the user's folder.
    if any(_leads_away(place, volumes) for place in above):
        volumes.findings.refuse(f"container `{container}` mounts `{path}` below a folder of yours")
        return
    if override := volumes.sources.overrides.get(path):
        mounts.put_files(path, override, volumes.findings)
    elif source := volumes.find(mount.text("name"), container):
        source = source / mount.text("subPath")
        if not source.exists() and source.is_relative_to(volumes.folder):
            source.mkdir(parents=True)
        mounts.link(path, source, volumes.findings)


def _leads_away(place: Path, volumes: PodVolumes) -> bool:
    return not place.resolve().is_relative_to(volumes.folder.resolve())


def _is_usable(path: str, below: str) -> bool:
    plain = all("\0" not in each and ".." not in PurePosixPath(each).parts for each in (path, below))
    return plain and path.startswith("/") and path.strip("/") != "" and not below.startswith("/")
