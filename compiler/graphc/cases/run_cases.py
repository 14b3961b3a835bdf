"""Has a compiled graph answer cases, in a process that ends after them."""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, cast

from graphc.cases.case import Answer, Case, CaseError, Data
from graphc.compile.pipeline import CheckedGraph
from graphc.ir.plan import Plan, Unit
from graphc.records import record
from graphc.targets.region import describe_region
from graphc.trial.lay_out import link_files

_MOST_SECONDS: Final = 600
_TAIL: Final = 20
"""So many lines of what nodes wrote are shown where the process ends too early."""


class NotRunError(Exception):
    """No case could be run: the graph does not load, or its process ended."""


@record
class Ask:
    """A request for one version of a graph: the whole one of a case, or one of its rows."""

    case: Case
    request: Data


def run_cases(
    graph: CheckedGraph, version: str, asks: Sequence[Ask], python: Path, variables: Mapping[str, str]
) -> list[Answer]:
    """Return the answers of a version of a graph that was compiled for this machine; raises NotRunError."""
    plan = graph.plans[version]
    with tempfile.TemporaryDirectory(prefix="graphc-test-") as name:
        folder = Path(name)
        lay_out(graph, version, folder / "artifacts")
        job = {
            "root": describe_plan(plan),
            "artifacts": str(folder / "artifacts"),
            "cases": [{"request": ask.request, "headers": dict(ask.case.headers)} for ask in asks],
            "result": str(folder / "result.json"),
        }
        return _read_answers(_run(job, python, folder, variables))


def describe_plan(plan: Plan) -> Data:
    """Return a plan as the runtime's session reads it: a tree of units with their regions."""
    return _describe(plan, plan.root)


def _describe(plan: Plan, unit: Unit) -> Data:
    children = [_describe(plan, child) for child in unit.children]
    return {"region": describe_region(plan, unit), "type": unit.type, "children": children}


def lay_out(graph: CheckedGraph, version: str, folder: Path) -> None:
    """Lay the artefacts of a version out under a folder as its units' containers have them."""
    for predictor, shipment in graph.emission.local if graph.emission else ():
        if predictor == version:
            link_files(shipment.files, folder / shipment.node)


def _run(job: Data, python: Path, folder: Path, variables: Mapping[str, str]) -> Data:
    try:
        done = subprocess.run(
            [str(python), "-m", "graphc_runtimes.cases"],
            input=json.dumps(job),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=folder,
            env=dict(variables),
            timeout=_MOST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise NotRunError(f"the cases took longer than {_MOST_SECONDS} s") from late
    try:
        return cast("Data", json.loads((folder / "result.json").read_text("utf-8")))
    except (OSError, ValueError):
        lines = "\n    ".join(done.stdout.splitlines()[-_TAIL:])
        raise NotRunError(
            f"the process of the graph ended with exit status {done.returncode}\n    {lines}"
        ) from None


def _read_answers(result: Data) -> list[Answer]:
    if "failed" in result:
        raise NotRunError(str(result["failed"]))
    answers = cast("list[Mapping[str, object]]", result["answers"])
    return [
        Answer(cast("int", each["status"]), cast("Data", each["body"]), cast("float", each["seconds"]))
        for each in answers
    ]


def choose_version(graph: CheckedGraph, case: Case) -> str:
    """Return the version that a case asks: the first where it names none; raises CaseError."""
    versions = list(graph.plans)
    if case.predictor is None:
        return versions[0]
    if case.predictor not in versions:
        told = ", ".join(f"`{each}`" for each in versions)
        raise CaseError(f"{case.title} asks version `{case.predictor}`; the graph has {told}")
    return case.predictor
