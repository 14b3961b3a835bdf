"""Figures in a database: SQLite in a file by default, any server that SQLAlchemy knows by URL."""

import json
import time
import uuid
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import sqlalchemy as sql
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError

from graphc.compare.figures import Figures
from graphc.compare.plain import Plain
from graphc.compare.report import Report
from graphc.compare.samples import Sample
from graphc.compare.store_problem import StoreError

VERSION: Final = 1
"""The version of the tables; a database of a later one is left alone."""

MOST_WINDOWS: Final = 240
"""Where a run has more windows, neighbours are merged: a run of any length stays this small."""

OPENINGS: Final = 5
OPENING_SECONDS: Final = 0.1
RUN_LETTERS: Final = 64
GRAPH_LETTERS: Final = 253
REQUEST_LETTERS: Final = 256

_TABLES: Final = sql.MetaData()
_FORMAT: Final = sql.Table(
    "graphc_compare_format",
    _TABLES,
    sql.Column("version", sql.Integer, primary_key=True, autoincrement=False),
)
_RUNS: Final = sql.Table(
    "graphc_compare_runs",
    _TABLES,
    sql.Column("run", sql.String(RUN_LETTERS), primary_key=True),
    sql.Column("graph", sql.String(GRAPH_LETTERS), nullable=False),
    sql.Column("started", sql.Float(53), nullable=False),
    sql.Column("ended", sql.Float(53)),
    sql.Column("gates", sql.Text, nullable=False),
)
_WINDOWS: Final = sql.Table(
    "graphc_compare_windows",
    _TABLES,
    sql.Column("run", sql.String(RUN_LETTERS), primary_key=True),
    sql.Column("number", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("started", sql.Float(53), nullable=False),
    sql.Column("ended", sql.Float(53), nullable=False),
    sql.Column("figures", sql.Text, nullable=False),
)
_SAMPLES: Final = sql.Table(
    "graphc_compare_samples",
    _TABLES,
    sql.Column("run", sql.String(RUN_LETTERS), primary_key=True),
    sql.Column("place", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("differing", sql.Float(53), nullable=False),
    sql.Column("error", sql.Float(53), nullable=False),
    sql.Column("request", sql.String(REQUEST_LETTERS), nullable=False),
    sql.Column("live", sql.String(GRAPH_LETTERS), nullable=False),
    sql.Column("candidate", sql.String(GRAPH_LETTERS), nullable=False),
    sql.Column("asked", sql.LargeBinary, nullable=False),
    sql.Column("live_answer", sql.LargeBinary, nullable=False),
    sql.Column("answer", sql.LargeBinary, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One run in the database."""

    run: str
    graph: str
    started: float
    ended: float | None


class Store:
    """A database of runs; several processes may read while one writes."""

    def __init__(self, url: str) -> None:
        self._url = url
        with _plainly(url):
            self._engine = sql.create_engine(url, pool_pre_ping=True, hide_parameters=True)
            if self._engine.dialect.name == "sqlite":
                event.listen(self._engine, "connect", _prepare_sqlite)
            try:
                self._open_tables()
            except BaseException:
                self._engine.dispose()
                raise

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def begin(self, graph: str, started: float, gates: Plain) -> "Recording":
        """Begin a run."""
        number = uuid.uuid4().hex[:8]
        graph = _as_text(graph, GRAPH_LETTERS)
        run = f"{graph[: RUN_LETTERS - len(number) - 1]}-{number}"
        row = {"run": run, "graph": graph, "started": started, "ended": None, "gates": json.dumps(gates)}
        with _plainly(self._url), self._engine.begin() as connection:
            connection.execute(sql.insert(_RUNS).values(row))
        return Recording(self._engine, run)

    def runs(self) -> list[Run]:
        """Return all runs, the latest first."""
        query = sql.select(_RUNS).order_by(_RUNS.c.started.desc(), _RUNS.c.run)
        with _plainly(self._url), self._engine.connect() as connection:
            return [Run(each.run, each.graph, each.started, each.ended) for each in connection.execute(query)]

    def report(self, run: Run) -> Report:
        """Return the figures of a run."""
        with _plainly(self._url), self._engine.connect() as connection:
            gates = connection.execute(sql.select(_RUNS.c.gates).where(_RUNS.c.run == run.run)).scalar_one()
            rows = list(connection.execute(_windows_of(run.run)))
        figures, ended = Figures(), run.started
        for row in rows:
            figures.merge(_read(row.figures))
            ended = row.ended
        return Report(run.graph, run.run, run.started, ended, cast("Plain", json.loads(gates)), figures)

    def windows(self, run: Run) -> Iterator[tuple[float, float, Figures]]:
        """Yield a run's windows: from, until, and the figures."""
        with _plainly(self._url), self._engine.connect() as connection:
            rows = list(connection.execute(_windows_of(run.run)))
        for row in rows:
            yield row.started, row.ended, _read(row.figures)

    def samples(self, run: Run) -> list[Sample]:
        """Return the worst disagreements that were kept of a run, the worst first."""
        query = sql.select(_SAMPLES).where(_SAMPLES.c.run == run.run).order_by(_SAMPLES.c.place)
        with _plainly(self._url), self._engine.connect() as connection:
            return [
                Sample(
                    (row.differing, row.error),
                    row.request,
                    row.live,
                    row.candidate,
                    row.asked,
                    row.live_answer,
                    row.answer,
                )
                for row in connection.execute(query)
            ]

    def _open_tables(self) -> None:
        # Another process may make the same tables at the same moment: what one of them lost is there the next time.
        for _ in range(OPENINGS - 1):
            try:
                self._make_tables()
            except (IntegrityError, OperationalError, ProgrammingError):
                time.sleep(OPENING_SECONDS)
            else:
                return
        self._make_tables()

    def _make_tables(self) -> None:
        with self._engine.begin() as connection:
            _TABLES.create_all(connection)
            version = connection.execute(sql.select(sql.func.max(_FORMAT.c.version))).scalar()
            if version is None:
                connection.execute(sql.insert(_FORMAT).values(version=VERSION))
            elif version > VERSION:
                raise StoreError(
                    f"`{_show(self._url)}` was written by a later graphc: its tables have version {version}, "
                    f"and this one knows {VERSION}"
                )


class Recording:
    """One run that is being written."""

    def __init__(self, engine: sql.Engine, run: str) -> None:
        self.run = run
        self._engine = engine
        self._number = 0

    def write(self, started: float, ended: float, figures: Figures) -> bool:
        """Store a window; False where the database does not take it now."""
        text = json.dumps(figures.to_plain(), separators=(",", ":"), allow_nan=False)
        row = {"run": self.run, "number": self._number, "started": started, "ended": ended, "figures": text}
        try:
            with self._engine.begin() as connection:
                connection.execute(sql.insert(_WINDOWS).values(row))
                rows = list(connection.execute(_windows_of(self.run)))
                if len(rows) > MOST_WINDOWS:
                    connection.execute(sql.delete(_WINDOWS).where(_WINDOWS.c.run == self.run))
                    connection.execute(sql.insert(_WINDOWS), _halve(self.run, rows))
        except SQLAlchemyError:
            return False
        self._number += 1
        return True

    def keep(self, samples: list[Sample]) -> None:
        """Store the worst disagreements in the place of those stored before."""
        rows = [
            {
                "run": self.run,
                "place": place,
                "differing": each.score[0],
                "error": min(each.score[1], 1e300),
                "request": _as_text(each.request, REQUEST_LETTERS),
                "live": _as_text(each.live, GRAPH_LETTERS),
                "candidate": _as_text(each.candidate, GRAPH_LETTERS),
                "asked": each.asked,
                "live_answer": each.live_answer,
                "answer": each.answer,
            }
            for place, each in enumerate(samples)
        ]
        try:
            with self._engine.begin() as connection:
                connection.execute(sql.delete(_SAMPLES).where(_SAMPLES.c.run == self.run))
                if rows:
                    connection.execute(sql.insert(_SAMPLES), rows)
        except SQLAlchemyError:
            # They come again with the next window.
            return

    def close(self, ended: float) -> None:
        """Say that the run has ended; one that was killed has no end."""
        try:
            with self._engine.begin() as connection:
                connection.execute(sql.update(_RUNS).where(_RUNS.c.run == self.run).values(ended=ended))
        except SQLAlchemyError:
            return
        finally:
            self._engine.dispose()


def _as_text(given: str, most: int) -> str:
    """Return what every database takes as text: clients choose these names, and PostgreSQL has no zero bytes."""
    return given.encode("utf-8", "replace").decode().replace("\0", "?")[:most]


def url_of(place: str) -> str:
    """Return the URL of a database that is named by URL or by file."""
    return place if "://" in place else f"sqlite:///{Path(place).absolute()}"


def _windows_of(run: str) -> sql.Select[Any, Any, Any]:
    columns = sql.select(_WINDOWS.c.started, _WINDOWS.c.ended, _WINDOWS.c.figures)
    return columns.where(_WINDOWS.c.run == run).order_by(_WINDOWS.c.started, _WINDOWS.c.number)


def _halve(run: str, rows: Sequence[sql.Row[Any, Any, Any]]) -> list[dict[str, object]]:
    """Merge each window with its neighbour."""
    merged: list[dict[str, object]] = []
    for number, first in enumerate(rows[::2]):
        figures, ended = _read(first.figures), first.ended
        for second in rows[2 * number + 1 : 2 * number + 2]:
            figures.merge(_read(second.figures))
            ended = second.ended
        text = json.dumps(figures.to_plain(), separators=(",", ":"), allow_nan=False)
        merged.append(
            {"run": run, "number": number, "started": first.started, "ended": ended, "figures": text}
        )
    return merged


def _read(text: str) -> Figures:
    try:
        return Figures.of_plain(cast("Plain", json.loads(text)))
    except ValueError as error:
        raise StoreError(f"the database holds figures that cannot be read: {error}") from error


def _prepare_sqlite(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=5000")
    # Readers go on while a window is written, and a killed writer leaves whole windows.
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


@contextmanager
def _plainly(url: str) -> Generator[None]:
    try:
        yield
    except (SQLAlchemyError, ImportError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise StoreError(f"the database `{_show(url)}` cannot be used: {reason}") from error


def _show(url: str) -> str:
    """Return the URL without its password."""
    try:
        return sql.make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return url.partition("://")[0]
