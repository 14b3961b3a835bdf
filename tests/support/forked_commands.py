"""Runs graphc commands as processes of their own that start at once: forks of one that has imported everything."""

import json
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PARENT: Final = """
import json, os, sys
import graphc.cli.apply_command, graphc.cli.rollback_command, graphc.cli.delete_command, graphc.cli.promote_command
import kubernetes.client, kubernetes.config, urllib3
from graphc.cli import start
for line in sys.stdin:
    arguments, log = json.loads(line)
    child = os.fork()
    if not child:
        sys.argv = ["graphc", *arguments]
        for number in (1, 2):
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        code = 99
        try:
            start()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1 if end.code else 0
        finally:
            sys.stdout.flush(); sys.stderr.flush()
            os._exit(code)
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


@dataclass
class Forks:
    """Starts commands, one at a time."""

    _parent: subprocess.Popen[str]
    _log: Path

    def start(self, arguments: Sequence[str]) -> int:
        """Start a command and return its process."""
        self._log.unlink(missing_ok=True)
        assert self._parent.stdin is not None
        self._parent.stdin.write(json.dumps([list(arguments), str(self._log)]) + "\n")
        self._parent.stdin.flush()
        return int(self._line())

    def wait(self) -> tuple[int, str]:
        """Return the exit code, negative for a signal, and all that was written."""
        code = int(self._line())
        return code, self._log.read_text() if self._log.exists() else ""

    def run(self, arguments: Sequence[str]) -> tuple[int, str]:
        """Run a command to its end."""
        self.start(arguments)
        return self.wait()

    def _line(self) -> str:
        assert self._parent.stdout is not None
        line = self._parent.stdout.readline()
        assert line, "the parent of the commands has ended"
        return line


@contextmanager
def forking(folder: Path) -> Generator[Forks]:
    """Keep the parent of commands while the block runs."""
    command = [sys.executable, "-c", _PARENT]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
    ) as parent:
        try:
            yield Forks(parent, folder / "command.log")
        finally:
            assert parent.stdin is not None
            parent.stdin.close()
            parent.wait(30)
