"""Databases for figures: SQLite in a file, and a PostgreSQL server of this run's own where there is one."""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from graphc.compare.store import url_of

PLACES: Final = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
OTHER_USER: Final = "nobody"
"""PostgreSQL refuses to run as root."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database."""
    if request.param == "sqlite":
        return url_of(str(tmp_path / "runs.db"))
    make: Callable[[], str] = request.getfixturevalue("postgresql")
    return make()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """Start a server on a socket of its own; what it yields makes an empty database and returns its URL."""
    programs = _find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: there is no `initdb`")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("SQLAlchemy's driver for PostgreSQL is not installed: pip install 'psycopg[binary]'")
    with _serving(programs) as folder:
        numbers = iter(range(1000))

        def make() -> str:
            name = f"figures{next(numbers)}"
            _run([programs / "createdb", "-h", folder, "-U", "graphc", name])
            return f"postgresql+psycopg://graphc@/{name}?host={folder}"

        yield make


def _find_programs() -> Path | None:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    folders = [each for place in PLACES for each in Path("/").glob(place.lstrip("/"))]
    return max((each for each in folders if (each / "initdb").is_file()), default=None)


@contextmanager
def _serving(programs: Path) -> Generator[Path]:
    # Short: a socket's path has at most 107 letters.
    with tempfile.TemporaryDirectory(prefix="graphc-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if os.getuid() == 0:
            shutil.chown(folder, OTHER_USER)
        data = folder / "data"
        _run([programs / "initdb", "-D", data, "-U", "graphc", "-A", "trust", "--no-sync", "-E", "UTF8"])
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        control = [programs / "pg_ctl", "-D", data, "-w", "-t", "60"]
        _run([*control, "-l", folder / "server.log", "-o", options, "start"])
        try:
            yield folder
        finally:
            _run([*control, "-m", "immediate", "stop"])


def _run(command: list[str | Path]) -> None:
    user = OTHER_USER if os.getuid() == 0 else None
    done = subprocess.run(
        command,
        user=user,
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
