"""Writes the table of what the runtime image for processors installs: `python compiler/tools/list_image.py`.

The versions are those of runtimes/images/cpu.lock, for the Python of runtimes/images/Dockerfile; the modules that each
package brings are asked of the packages that are installed.
"""

import re
from collections import defaultdict
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[2]
IMAGES: Final = ROOT / "runtimes" / "images"
TABLE: Final = ROOT / "compiler" / "graphc" / "runtime_image.txt"


def write_table() -> str:
    """Return the table's text."""
    found = re.search(r"^FROM python:(\d+\.\d+)", (IMAGES / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert found, "the image names no Python"
    python = found[1]
    modules = _modules()
    rows: list[str] = []
    for line in (IMAGES / "cpu.lock").read_text("utf-8").splitlines():
        if not re.match(r"[A-Za-z0-9]", line):
            continue
        wanted = Requirement(line.removesuffix("\\").strip())
        if wanted.marker is None or wanted.marker.evaluate(_target(python)):
            name = canonicalize_name(wanted.name)
            version = str(wanted.specifier).removeprefix("==")
            rows.append(f"{name} {version} {' '.join(sorted(modules.get(name, {name.replace('-', '_')})))}")
    head = (
        "# Made by compiler/tools/list_image.py: packages of the runtime image, their versions and modules."
    )
    return "\n".join([head, f"python {python}", *sorted(rows)]) + "\n"


def _modules() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for module, packages in packages_distributions().items():
        for package in packages:
            if module.isidentifier() and not module.startswith("_"):
                found[canonicalize_name(package)].add(module)
    return found


def _target(python: str) -> dict[str, str]:
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }


if __name__ == "__main__":
    TABLE.write_text(write_table(), "utf-8")
