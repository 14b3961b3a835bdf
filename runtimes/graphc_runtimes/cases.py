"""`python -m graphc_runtimes.cases`: answer requests with a compiled graph, in one process that ends after them.

Reads `{"root": {"region", "type", "children"}, "artifacts": ..., "cases": [{"request": ..., "headers": {...}}],
"result": FILE}` from standard input. Writes `{"failed": MESSAGE}` to that file where the graph does not load, and else
`{"answers": [{"status": ..., "body": ..., "seconds": ...}]}`, in the order of the cases. Standard output and error are
the nodes' own.
"""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from graphc_runtimes.errors import LoadError, RegionError
from graphc_runtimes.session import FailedError, Session

_Case = Mapping[str, Mapping[str, object]]


def answer_cases(job: Mapping[str, object]) -> Mapping[str, object]:
    """Load a graph and answer all requests of a job."""
    try:
        session = Session(cast("Mapping[str, object]", job["root"]), Path(str(job["artifacts"])))
    except (LoadError, RegionError) as error:
        return {"failed": str(error)}
    return {"answers": [_answer(session, case) for case in cast("list[_Case]", job["cases"])]}


def _answer(session: Session, case: _Case) -> Mapping[str, object]:
    headers = {name: str(value) for name, value in case.get("headers", {}).items()}
    start = time.perf_counter()
    try:
        status, body = 200, session.infer(case["request"], headers)
    except FailedError as error:
        status, body = error.status, {"error": str(error)}
    return {"status": status, "body": body, "seconds": time.perf_counter() - start}


def main() -> None:
    """Read a job, do it, and write what came of it."""
    job = cast("Mapping[str, object]", json.load(sys.stdin))
    Path(str(job["result"])).write_text(json.dumps(answer_cases(job)), "utf-8")


if __name__ == "__main__":
    main()
