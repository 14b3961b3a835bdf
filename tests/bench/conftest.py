"""The server with known delays, anew for each test."""

from collections.abc import Generator

import pytest
from slow_server import Slow, SlowServer


@pytest.fixture(scope="session")
def running() -> Generator[SlowServer]:
    server = SlowServer()
    yield server
    server.close()


@pytest.fixture
def server(running: SlowServer) -> SlowServer:
    running.slow = Slow()
    return running
