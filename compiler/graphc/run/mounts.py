"""Lay a container's mounts out below a folder, as links to its volumes."""

import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from graphc.diagnostics.printable import quoted
from graphc.run.problem import Findings, say_reason
from graphc.run.volumes import LocalFiles, PodVolumes
from graphc.seldon.deployment import Container
from graphc.seldon.node import ManifestNode

LARGEST_COPY: Final = 256 << 20
"""Bytes; the folder for temporary files may be in memory."""

_LONGEST_NAME: Final = 255
"""Bytes of one file's name."""


def path_fault(path: str) -> str | None:
    """Say why a path cannot be taken below a folder, if it cannot: it may lead out of it, or name no file."""
    parts = path.split("/")
    if "\0" in path:
        return "has a NUL character"
    if ".." in parts:
        return "has `..`"
    if any(len(part.encode("utf-8", "surrogatepass")) > _LONGEST_NAME for part in parts):
        return f"has a name of more than {_LONGEST_NAME} bytes"
    return None


def below(folder: Path, path: str) -> Path:
    """Return a path below a folder; raises ValueError where it may lead out of it, or names no file."""
    if fault := path_fault(path):
        raise ValueError(f"the path {quoted(path)} {fault}")
    return folder.joinpath(*path.strip("/").split("/"))


@dataclass(frozen=True, slots=True)
class Mounts:
    """A container's view of the file system: what lies below a mount is below `root` here."""

    root: Path
    paths: tuple[str, ...]
    own: Path
    """The run's folder: nothing is written outside it."""

    def place(self, path: str) -> Path:
        """Return where an absolute path of the container is on this machine; raises ValueError for others."""
        if not path.startswith("/"):
            raise ValueError(f"the path {quoted(path)} is not absolute")
        return below(self.root, path)

    def translate(self, value: str) -> str:
        """Return the value, moved below `root` if it is a path below a mount."""
        for path in self.paths:
            if value == path or value.startswith(path.rstrip("/") + "/"):
                return str(self.place(value))
        return value

    def link(self, path: str, source: Path, findings: Findings) -> None:
        """Make a file or folder appear at a path of the container."""
        place = self._own_place(path)
        if not source.exists():
            findings.refuse(f"`{source}` does not exist")
            return
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.is_dir() and not place.is_symlink():
                place.rmdir()
            place.symlink_to(source.resolve(), target_is_directory=source.is_dir())
        except OSError as failure:
            findings.refuse(f"`{source}` cannot be mounted: {say_reason(failure)}")

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
        """Make a copy of a file that is only read; a file too large for that is linked."""
        try:
            if source.stat().st_size > LARGEST_COPY:
                self.link(path, source, findings)
                return
            place = self._own_place(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)
            place.chmod(0o444)
        except OSError as failure:
            findings.refuse(f"`{source}` cannot be copied: {say_reason(failure)}")

    def _own_place(self, path: str) -> Path:
        """Return a place to write to; raises ValueError where a mount leads to a folder of the user's."""
        place = self.place(path)
        if not place.parent.resolve().is_relative_to(self.own.resolve()):
            raise ValueError(f"the path {quoted(path)} lies below a folder of yours")
        return place


def lay_mounts(container: Container, root: Path, volumes: PodVolumes) -> Mounts:
    """Link a container's mounts to their volumes; a deeper mount is laid over a shallower one."""
    own = volumes.folder.parent.parent
    mounts = Mounts(root, (), own)
    for mount in sorted(container.mounts, key=lambda each: each.text("mountPath").count("/")):
        path = mount.text("mountPath")
        if _is_usable(path, mount.text("subPath")):
            path = str(PurePosixPath(path))
            _lay_mount(mounts, path, mount, container.name, volumes)
            mounts = Mounts(root, (*mounts.paths, path), own)
        else:
            volumes.findings.refuse(f"container `{container.name}` has a mount without a usable path")
    return mounts


def _lay_mount(mounts: Mounts, path: str, mount: ManifestNode, container: str, volumes: PodVolumes) -> None:
    above = [mounts.place(each) for each in mounts.paths if path.startswith(f"{each}/")]
    # Below another mount the link is left inside that volume: fine in a copy, not in the user's folder.
    if any(_leads_away(place, volumes) for place in above):
        volumes.findings.refuse(f"container `{container}` mounts `{path}` below a folder of yours")
        return
    if override := volumes.sources.overrides.get(path):
        mounts.put_files(path, override, volumes.findings)
    elif source := volumes.find(mount.text("name"), container):
        source = below(source, mount.text("subPath"))
        if not source.exists() and source.is_relative_to(volumes.folder):
            source.mkdir(parents=True)
        mounts.link(path, source, volumes.findings)


def _leads_away(place: Path, volumes: PodVolumes) -> bool:
    return not place.resolve().is_relative_to(volumes.folder.resolve())


def _is_usable(path: str, sub_path: str) -> bool:
    plain = path_fault(path) is None and path_fault(sub_path) is None
    return plain and path.startswith("/") and path.strip("/") != "" and not sub_path.startswith("/")
