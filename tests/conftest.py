"""`--update`, and goldens: files that a text must equal byte for byte."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

# xdist has its types in its sources.
from xdist.remote import Producer  # pyright: ignore[reportMissingTypeStubs]
from xdist.scheduler import LoadScopeScheduling  # pyright: ignore[reportMissingTypeStubs]

# On a busy machine, drawing takes long too: how long an example takes says nothing of what is tested.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

GOLDEN: Final = Path(__file__).parent / "golden"
"""Goldens live in a folder for each test module: golden/test_emit/fraud.yaml."""

WORKERS: Final = 2
"""Enough for two cores."""

FIRST: Final = (
    "tests/images/",
    "tests/cluster/test_change_faults.py",
    "tests/meaning/",
    "tests/fuzz/",
    "tests/cluster/",
    "tests/servers/",
)
"""Where the slow tests are that take longest: the workers begin with them, so that none is left with one at the end."""

SHARING: Final = ("tests/images/", "tests/servers/")
"""Folders whose slow tests share what takes long to make: one worker does all of each."""

_PARTED: Final = ("not slow", "slow")

Golden = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="rewrite goldens and the comments of reject files")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--update") and os.environ.get("CI"):
        raise pytest.UsageError("--update writes what it should check: it does nothing where CI is set")
    config.pluginmanager.register(GoldenKeeper(update=bool(config.getoption("--update"))), "golden-keeper")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what installs gigabytes, and what runs containers, unless the run is for that.

    A slow run begins with what takes longest.
    """
    if config.option.markexpr == "slow":
        items.sort(key=_find_place)
    for marker in ("heavy", "node"):
        if marker not in config.option.markexpr:
            left_out = [each for each in items if each.get_closest_marker(marker) is not None]
            config.hook.pytest_deselected(items=left_out)
            items[:] = [each for each in items if each.get_closest_marker(marker) is None]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Part a tier among workers; a single file is not worth their start."""
    is_file = len(config.args) == 1 and ("::" in config.args[0] or config.args[0].endswith(".py"))
    return 0 if is_file or config.option.markexpr not in _PARTED else WORKERS


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Part the slow tier file by file too, but have one worker do all that share something."""
    if config.option.markexpr != "slow" or config.option.dist != "loadfile":
        return None
    # They are in order already.
    config.option.loadscopereorder = False
    return _ByShare(config, log)


class _ByShare(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((folder for folder in SHARING if file.startswith(folder)), file)


def _find_place(item: pytest.Item) -> int:
    return next((place for place, path in enumerate(FIRST) if item.nodeid.startswith(path)), len(FIRST))


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    """Whether files that state what is expected are to be rewritten."""
    return bool(request.config.getoption("--update"))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare a text to the golden of that name, which belongs to this test module."""
    keeper = request.config.pluginmanager.get_plugin("golden-keeper")
    assert isinstance(keeper, GoldenKeeper)
    folder = GOLDEN / request.path.stem
    return lambda path, text: keeper.compare(folder / path, text)


class GoldenKeeper:
    """Compares goldens, and finds those that no test asks for any more."""

    def __init__(self, *, update: bool) -> None:
        self._update = update
        self._asked: set[Path] = set()
        self._collected: dict[str, set[str]] = {}
        self._passed: set[str] = set()
        self._orphans: list[Path] = []
        self._is_whole = True
        """Whether every worker told of the goldens that its tests asked for."""

    def compare(self, path: Path, text: str) -> None:
        """Fail unless the golden holds exactly that text; with --update, write it."""
        self._asked.add(path)
        name = path.relative_to(GOLDEN).as_posix()
        if self._update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        elif not path.exists():
            pytest.fail(f"golden/{name} is missing: look at what `pytest --update` writes, and commit it")
        else:
            assert text == path.read_bytes().decode(), f"golden/{name} differs: `pytest --update` rewrites it"

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Remember every test of a module, those that are deselected later included."""
        self._collected.setdefault(item.path.stem, set()).add(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember the tests that ran and passed."""
        if report.when == "call" and report.passed:
            self._passed.add(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run, or with --update delete, where a golden belongs to no test.

        A worker cannot know: it tells the process that has the results of all workers.
        """
        told: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
        if told is not None:
            told["goldens"] = sorted(map(str, self._asked))
            told["collected"] = {module: sorted(names) for module, names in self._collected.items()}
            return
        self._orphans = list(self._find_orphans(session.config))
        if self._orphans and self._update:
            for path in self._orphans:
                path.unlink()
        elif self._orphans and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker tells at its end; one that crashed tells nothing."""
        told: dict[str, Any] = getattr(node, "workeroutput", {})
        self._is_whole &= "goldens" in told
        self._asked.update(map(Path, told.get("goldens", ())))
        for module, names in told.get("collected", {}).items():
            self._collected.setdefault(module, set()).update(names)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name the orphans."""
        for path in self._orphans:
            done = "deleted, as" if self._update else "an orphan:"
            name = path.relative_to(GOLDEN).as_posix()
            terminalreporter.write_line(f"golden/{name} is {done} no test asks for it", red=not self._update)

    def _find_orphans(self, config: pytest.Config) -> Iterator[Path]:
        modules = {path.stem for path in Path(__file__).parent.rglob("test_*.py")}
        for path in sorted(each for each in GOLDEN.rglob("*") if each.is_file()):
            owner = path.relative_to(GOLDEN).parts[0]
            if owner not in modules or (self._ran_whole(owner, config) and path not in self._asked):
                yield path

    def _ran_whole(self, module: str, config: pytest.Config) -> bool:
        """Say whether all of a module's tests ran and passed, so that what they did not ask for is unused."""
        collected = self._collected.get(module, set())
        is_selection = any("::" in argument for argument in config.args)
        return self._is_whole and bool(collected) and collected <= self._passed and not is_selection
