"""Reports the nodes that do not load, fail, or answer otherwise than the graph says."""

import importlib.util
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

from graphc_components.tensors import TensorType

from graphc.compile.compile_files import Compilation
from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.loading import ANSWERS_OTHERWISE, DOES_NOT_LOAD, FAILS_WHEN_RUN, NOT_JUDGED
from graphc.targets.region import describe_region
from graphc.targets.shipping import LocalShipment, ship_node
from graphc.trial.lay_out import link_files
from graphc.trial.pythons import Pythons
from graphc.trial.subjects import Subject, find_subjects, place_of, types_of, why_unjudged

MOST_SECONDS: Final = 120
"""How long a node may take to load and to run once."""
_LEAST_MEMORY: Final = 4 << 30
_MEMORY_PER_BYTE: Final = 4
"""A process may take four times the size of a model's files, and 4 GiB at least."""
_ARTIFACTS, _RESULT = "artifacts", "result.json"
_MOST_RESULT: Final = 1 << 16
_RULES: Final = {"load": DOES_NOT_LOAD, "run": FAILS_WHEN_RUN, "answer": ANSWERS_OTHERWISE}
_SAYS: Final = {
    "load": "does not load",
    "run": "fails on made-up inputs",
    "answer": "answers otherwise than the graph says",
}


def check_loading(done: Compilation, sink: Sink) -> None:
    """Try every node that can be tried here."""
    if importlib.util.find_spec("graphc_runtimes") is None:
        message = "nodes cannot be loaded here: `graphc_runtimes` is not installed"
        sink.report(Diagnostic(NOT_JUDGED, message, help="install graphc's runtimes with their extras"))
        return
    pythons = Pythons(sink)
    with tempfile.TemporaryDirectory(prefix="graphc-trial-") as name:
        for index, subject in enumerate(find_subjects(done)):
            if why_unjudged(subject.node, was_run=True) is None and (
                python := pythons.find(subject.requirements, subject.graph)
            ):
                folder = Path(name, str(index))
                folder.mkdir()
                _check_node(subject, python, folder, sink)


def _check_node(subject: Subject, python: Path, folder: Path, sink: Sink) -> None:
    shipment = ship_node(subject.plan.graph, subject.node, None, "local")
    if isinstance(shipment, LocalShipment):
        link_files(shipment.files, folder / _ARTIFACTS / shipment.node)
    found = _try(subject, python, folder)
    stage = found["stage"]
    if stage in _RULES:
        message = f"`{subject.node.origin}` {_SAYS[stage]}: {found['message']}"
        sink.report(Diagnostic(_RULES[stage], message, place_of(subject)))


def _try(subject: Subject, python: Path, folder: Path) -> Mapping[str, str]:
    """Return what came of a node's trial: its stage, and what it said."""
    artifacts, result = folder / _ARTIFACTS, folder / _RESULT
    job = _describe(subject, artifacts, result)
    process = subprocess.Popen(
        [str(python), "-m", "graphc_runtimes.trial"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=folder,
        start_new_session=True,
    )
    try:
        process.communicate(json.dumps(job), timeout=MOST_SECONDS)
        ended = _tell_end(process.returncode)
    except subprocess.TimeoutExpired:
        ended = f"it takes longer than {MOST_SECONDS} s"
    finally:
        _end(process)
    found = _read(result) or {"stage": "load", "message": ""}
    # Without a message it came no further than to begin.
    return {**found, "message": found["message"] or ended}


def _end(process: subprocess.Popen[str]) -> None:
    """End a process with all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tell_end(status: int) -> str:
    if status < 0:
        return f"its process was ended by {signal.Signals(-status).name}"
    return f"its process ended with exit status {status}"


def _read(result: Path) -> Mapping[str, str] | None:
    try:
        with result.open("rb") as file:
            found: object = json.loads(file.read(_MOST_RESULT))
    except (OSError, ValueError):
        return None
    return cast("Mapping[str, str]", found)


def _describe(subject: Subject, artifacts: Path, result: Path) -> Mapping[str, object]:
    node, types = subject.node, types_of(subject.plan)
    size = sum(path.stat().st_size for path in artifacts.rglob("*") if path.is_file())
    return {
        "region": describe_region(subject.plan, subject.unit),
        "node": node.origin,
        "artifacts": str(artifacts),
        "inputs": {use.port: _type(cast("TensorType", types[use.tensor])) for use in node.uses},
        "outputs": {output.port: _type(output.type) for output in node.outputs},
        "memory_bytes": max(_LEAST_MEMORY, _MEMORY_PER_BYTE * size),
        "result": str(result),
    }


def _type(type_: TensorType) -> dict[str, object]:
    return {"datatype": type_.datatype, "shape": list(type_.shape)}
