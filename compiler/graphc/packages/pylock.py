"""Reads `pylock.toml`, the lock file of PEP 751, and knows the lock files that have to be exported first."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Final, cast

PYLOCK: Final = re.compile(r"pylock(\.[^.]+)?\.toml")
"""The names that such a file may have."""

_OTHERS: Final = (
    "have the tool that wrote it export it as `pylock.toml`, or as `requirements.txt` with hashes"
)
EXPORTS: Final[Mapping[str, str]] = {
    "uv.lock": "`uv export --format pylock.toml --no-emit-project -o pylock.toml` writes one",
    "pyproject.toml": "`uv pip compile --generate-hashes pyproject.toml -o requirements.txt` writes one",
    "poetry.lock": _OTHERS,
    "pdm.lock": _OTHERS,
    "Pipfile.lock": _OTHERS,
}
"""Files of one tool's own, which changes them as it likes, and how to come by one that every tool reads."""

_PACKAGE: Final = re.compile(r"\s*\[\[\s*packages\s*\]\]")
_NAME: Final = re.compile(r"\s*name\s*=")
_OF_A_CHOICE: Final = re.compile(r"\b(extras|dependency_groups)\b")
_SOURCES: Final = ("vcs", "directory", "archive")
"""Packages that no index has."""

Table = Mapping[str, object]


def is_pylock(name: str) -> bool:
    """Say whether a file is called as PEP 751 has it."""
    return PYLOCK.fullmatch(PurePosixPath(name).name) is not None


def find_export(name: str) -> str | None:
    """Return how to come by what graphc reads, for a file that it does not."""
    return EXPORTS.get(PurePosixPath(name).name)


def read_pylock(text: str) -> Iterator[tuple[int, str]]:
    """Yield each package as a line of a requirements file, with the line that names it; raises ValueError."""
    try:
        read: Table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"is not TOML: {str(error)[:1].lower()}{str(error)[1:]}") from None
    version = read.get("lock-version")
    if not isinstance(version, str) or version.partition(".")[0] != "1":
        raise ValueError("is not a lock file of version 1")
    packages = _tables(read.get("packages"))
    lines = _find_lines(text)
    # Written in another way, such as in one array, no line of its own names a package.
    numbers = lines if len(lines) == len(packages) else [1] * len(packages)
    for number, package in zip(numbers, packages, strict=True):
        yield number, _write(package)


def _find_lines(text: str) -> list[int]:
    """Return the lines that name the packages, or begin what does."""
    found: list[int] = []
    begins = False
    for number, line in enumerate(text.splitlines(), start=1):
        if _PACKAGE.match(line):
            found.append(number)
            begins = True
        elif begins and _NAME.match(line):
            found[-1], begins = number, False
    return found


def _write(package: Table) -> str:
    """Return a package as a line; one that cannot be had by name and version is written as what it is."""
    name, version, marker = (package.get(each) for each in ("name", "version", "marker"))
    source = next((each for each in _SOURCES if each in package), None)
    if source is not None or not isinstance(version, str):
        return f"{name} ({source or 'no version'})"
    if isinstance(marker, str) and _OF_A_CHOICE.search(marker):
        return f"{name}=={version} (where {marker})"
    hashes = sorted({f"--hash=sha256:{each}" for each in _hashes(package)})
    bare = f"{name}=={version} ; {marker}" if isinstance(marker, str) else f"{name}=={version}"
    return " ".join([bare, *hashes])


def _hashes(package: Table) -> Iterator[str]:
    for file in (*_tables([package.get("sdist")]), *_tables(package.get("wheels"))):
        for hashes in _tables([file.get("hashes")]):
            digest = hashes.get("sha256")
            if isinstance(digest, str):
                yield digest


def _tables(value: object) -> list[Table]:
    listed = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Table", each) for each in listed if isinstance(each, dict)]
