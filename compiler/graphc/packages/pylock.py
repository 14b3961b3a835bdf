"""Reads `pylock.toml`, the lock file of PEP 751, and knows the lock files that have to be exported first."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Final, cast

from graphc.packages.requirements import NO_PACKAGE, Requirement, pin_requirement
from graphc.records import record

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

LARGEST: Final = 1 << 20
"""The bytes that such a file may have."""
_STRING: Final = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"{3,5}|\Z)|\'\'\'.*?(?:\'{3,5}|\Z)|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*',
    re.DOTALL,
)
_BETWEEN_KEYS: Final = re.compile(r"[=,:\[\]{}\n]")
_DEEPEST: Final = 8
"""The parts that a key may have: reading one takes as many steps as the square of them."""
_DIGEST: Final = re.compile(r"[0-9A-Fa-f]{64}")

Table = Mapping[str, object]


@record
class Locked:
    """A package of a lock file: the line that names it, what it is called, and what it is, or why it is nothing."""

    line: int
    called: str
    found: Requirement | str


def is_pylock(name: str) -> bool:
    """Say whether a file is called as PEP 751 has it."""
    return PYLOCK.fullmatch(PurePosixPath(name).name) is not None


def find_export(name: str) -> str | None:
    """Return how to come by what graphc reads, for a file that it does not."""
    return EXPORTS.get(PurePosixPath(name).name)


def read_pylock(text: str) -> Iterator[Locked]:
    """Yield each package; raises ValueError where the file is no lock file."""
    read = _parse(text)
    version = read.get("lock-version")
    if not isinstance(version, str) or version.partition(".")[0] != "1":
        raise ValueError("is not a lock file of version 1")
    listed = read.get("packages")
    if not isinstance(listed, list):
        raise ValueError("has no list `packages`")
    packages = cast("list[object]", listed)
    lines = _find_lines(text)
    # Written in another way, such as in one array, no line of its own names a package.
    numbers = lines if len(lines) == len(packages) else [1] * len(packages)
    for number, package in zip(numbers, packages, strict=True):
        yield Locked(number, *_judge(package))


def _parse(text: str) -> Table:
    bare = _STRING.sub("", text)
    if any(key.count(".") >= _DEEPEST for key in _BETWEEN_KEYS.split(bare)):
        raise ValueError(f"has keys of more than {_DEEPEST} parts")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"is not TOML: {str(error)[:1].lower()}{str(error)[1:]}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except ValueError:
        # Python refuses to read those of thousands.
        raise ValueError("has a number of too many digits") from None


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


def _judge(package: object) -> tuple[str, Requirement | str]:
    """Return what a package is called, and what it is; one that no index has is called what it is."""
    if not isinstance(package, dict):
        return "packages", "has an item that is not a table"
    table = cast("Table", package)
    name, version, marker = (table.get(each) for each in ("name", "version", "marker"))
    if not isinstance(name, str):
        return "packages", "has a package without a name"
    source = next((each for each in _SOURCES if each in table), None)
    if source is not None or not isinstance(version, str):
        return f"{name} ({source or 'no version'})", NO_PACKAGE
    called = f"{name}=={version}"
    if isinstance(marker, str) and _OF_A_CHOICE.search(marker):
        return f"{called} (where {marker})", NO_PACKAGE
    if not isinstance(marker, str | None):
        return called, "has a marker that is none"
    digests = list(_digests(table))
    if not all(_DIGEST.fullmatch(each) for each in digests):
        return called, "has a sha256 hash that is not 64 hexadecimal digits"
    try:
        found = pin_requirement(name, version, marker, (f"sha256:{each.lower()}" for each in digests))
    except ValueError as problem:
        return called, str(problem)
    return called, found if digests else "has no file with a sha256 hash, by which its files would be known"


def _digests(package: Table) -> Iterator[str]:
    for file in (*_tables([package.get("sdist")]), *_tables(package.get("wheels"))):
        for hashes in _tables([file.get("hashes")]):
            digest = hashes.get("sha256")
            if isinstance(digest, str):
                yield digest


def _tables(value: object) -> list[Table]:
    listed = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Table", each) for each in listed if isinstance(each, dict)]
