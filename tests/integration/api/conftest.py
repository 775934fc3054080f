"""What the tests of the API ask the real API server with."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from kingmaker.kube.client import KubeClient
from kingmaker.kube.kubeconfig import read_kubeconfig
from support.controlplane import ControlPlane

Create = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


def collection(body: dict[str, Any], namespace: str) -> str:
    """Path of the collection that an object belongs to."""
    return f"/apis/{body['apiVersion']}/namespaces/{namespace}/{body['kind'].lower()}s"


@pytest.fixture
async def admin(crds: ControlPlane) -> AsyncIterator[KubeClient]:
    """A client that may do everything."""
    async with KubeClient(read_kubeconfig(crds.kubeconfig), agent="test") as client:
        yield client


@pytest.fixture
def try_create(admin: KubeClient) -> Create:
    """Creates an object strictly, without keeping it: defaults and refusals are the server's own."""

    async def create(body: dict[str, Any]) -> dict[str, Any]:
        return await admin.create(f"{collection(body, 'default')}?dryRun=All&fieldValidation=Strict", body)

    return create
