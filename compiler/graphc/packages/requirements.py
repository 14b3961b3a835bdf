"""What a graph asks for beyond the runtime image: packages with versions, and the modules that they bring."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from graphc.records import record
from graphc.version import VERSION

_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.*+!_-]*")
_HASH: Final = re.compile(r"--hash[= ](sha256:[0-9A-Fa-f]{64})(?:\s|$)")
_MODULES: Final = re.compile(r"#\s*modules:\s*([\w\s,.]+)")
_COMMANDS: Final = frozenset("\\$#`")
"""What installers, or the parser of markers, read as something else than it says."""
_LONGEST: Final = 4096
"""Markers of locks for every platform are the longest of requirements, and far shorter."""

NO_PACKAGE: Final = "is not a package with versions, such as `rapidfuzz==3.9.7`"

_ANSWERS: Final = (
    (
        re.compile(r"(-r|--requirement)\b"),
        "write what that file lists here, or name the result of `uv pip compile`",
    ),
    (re.compile(r"(-c|--constraint)\b"), "write the versions that are allowed beside the packages"),
    (
        re.compile(r"(-i|--index-url|--extra-index-url|--default-index|--index)\b"),
        "leave it out, and set `UV_DEFAULT_INDEX` or `UV_INDEX` where graphc runs",
    ),
    (
        re.compile(r"-e\b|--editable\b|\.{0,2}/|file:|.*\.(whl|zip|tar\.gz)$"),
        "publish the package in an index, or ship its modules with `files:` of the node",
    ),
    (re.compile(r"\w+\+?\w*://|.* @ "), "name the package and a version that an index has"),
    (re.compile(r"-"), "leave it out: only packages with versions are read here"),
)
"""What to do instead of the lines of a requirements file that name no package of an index."""

OTHER_NAMES: Final[Mapping[str, str]] = {
    "attrs": "attr attrs",
    "beautifulsoup4": "bs4",
    "biopython": "Bio",
    "google-cloud-storage": "google",
    "levenshtein": "Levenshtein",
    "markdown-it-py": "markdown_it",
    "msgpack-python": "msgpack",
    "opencv-contrib-python": "cv2",
    "opencv-contrib-python-headless": "cv2",
    "opencv-python": "cv2",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "protobuf": "google",
    "pycryptodome": "Crypto",
    "pyjwt": "jwt",
    "pymupdf": "fitz pymupdf",
    "pysimdjson": "simdjson csimdjson",
    "python-dateutil": "dateutil",
    "python-dotenv": "dotenv",
    "python-levenshtein": "Levenshtein",
    "python-rapidjson": "rapidjson",
    "pytorch-lightning": "pytorch_lightning lightning_fabric",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
    "umap-learn": "umap",
    "xgboost-cpu": "xgboost",
}
"""Modules of packages that are called otherwise; `modules` says it of any other."""


@record
class Requirement:
    """One package: its line for an installer, the hashes it is pinned to, and the modules it is said to bring."""

    name: str
    line: str
    hashes: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()

    def brings(self, module: str) -> bool:
        """Say whether a module, by its first name, comes with the package."""
        if self.modules:
            return module in self.modules
        listed = OTHER_NAMES.get(self.name)
        return module in listed.split() if listed else module.lower() == self.name.replace("-", "_")


@record
class Requirements:
    """All that one version of a graph asks for, sorted; empty where the runtime image is enough."""

    each: tuple[Requirement, ...] = ()
    are_known: bool = True
    """Whether all that is asked for could be read; what could not may bring any module."""

    @property
    def tag(self) -> str:
        """Return the tag of the image that has them: it names what was asked for."""
        if not self.each:
            return VERSION
        written = "\n".join([VERSION, *(" ".join([each.line, *each.hashes]) for each in self.each)])
        return f"{VERSION}-{hashlib.sha256(written.encode()).hexdigest()[:10]}"

    def bring(self, module: str) -> bool:
        """Say whether a module comes with one of the packages."""
        brought = any(each.brings(module) for each in self.each) or _is_installed_with(module, self.each)
        return brought or not self.are_known


def join_requirements(found: Iterable[Requirement], *, are_known: bool = True) -> Requirements:
    """Return requirements from several places as one."""
    unique = {(each.name, each.line, each.hashes, each.modules): each for each in found}
    return Requirements(tuple(unique[key] for key in sorted(unique)), are_known)


def parse_requirement(text: str, modules: tuple[str, ...] = ()) -> Requirement:
    """Read one requirement; raises ValueError with a user's words.

    Its line is written of what was read: an installer gets nothing of the text itself.
    """
    text = text.replace("\t", " ").strip()
    if not text.isprintable():
        raise ValueError("is not one line of a requirements file")
    hashes = tuple(sorted({each.lower() for each in _HASH.findall(text)}))
    said = _MODULES.search(text)
    bare = _HASH.sub("", text.partition(" #")[0]).strip()
    if " --hash" in bare:
        raise ValueError("has a hash that is not `sha256:` and 64 hexadecimal digits")
    listed = tuple(re.split(r"[\s,]+", said[1].strip())) if said else modules
    return _read(bare, hashes, listed)


def find_answer(text: str) -> str | None:
    """Return what to write instead of a line that names no package of an index; None for one that does."""
    line = text.strip()
    return next((answer for pattern, answer in _ANSWERS if pattern.match(line)), None)


def pin_requirement(name: str, version: str, marker: str | None, hashes: Iterable[str]) -> Requirement:
    """Return one version of a package, as a lock file has it; raises ValueError with a user's words."""
    bare = f"{name}=={version}"
    found = _read(bare, tuple(sorted(set(hashes))))
    # What is more than a name and a version would be read as something else.
    if found.line != f"{canonical(name)}=={version}":
        raise ValueError(NO_PACKAGE)
    if marker is None:
        return found
    try:
        return _read(f"{bare} ; {marker}", found.hashes)
    except ValueError:
        raise ValueError("has a marker that is none") from None


def _read(bare: str, hashes: tuple[str, ...], modules: tuple[str, ...] = ()) -> Requirement:
    # It takes longer to import than a small graph to compile, and few graphs require packages.
    from packaging.requirements import InvalidRequirement
    from packaging.requirements import Requirement as Standard

    if len(bare) > _LONGEST or not bare.isascii() or not bare.isprintable() or _COMMANDS & set(bare):
        raise ValueError(NO_PACKAGE)
    try:
        found = Standard(bare)
        marker = str(found.marker) if found.marker else None
        is_same = marker is None or Standard(f"a ; {marker}").marker == found.marker
    except (InvalidRequirement, ValueError, RecursionError):
        raise ValueError(NO_PACKAGE) from None
    versions = sorted(found.specifier, key=lambda each: f"{each.operator}{each.version}")
    if found.url is not None or not is_same or not all(_VERSION.fullmatch(each.version) for each in versions):
        raise ValueError(NO_PACKAGE)
    name = canonical(found.name)
    extras = f"[{','.join(sorted(found.extras))}]" if found.extras else ""
    wanted = ",".join(f"{each.operator}{each.version}" for each in versions)
    return Requirement(name, f"{name}{extras}{wanted}" + (f" ; {marker}" if marker else ""), hashes, modules)


def find_clash(requirement: Requirement, present: Mapping[str, str]) -> str | None:
    """Return the version that is there, by packages' names, of a package that is asked for in others."""
    version = present.get(requirement.name)
    # Where a marker holds, the installer knows.
    if version is None or ";" in requirement.line:
        return None
    from packaging.requirements import Requirement as Standard

    return None if Standard(requirement.line).specifier.contains(version, prereleases=True) else version


def canonical(name: str) -> str:
    """Return a package's name as indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def suggest_package(module: str) -> str:
    """Return the package that most probably brings a module."""
    named = (package for package, modules in OTHER_NAMES.items() if module in modules.split())
    return min(named, key=len, default=module.lower().replace("_", "-"))


def split_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the entries of a requirements file with their line numbers; a backslash carries one on to the next."""
    start, whole = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        start = start if whole else number
        if line.rstrip().endswith("\\"):
            whole += line.rstrip()[:-1] + " "
            continue
        entry, whole = (whole + line).strip(), ""
        if entry and not entry.startswith("#"):
            yield start, entry


def _is_installed_with(module: str, requirements: Iterable[Requirement]) -> bool:
    """Ask what is installed here, which knows the modules of packages that are called otherwise."""
    names = {each.name for each in requirements if not each.modules}
    if not names:
        return False
    # It looks at every package that is installed, and takes longer than a small graph to compile.
    from importlib.metadata import packages_distributions

    return any(canonical(each) in names for each in packages_distributions().get(module, ()))
