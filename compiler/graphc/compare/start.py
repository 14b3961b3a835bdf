"""Begin to compare: what a front calls once, before it shows the first answer."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from graphc.compare.gates import ANNOTATION as GATES
from graphc.compare.plain import Plain
from graphc.compare.reading import open_store
from graphc.compare.recorder import Recorder, RecorderOptions
from graphc.compare.settings import ANNOTATION, read_settings
from graphc.compare.store_problem import StoreError
from graphc.unchecked import parse

DATABASE: Final = "GRAPHC_COMPARE_DATABASE"
"""The variable that names the database: a file or a URL."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A recorder; the run's name in the database, or why there is none."""

    recorder: Recorder
    run: str | None
    problem: str | None


def open_recorder(
    graph: str, annotations: Mapping[str, str], *, database: str | None = None, keep_samples: int = 0
) -> Begun:
    """Return what compares a graph's versions as its deployment's annotations say.

    A database that cannot be used is no reason not to serve: figures are then kept in memory alone.
    """
    settings = read_settings(annotations.get(ANNOTATION))
    options = RecorderOptions(settings.sample, settings.segment, keep_samples=keep_samples)
    gates = _read(annotations.get(GATES))
    try:
        recording = open_store(database or default_database()).begin(graph, time.time(), gates)
    except StoreError as problem:
        return Begun(Recorder(options), None, str(problem))
    return Begun(Recorder(options, recording), recording.run, None)


def default_database() -> str:
    """Return the database of this user."""
    if named := os.environ.get(DATABASE):
        return named
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return str(Path(state) / "graphc" / "compare.db")


def _read(text: str | None) -> Plain:
    try:
        return cast("Plain", parse(text)) if text else None
    except ValueError:
        return None
