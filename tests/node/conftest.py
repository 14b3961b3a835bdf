"""One node for all tests of this folder: `pytest -m node` runs them, as root."""

from collections.abc import Iterator

import pytest
from control_plane import ROUTES, install_crds
from real_node import Node, find_missing, running_node


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Run a node with the images of units and of the engine; its cluster knows the routes of gateways."""
    if missing := find_missing():
        pytest.skip(missing)
    with running_node() as node:
        install_crds(node.kubectl, ROUTES, tmp_path_factory.mktemp("modules"))
        yield node
