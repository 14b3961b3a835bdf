"""Serves the unit that the environment describes: `python -m graphc_runtimes FOLDER`; the folder may be empty."""

import sys

from graphc_runtimes.workers import Start, serve_unit


def _prepare() -> Start:
    # MLServer takes seconds to import, and what is wrong with the environment is said before.
    from graphc_runtimes.hosting import host

    folder = sys.argv[1]
    return lambda: host(folder)


if __name__ == "__main__":
    sys.exit(serve_unit(_prepare))
