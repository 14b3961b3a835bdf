"""The real `tritonserver` that nvidia-pytriton brings along, as a program that can stand on a path."""

import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Final

from server_environments import CACHE, make_environment

_REQUIREMENTS: Final = Path(__file__).parents[1] / "bench" / "peers" / "triton" / "requirements.txt"

_PROGRAM: Final = """#!/bin/sh
export PATH="{bin}:$PATH" PYTHONPATH="{site}" LD_LIBRARY_PATH="{site}/nvidia_pytriton.libs:{python}"
exec "{bundled}/bin/tritonserver" --backend-directory="{backends}" "$@"
"""


def install_triton(folder: Path) -> Path:
    """Return a folder for the path, made below another one, which has `tritonserver`."""
    environment = make_environment(CACHE / "peers" / "triton", _REQUIREMENTS)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    site = environment / "lib" / f"python{version}" / "site-packages"
    bundled = site / "pytriton" / "tritonserver"
    backends, programs = folder / "backends", folder / "bin"
    shutil.copytree(bundled / "backends", backends)
    shutil.copy(
        bundled / "python_backend_stubs" / version / "triton_python_backend_stub", backends / "python"
    )
    programs.mkdir()
    program = programs / "tritonserver"
    # The server embeds Python: it has to find this one's library, and the environment's packages.
    told = {"bin": environment / "bin", "site": site, "python": sysconfig.get_config_var("LIBDIR")}
    program.write_text(_PROGRAM.format(**told, bundled=bundled, backends=backends))
    program.chmod(0o755)
    return programs


REPOSITORY: Final = Path(__file__).parents[1] / "servers" / "triton"


def write_repository(folder: Path, *names: str) -> Path:
    """Write a model repository with some models of `REPOSITORY`, each in the versions that it has."""
    for config in (REPOSITORY / f"{name}.pbtxt" for name in names):
        model = folder / config.stem
        for version in ("1", "2", "3") if config.stem == "versions" else ("1",):
            (model / version).mkdir(parents=True)
            # Of an ensemble Triton wants the folder alone, which no config map and no file of graphc's carries empty.
            shutil.copy(REPOSITORY / "model.py", model / version)
        shutil.copy(config, model / "config.pbtxt")
    return folder
