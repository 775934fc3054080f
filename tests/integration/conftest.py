"""Fixtures of all integration tests: one control plane per run, one namespace per test."""

import secrets
from collections.abc import Iterator

import pytest

from support.controlplane import ControlPlane, running_control_plane, with_crds
from support.rooms import ask


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A real API server with its controllers and scheduler; no node, no operator, no CRDs. All workers share it."""
    keeper = getattr(request.config, "workerinput", {}).get("keeper")
    if keeper:
        yield ask(keeper, "control plane")
        return
    with running_control_plane(tmp_path_factory.mktemp("controlplane")) as running:
        yield running


@pytest.fixture(scope="session")
def crds(control_plane: ControlPlane) -> ControlPlane:
    """The control plane, with the project's CRDs served."""
    return with_crds(control_plane)


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A fresh namespace in which pods may be created; deleted, without waiting for it, after the test."""
    name = f"test-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", name)
    # Before its default ServiceAccount exists, the API server refuses every pod.
    control_plane.kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=30s")
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")
