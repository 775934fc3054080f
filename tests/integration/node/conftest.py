"""One node per session, as the control plane has one name and one set of credentials for it."""

import shutil
from collections.abc import AsyncIterator, Iterator

import pytest

from support.controlplane import ControlPlane, running_control_plane
from support.processnode import Api, ProcessNode, connected


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One of its own: on the one that all share pods start nowhere."""
    with running_control_plane(tmp_path_factory.mktemp("controlplane")) as running:
        yield running


@pytest.fixture(scope="session")
def running_node(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessNode]:
    """A node that runs all the time; tests may restart its process."""
    node = ProcessNode(control_plane, tmp_path_factory.mktemp("node") / "node")
    node.start()
    control_plane.kubectl("wait", "--for=create", "node/laptop", "--timeout=30s")
    control_plane.kubectl("wait", "--for=condition=Ready", "node/laptop", "--timeout=30s")
    yield node
    node.stop()
    shutil.rmtree(node.folder, ignore_errors=True)


@pytest.fixture
def node(running_node: ProcessNode) -> ProcessNode:
    """The node, its process running."""
    if running_node.process is None or running_node.process.poll() is not None:
        running_node.start()
    return running_node


@pytest.fixture
async def api(node: ProcessNode, namespace: str) -> AsyncIterator[Api]:
    """The API in the test's namespace, with a node behind it."""
    async with connected(node.control_plane, namespace) as found:
        yield found
