"""What a graph asks for beyond the runtime image: packages with versions, and the modules that they bring."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from graphc.records import record
from graphc.version import VERSION

_NAME: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_VERSION: Final = r"(?:===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9][A-Za-z0-9.*+!_-]*"
_LINE: Final = re.compile(
    rf"(?P<name>{_NAME})\s*(?P<extras>\[[A-Za-z0-9._,\s-]*\])?\s*(?P<versions>{_VERSION}(?:\s*,\s*{_VERSION})*)?"
    r"\s*(?P<marker>;[^#]+)?"
)
_HASH: Final = re.compile(r"--hash[= ](sha256:[0-9a-f]{64})(?:\s|$)")
_MODULES: Final = re.compile(r"#\s*modules:\s*([\w\s,.]+)")

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

    @property
    def tag(self) -> str:
        """Return the tag of the image that has them: it names what was asked for."""
        if not self.each:
            return VERSION
        written = "\n".join([VERSION, *(" ".join([each.line, *each.hashes]) for each in self.each)])
        return f"{VERSION}-{hashlib.sha256(written.encode()).hexdigest()[:10]}"

    def bring(self, module: str) -> bool:
        """Say whether a module comes with one of the packages."""
        return any(each.brings(module) for each in self.each) or _is_installed_with(module, self.each)


def join_requirements(found: Iterable[Requirement]) -> Requirements:
    """Return requirements from several places as one."""
    unique = {(each.name, each.line, each.hashes, each.modules): each for each in found}
    return Requirements(tuple(unique[key] for key in sorted(unique)))


def parse_requirement(text: str, modules: tuple[str, ...] = ()) -> Requirement:
    """Read one requirement; raises ValueError with a user's words."""
    hashes = tuple(sorted(_HASH.findall(text)))
    said = _MODULES.search(text)
    bare = _HASH.sub("", text.partition(" #")[0]).strip()
    found = _LINE.fullmatch(bare)
    if found is None:
        raise ValueError("is not a package with versions, such as `rapidfuzz==3.9.7`")
    name = canonical(found["name"])
    extras = re.sub(r"\s", "", found["extras"] or "")
    versions = ",".join(sorted(re.sub(r"\s", "", found["versions"] or "").split(",")))
    marker = f" ; {found['marker'].lstrip('; ').strip()}" if found["marker"] else ""
    listed = tuple(re.split(r"[\s,]+", said[1].strip())) if said else modules
    return Requirement(name, f"{name}{extras}{versions}{marker}", hashes, listed)


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
