"""Runs MLServer in this process, as its command does."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
from typing import Final

from mlserver.cli.serve import load_settings
from mlserver.server import MLServer
from mlserver.utils import install_uvloop_event_loop

# Imported before a process is forked, once for all of them.
from graphc_runtimes import model, repository

IMPORTED: Final = (model, repository)
"""What MLServer finds by name."""


def host(folder: str) -> None:
    """Serve until a signal ends it."""
    install_uvloop_event_loop()
    asyncio.run(_serve(folder))


async def _serve(folder: str) -> None:
    settings, models = await load_settings(folder)
    await MLServer(settings).start(models)
