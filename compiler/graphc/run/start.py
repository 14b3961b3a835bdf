"""Whether a container can start here, and in which folder: only MLServer can."""

import importlib.machinery
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from graphc.run.environment import expand
from graphc.run.mounts import Mounts
from graphc.run.problem import Findings
from graphc.run.servers import MODELS, SERVERS
from graphc.seldon.deployment import Container
from graphc.seldon.unit import SeldonUnit

_DISTRIBUTIONS: Final = {
    server.runtime.partition(".")[0]: server.distribution for server in SERVERS.values() if server.runtime
} | {"graphc_runtimes": "graphc-runtimes", "mlserver": "mlserver"}


def find_model_folder(
    unit: SeldonUnit, container: Container, mounts: Mounts, env: Mapping[str, str], findings: Findings
) -> Path | None:
    """Return the folder that MLServer is started on, or None where the container starts something else."""
    server = SERVERS.get(unit.implementation)
    if server is not None and not server.runtime:
        findings.refuse(
            f"unit `{unit.name}` is a `{unit.implementation}`, which graphc cannot run here: "
            "only units on MLServer can"
        )
        return None
    words = tuple(expand(word, env) for word in (*container.command, *container.args))
    if words and (len(words) != 3 or words[:2] != ("mlserver", "start")):
        findings.refuse(
            f"unit `{unit.name}` runs a command of its own, `{words[0]}`, which graphc cannot run here: "
            "only `mlserver start FOLDER` can"
        )
        return None
    # MLServer's own images start on the folder that this variable names.
    named = words[2] if words else env.get("MLSERVER_MODELS_DIR", MODELS)
    folder = mounts.place(named if named.startswith("/") else MODELS)
    return _ensure_folder(folder, mounts)


def _ensure_folder(folder: Path, mounts: Mounts) -> Path:
    home = mounts.root.parent.resolve()
    # What is missing from a volume claim is not to be made in the user's own folder.
    if not folder.exists() and not folder.resolve().is_relative_to(home.parent.parent):
        folder = home / "no-models"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def check_runtime(
    unit: SeldonUnit, image: str, folder: Path, env: Mapping[str, str], findings: Findings, *, brought: bool
) -> None:
    """Refuse a unit whose MLServer runtime is not named or not installed; what is `brought` comes later."""
    runtime = env.get("MLSERVER_MODEL_IMPLEMENTATION", "")
    if not runtime:
        if not brought and not any(folder.rglob("model-settings.json")):
            findings.refuse(
                f"unit `{unit.name}` runs image `{image}`, which graphc cannot run here",
                f"units on MLServer can: set MLSERVER_MODEL_IMPLEMENTATION, or mount a model-settings.json "
                f"below {MODELS}",
            )
        return
    module = runtime.partition(".")[0]
    paths = [str(folder), *env.get("PYTHONPATH", "").split(os.pathsep), *sys.path]
    if module.isidentifier() and not _is_importable(module, [path for path in paths if path]):
        distribution = _DISTRIBUTIONS.get(module)
        findings.refuse(
            f"unit `{unit.name}` runs `{runtime}`, and `{module}` is not installed here",
            f"pip install {distribution}" if distribution else "put its folder on PYTHONPATH",
        )


def _is_importable(module: str, paths: list[str]) -> bool:
    return importlib.machinery.PathFinder.find_spec(module, paths) is not None
