"""Real containers on the cluster of $KUBECONFIG. `make test-cluster` says what has to be there.

Everything is installed once for all workers: the chart, a store for models, a pod with clients, the demo's models.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kingmaker_laptop.demo.scenario import EXAMPLE
from support.clients import NAMESPACE as CLIENTS
from support.clients import POD, Clients
from support.cluster import Cluster
from support.once import once
from support.release import NAMESPACE as SYSTEM
from support.release import TENANTS, Images, Release
from support.store import Store, secret


@pytest.fixture(scope="session")
def images() -> Images:
    found = Images.read()
    missing = [name for name in ("KUBECONFIG", "KINGMAKER_IMAGES") if not os.environ.get(name)]
    missing += [
        program for program in ("kubectl", os.environ.get("KINGMAKER_HELM", "helm")) if not shutil.which(program)
    ]
    if missing or found is None:
        pytest.skip(f"needs {' and '.join(missing)}; see docs/testing.md")
    return found


@pytest.fixture(scope="session")
def cluster(images: Images) -> Cluster:
    return Cluster()


@pytest.fixture(scope="session")
def release(cluster: Cluster, images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The chart, installed for all tenants."""
    release = Release(cluster, images, tmp_path_factory.mktemp("release"))

    def install(_: Path) -> None:
        for namespace in (SYSTEM, *TENANTS):
            cluster.create_namespace(namespace)
        for namespace in TENANTS:
            cluster.apply(secret(namespace))
        print(f"\nhelm install --wait: {release.install(*TENANTS):.1f} s")

    once(tmp_path_factory, "release", install)
    yield release
    print(release.logs())


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's models and rows, made once."""

    def build(folder: Path) -> None:
        command = [sys.executable, str(EXAMPLE / "build.py"), "--out", str(folder / "models")]
        subprocess.run(command, check=True, capture_output=True)

    return once(tmp_path_factory, "built", build) / "models"


@pytest.fixture(scope="session")
def clients(cluster: Cluster, images: Images, built: Path, tmp_path_factory: pytest.TempPathFactory) -> Clients:
    """A pod that asks, and a store with the models."""
    clients = Clients(cluster, images)

    def start(_: Path) -> None:
        store = Store(cluster, images)
        store.start()
        clients.start()
        store.upload(built, namespace=CLIENTS, by=POD)

    once(tmp_path_factory, "clients", start)
    return clients
