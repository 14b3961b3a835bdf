"""Runs MLServer in this process, as its command does, with the data plane in front."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
from typing import Final

from graphc_runtimes.without_pandas import import_mlserver

import_mlserver()

from mlserver.utils import install_uvloop_event_loop  # noqa: E402

# Imported before a process is forked, once for all of them.
from graphc_runtimes import region_model, repository  # noqa: E402
from graphc_runtimes.errors import RegionError  # noqa: E402
from graphc_runtimes.host import serve  # noqa: E402
from graphc_runtimes.limits import read_limits  # noqa: E402

IMPORTED: Final = (region_model, repository)
"""What MLServer finds by name."""


def host(folder: str) -> None:
    """Serve until a signal ends it."""
    try:
        limits = read_limits()
    except RegionError as error:
        raise SystemExit(f"graphc: {error}") from None
    install_uvloop_event_loop()
    asyncio.run(serve(folder, limits))
