"""Locks what an image installs: every package with one version, and the hashes of its files.

The runtime's own packages keep the versions that the runtime image has, by which graphc judged the graph. A lock is
kept by what was asked for, so that an image and a run on the same machine have the same.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from graphc.packages.problem import PackageError
from graphc.packages.requirements import Requirements, canonical
from graphc.packages.uv import run_uv
from graphc.packages.wheels import OWN, find_own
from graphc.runtime_image import read_image
from graphc.version import VERSION

EXTRAS: Final = ("onnx", "sklearn", "xgboost", "lightgbm", "images", "fetch")
"""What the runtime image for processors has of the runtime's extras."""

PLATFORMS: Final[Mapping[str, str]] = {
    "linux/amd64": "x86_64-manylinux_2_28",
    "linux/arm64": "aarch64-manylinux_2_28",
}
"""What a lock is for, in Docker's words and in uv's."""

_PINNED: Final = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")


def lock_packages(
    requirements: Requirements,
    platform: str,
    folder: Path | None,
    before: str | None = None,
    *,
    anew: bool = False,
) -> str:
    """Return the lock of an image's packages; `folder` keeps it for later. Raises PackageError, OSError.

    What an earlier lock has stays as it is, as far as it still does: `before`, or the one that was kept.
    """
    asked, pinned = _ask(requirements), _pins()
    key = hashlib.sha256("\n".join([VERSION, platform, *asked, *pinned, *_said(requirements)]).encode())
    kept = folder and folder / "locks" / f"{key.hexdigest()}.lock"
    if kept is not None and not anew:
        with suppress(OSError):
            found = kept.read_text("utf-8")
            if before in {None, found}:
                return found
    lock = _keep_hashes(_resolve(asked, pinned, platform, None if anew else before), requirements)
    if kept is not None:
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = kept.with_name(f".{kept.name}.{os.getpid()}")
        partial.write_text(lock, "utf-8")
        partial.replace(kept)
    return lock


def _said(requirements: Requirements) -> list[str]:
    return [" ".join([each.name, *each.hashes]) for each in requirements.each]


def _ask(requirements: Requirements) -> list[str]:
    """Return what the runtime needs, and what the graph does."""
    own = {name for name, _ in OWN}
    needed = [need for name in sorted(own) for need in find_own(name).requires or ()]
    lines: list[str] = []
    for need in needed:
        bare, _, marker = need.partition(";")
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        name = re.match(r"[A-Za-z0-9._-]+", bare)
        if (extra is None or extra[1] in EXTRAS) and name and canonical(name[0]) not in own:
            lines.append(bare.strip())
    return [*sorted(set(lines)), *(each.line for each in requirements.each)]


def _pins() -> list[str]:
    return [f"{name}=={version}" for name, version in sorted(read_image().packages.items())]


def _resolve(asked: list[str], pinned: list[str], platform: str, before: str | None) -> str:
    with tempfile.TemporaryDirectory(prefix="graphc-lock-") as place:
        folder = Path(place)
        (folder / "requirements.in").write_text("\n".join(asked) + "\n", "utf-8")
        (folder / "image.txt").write_text("\n".join(pinned) + "\n", "utf-8")
        options = ["--generate-hashes", "--no-header", "--no-annotate", "--quiet", "--no-config"]
        target = ["--python-version", read_image().python, "--python-platform", PLATFORMS[platform]]
        command = ["pip", "compile", "requirements.in", "--constraints", "image.txt", *options, *target]
        made = folder / "made.lock"
        if before is not None:
            made.write_text(before, "utf-8")
        try:
            run_uv([*command, "--output-file", made.name], folder)
            return made.read_text("utf-8")
        except PackageError as error:
            raise PackageError(
                f"what is required cannot be had beside the runtime image's packages: {error}"
            ) from None


def _keep_hashes(lock: str, requirements: Requirements) -> str:
    """Return the lock with the hashes that a file of the user's has, where it has some; raises PackageError."""
    wanted = {each.name: each.hashes for each in requirements.each if each.hashes}
    entries = [entry for entry in re.split(r"(?m)^(?=[A-Za-z0-9])", lock) if entry.strip()]
    return "".join(_keep(entry, wanted) for entry in entries)


def _keep(entry: str, wanted: Mapping[str, tuple[str, ...]]) -> str:
    found = _PINNED.match(entry)
    hashes = wanted.get(canonical(found["name"])) if found else None
    if not hashes:
        return entry
    known = set(re.findall(r"sha256:[0-9a-f]{64}", entry))
    if not known & set(hashes):
        raise PackageError(f"the index has no file of `{entry.split()[0]}` with a hash that the file pins")
    return " \\\n".join([entry.split(" \\")[0].rstrip(), *(f"    --hash={each}" for each in hashes)]) + "\n"
