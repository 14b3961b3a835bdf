"""Become a process that does not outlive the run (on Linux): `child.py PARENT PROGRAM ARGUMENT...`."""

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Ask the kernel for an end with the parent, then turn into the program."""
    parent, *program = sys.argv[1:]
    if sys.platform == "linux":
        # SIGTERM, not SIGKILL: MLServer then ends its own workers too.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        # The parent may have died before the request was made.
        if os.getppid() != int(parent):
            return
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
