"""What is brought before a unit starts, by init containers or by the operator's storage initializer."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from graphc.diagnostics.printable import quoted
from graphc.run.environment import (
    Surroundings,
    base_environment,
    check_words,
    container_environment,
    expand,
)
from graphc.run.mounts import Mounts, below, lay_mounts
from graphc.run.servers import MODELS, SERVERS
from graphc.run.volumes import PodVolumes, say_claim_missing
from graphc.seldon.deployment import Container
from graphc.seldon.unit import SeldonUnit

FETCH_MODULE: Final = "graphc_runtimes.fetch"


@dataclass(frozen=True, slots=True)
class Fetch:
    """An artefact to be brought before its unit starts."""

    unit: str
    argv: tuple[str, ...]
    env: Mapping[str, str]


def plan_init_containers(
    container: Container, home: Path, volumes: PodVolumes, around: Surroundings
) -> list[Fetch]:
    """Return the fetches that the init containers make into volumes that the container mounts."""
    fetches = list[Fetch]()
    mounted = {mount.text("name") for mount in container.mounts}
    for index, init in enumerate(volumes.pod.init_containers):
        if mounted.isdisjoint(mount.text("name") for mount in init.mounts):
            continue
        env = container_environment(_without_secrets(init, volumes), {}, around, volumes.findings)
        words = tuple(expand(word, env) for word in (*init.command, *init.args))
        if len(words) >= 5 and words[1:3] == ("-m", FETCH_MODULE):
            mounts = lay_mounts(init, home / f"init-{index}", volumes)
            fetches += _plan_fetch(container.name, words[3:], mounts, volumes, around, env)
        else:
            volumes.findings.refuse(
                f"init container `{init.name}` of unit `{container.name}` cannot run here: "
                f"only `python -m {FETCH_MODULE} URI FOLDER` can"
            )
    return fetches


def _without_secrets(init: Container, volumes: PodVolumes) -> Container:
    """Leave out whole secrets: a download finds the same names in the user's own environment."""
    for source in init.env_from:
        if secret := source.find("secretRef"):
            name = secret.text("name")
            volumes.findings.warn(
                f"secret `{name}` is not here; `{init.name}` uses the credentials of your own environment"
            )
    return replace(init, env_from=tuple(each for each in init.env_from if not each.has("secretRef")))


def _plan_fetch(
    unit: str,
    words: tuple[str, ...],
    mounts: Mounts,
    volumes: PodVolumes,
    around: Surroundings,
    env: Mapping[str, str],
) -> list[Fetch]:
    # Further files and options are the command's own.
    uri, folder, *rest = words
    place, override = mounts.place(folder), volumes.sources.overrides.get(folder)
    if override is None:
        fetch = _make_fetch(unit, uri, place, {**base_environment(around.exported), **env}, rest)
        _check_local(unit, uri, volumes)
        return [fetch]
    # Several units of one pod may share the volume that the artefact belongs in.
    if not place.exists() or not any(place.iterdir()):
        mounts.put_files(folder, override, volumes.findings)
    return []


def plan_model(unit: SeldonUnit, mounts: Mounts, volumes: PodVolumes, around: Surroundings) -> list[Fetch]:
    """Put a prepackaged server's model in its place, or return the fetch that does."""
    server, uri = SERVERS.get(unit.implementation), unit.model_uri
    if server is None or not server.runtime or not uri:
        return []
    try:
        parts = urlsplit(uri)
    except ValueError:
        volumes.findings.refuse(f"the model of unit `{unit.name}` is at {quoted(uri)}, which is not a URI")
        return []
    if (path := _local_path(uri)) is not None:
        if _check_local(unit.name, uri, volumes):
            mounts.put(MODELS, path, volumes.findings)
    elif parts.scheme == "pvc":
        if folder := volumes.sources.claims.get(parts.netloc):
            mounts.put(MODELS, below(folder, parts.path), volumes.findings)
        else:
            say_claim_missing(parts.netloc, volumes.findings)
    else:
        return [_make_fetch(unit.name, uri, mounts.place(MODELS), base_environment(around.exported))]
    return []


def _local_path(uri: str) -> Path | None:
    """Return the file of this machine that a URI names; None where it names another place."""
    parts = urlsplit(uri)
    if parts.scheme not in {"", "file"}:
        return None
    return Path(unquote(parts.path) if parts.scheme else uri).absolute()


def _check_local(unit: str, uri: str, volumes: PodVolumes) -> bool:
    """Refuse a file of this machine that a manifest of another hand has no right to; say whether it is none."""
    path = _local_path(uri)
    if path is None or volumes.sources.may_read(path):
        return True
    message = f"unit `{unit}` is to read {quoted(str(path))}, which lies outside the manifest's folder"
    volumes.findings.refuse(message, "name the folder that it may read: `--mount NAME=DIR`")
    return False


def _make_fetch(unit: str, uri: str, folder: Path, env: Mapping[str, str], rest: Sequence[str] = ()) -> Fetch:
    argv = (sys.executable, "-m", FETCH_MODULE, uri, str(folder.resolve()), *rest)
    check_words(argv, env)
    return Fetch(unit, argv, env)
