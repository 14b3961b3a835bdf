"""Find the report that is asked for: a run of the database, another database, or a service that compares."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from graphc.compare.plain import Plain
from graphc.compare.report import Report
from graphc.compare.store_problem import StoreError
from graphc.fetch import FetchError, fetch

if TYPE_CHECKING:
    from graphc.compare.store import Store

_MOST_BYTES: Final = 64 << 20
_TIMEOUT_S: Final = 30
_MOST_WORDS: Final = 10_000


def open_store(place: str) -> "Store":
    """Open a database by URL or file; raises StoreError, also where SQLAlchemy is not installed."""
    try:
        # Serving and checking need no database.
        from graphc.compare.store import Store, url_of
    except ImportError as error:
        raise StoreError("databases need SQLAlchemy: install `graphc-compiler[reports]`") from error
    if "://" not in place:
        _make_folder(Path(place))
    return Store(url_of(place))


def find_report(target: str | None, database: str) -> Report:
    """Return the report of a run's or graph's name, of a database's latest run, or of a service; raises StoreError."""
    if target is not None and target.startswith(("http://", "https://")):
        return _fetch(target)
    if target is not None and ("://" in target or Path(target).is_file()):
        return _of_store(target, ())
    return _of_store(database, () if target is None else (target,))


def find_report_of(graphs: Sequence[str], place: str) -> Report:
    """Return the latest report of a graph, called by any of its names, from a database or service.

    Raises StoreError, also where the report is of another graph: that must not promote a candidate.
    """
    if not place.startswith(("http://", "https://")):
        return _of_store(place, graphs, is_waited_for=True)
    report = _fetch(place)
    if report.graph not in graphs:
        raise StoreError(f"`{place}` reports on `{report.graph}`, not on `{graphs[-1]}`")
    return report


def _of_store(place: str, names: Sequence[str], *, is_waited_for: bool = False) -> Report:
    """Return the report of the latest run that answered anything, or of the one that is named.

    One that goes on and has not answered yet may be waited for: what ran before says nothing of it.
    """
    if "://" not in place and not Path(place).is_file():
        raise StoreError(f"there is no database `{place}`: nothing was compared yet")
    store = open_store(place)
    try:
        runs = store.runs()
        found = [run for run in runs if not names or {run.run, run.graph}.intersection(names)]
        if not found:
            known = ", ".join(f"`{run.run}`" for run in runs[:5]) or "none"
            raise StoreError(
                f"the database has no run `{names[-1]}`; the latest are {known}"
                if names
                else "the database has no runs"
            )
        for run in found:
            report = store.report(run)
            if run.run in names or report.figures.has_answers or (is_waited_for and run.ended is None):
                return report
        return store.report(found[0])
    finally:
        store.close()


def _fetch(url: str) -> Report:
    """Ask a service; a URL without a path asks for the one graph that it knows."""
    if url.count("/") <= 2 or url.endswith("/"):
        url = url.rstrip("/") + "/report"
    try:
        found = fetch(url, seconds=_TIMEOUT_S, most_bytes=_MOST_BYTES)
    except FetchError as error:
        raise StoreError(f"`{url}` {error}") from error
    if found.status != 200:
        raise StoreError(f"`{url}` answers with status {found.status}: {_words(found.body[:_MOST_WORDS])}")
    return _read(url, found.body)


def _read(url: str, body: bytes) -> Report:
    try:
        return Report.of_plain(cast("Plain", json.loads(body)))
    except (ValueError, RecursionError) as error:
        raise StoreError(f"`{url}` does not answer with a report: {error}") from error


def _words(body: bytes) -> str:
    try:
        value = cast("object", json.loads(body))
    except (ValueError, RecursionError):
        value = None
    said = cast("dict[str, object]", value).get("error") if isinstance(value, dict) else None
    return said if isinstance(said, str) else "no reason given"


def _make_folder(path: Path) -> None:
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the folder of `{path}` cannot be made: {error.strerror}") from error
