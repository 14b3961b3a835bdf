"""Takes over what changes in the files of a run: the graph, its models and its Python files.

What changed is compiled and started beside what serves. It takes over once it is ready, and a change in which something
is wrong leaves everything as it was.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Final, TypeVar

from graphc.rollout.describe import describe_rollout
from graphc.rollout.shares import Rollout
from graphc.run.following import Source, content_of, read_rollout_of
from graphc.run.load import Loaded
from graphc.run.problem import say_reason
from graphc.run.running import Fresh

_T = TypeVar("_T")

LOOK_SECONDS: Final = 0.3
_MOST_FOLDERS: Final = 500
"""So many folders are looked into for a file that was missing."""

_OWN: Final = frozenset({"__main__", "graphc", "graphc_components", "graphc_runtimes"})
"""Modules that no graph file brings."""

Stamp = tuple[int, int, int]
Stamps = dict[Path, Stamp | None]


@dataclass(frozen=True, slots=True)
class Watcher:
    """Looks at the files of a run, and has it take over what changed."""

    source: Source
    first: Loaded
    prepare: Callable[[Loaded], Fresh | None]
    """Lays out what is to be started; None where something is wrong, which was said."""
    replace: Callable[[Fresh], Awaitable[str | None]]
    share: Callable[[Rollout], Awaitable[None]]
    say: Callable[[str], None]
    since: Stamps | None = None
    """The files as they were when the first graph was read: starting it takes a while. None is as they are now."""

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        serving, is_whole = self.first, True
        seen = taken = self.since or self._stamp(serving, is_whole=is_whole)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._stamp(serving, is_whole=is_whole) == seen:
                continue
            # A file that is being written is waited for.
            now = await self._settle(serving, is_whole=is_whole)
            self._tell(path for path in dict.fromkeys([*now, *seen]) if now.get(path) != seen.get(path))
            others = {Path(each) for each in self.source.files}
            is_same = all(now.get(path) == stamp for path, stamp in taken.items() if path not in others)
            found = await self._take_over(serving, is_same=is_same)
            serving, is_whole = found or serving, found is not None
            # What changed while it was read is seen at the next look; what is new to the watch was read just now.
            seen = {
                path: now.get(path, stamp) for path, stamp in self._stamp(serving, is_whole=is_whole).items()
            }
            taken = seen if is_whole else taken

    def _tell(self, changed: Iterable[Path]) -> None:
        files = [str(path) for path in changed if not path.is_dir()]
        if files:
            self.say(
                f"changed: {', '.join(files[:3])}{f' and {len(files) - 3} more' if len(files) > 3 else ''}"
            )

    async def _settle(self, serving: Loaded, *, is_whole: bool) -> Stamps:
        before = self._stamp(serving, is_whole=is_whole)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = self._stamp(serving, is_whole=is_whole)
            if now == before:
                return now
            before = now

    async def _take_over(self, serving: Loaded, *, is_same: bool) -> Loaded | None:
        """Have the run take over what the files say now; None where it cannot, which is said.

        Where the files beside the graph files are the same, it may be the graph that serves, shared otherwise.
        """
        _forget_modules(self.source.files)
        found = await _run_aside(self.source.read)
        if found is None:
            return self._keep()
        if is_same and content_of(found) == content_of(serving) and await self._share(found, serving):
            return found
        try:
            fresh = await _run_aside(lambda: self.prepare(found))
        except OSError as failure:
            self.say(f"error: what changed cannot be laid out: {say_reason(failure)}")
            return self._keep()
        problem = None if fresh is None else await self.replace(fresh)
        if problem is not None:
            self.say(f"error: {problem}")
        return self._keep() if fresh is None or problem is not None else found

    async def _share(self, found: Loaded, serving: Loaded) -> bool:
        """Share the requests otherwise, where no more has changed; say whether that was all."""
        rollout, before = read_rollout_of(found), read_rollout_of(serving)
        if rollout is None or before is None or rollout.paths != before.paths:
            return False
        if rollout == before:
            self.say("the graph is as it was")
        else:
            await self.share(rollout)
            self.say(describe_rollout(rollout))
        return True

    def _keep(self) -> None:
        self.say("the graph goes on as it was; the next change is tried again")

    def _stamp(self, loaded: Loaded, *, is_whole: bool) -> Stamps:
        return stamp_files(self.source, loaded, is_whole=is_whole)


async def _run_aside(work: Callable[[], _T]) -> _T:
    """Run a function in a thread that keeps no process from ending: a graph file in Python may never return."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(found: Future[_T]) -> None:
        if done.cancelled():
            return
        fault = found.exception()
        if fault is None:
            done.set_result(found.result())
        else:
            done.set_exception(fault)

    def run() -> None:
        found = Future[_T]()
        try:
            found.set_result(work())
        except BaseException as fault:
            found.set_exception(fault)
        # Who waited may have ended, with its loop.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, found)

    Thread(target=run, name="graphc-watch", daemon=True).start()
    return await done


def stamp_files(source: Source, loaded: Loaded, *, is_whole: bool = True) -> Stamps:
    """Return what changes when a file does; where one may be missing, the folders around too."""
    paths = {Path(each) for each in source.files}
    paths |= {
        file for each in loaded.overrides.values() for local in each.values() for file in local.files.values()
    }
    paths |= {*loaded.asked, *_list_modules(source.files)}
    if not is_whole:
        paths |= set(_list_folders({path.parent for path in map(Path, source.files)}))
    return {path: _look(path) for path in sorted(paths)}


def _look(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size if path.is_file() else 0, found.st_ino


def _list_folders(roots: set[Path]) -> Iterator[Path]:
    left = _MOST_FOLDERS
    for root in sorted(roots):
        for place, folders, _ in os.walk(root):
            folders[:] = sorted(each for each in folders if not each.startswith((".", "__pycache__")))
            yield Path(place)
            left -= 1
            if not left:
                return


def _list_modules(files: Sequence[str]) -> Iterator[Path]:
    """Yield the files of modules that graph files in Python imported from beside themselves."""
    roots = {Path(each).parent.resolve() for each in files if each.endswith(".py")}
    for name, module in list(sys.modules.items()) if roots else ():
        place = getattr(module, "__file__", None)
        if place and name.partition(".")[0] not in _OWN and _is_beside(Path(place), roots):
            yield Path(place)


def _is_beside(place: Path, roots: set[Path]) -> bool:
    # An environment may lie below the folder of a graph, too.
    is_installed = "site-packages" in place.parts or place.is_relative_to(sys.prefix)
    return not is_installed and bool(roots.intersection(place.resolve().parents))


def _forget_modules(files: Sequence[str]) -> None:
    """Have modules beside graph files in Python imported anew."""
    forgotten = set(_list_modules(files))
    for name, module in list(sys.modules.items()) if forgotten else ():
        place = getattr(module, "__file__", None)
        if place and Path(place) in forgotten:
            del sys.modules[name]
