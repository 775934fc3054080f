"""How verbs find the cluster and read it."""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kingmaker.adapters.cluster import KubernetesCluster
from kingmaker.adapters.connection import connect
from kingmaker.core.manifests.objects import DEPLOYMENT_UID
from kingmaker.kube.kubeconfig import KubeconfigError
from kingmaker.ports import Body, ClusterError
from kingmaker_laptop.errors import LocalError
from kingmaker_laptop.verbs.flags import add_home, home_of


@dataclass(frozen=True, slots=True)
class Target:
    """A ModelDeployment and the kubeconfig of the cluster that it is in."""

    kubeconfig: Path
    namespace: str
    name: str


def add_target(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that name a ModelDeployment."""
    add_home(parser)
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="another cluster than that of --dir")
    parser.add_argument("-n", "--namespace", default="default", metavar="NS", help="default: %(default)s")
    parser.add_argument("name", metavar="NAME", help="name of the ModelDeployment")


def target_of(options: argparse.Namespace) -> Target:
    """Find the cluster: --kubeconfig, else the laptop's of --dir, else $KUBECONFIG or ~/.kube/config."""
    laptop = home_of(options).kubeconfig
    usual = Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    file = options.kubeconfig or (laptop if laptop.exists() else usual)
    if not file.exists():
        msg = f"no cluster: there is no {laptop}, and no {usual}; start one with kingmaker up, or name a --kubeconfig"
        raise LocalError(msg)
    return Target(file, options.namespace, options.name)


@asynccontextmanager
async def connected(target: Target) -> AsyncIterator[KubernetesCluster]:
    """Connect to the cluster of a target; what goes wrong there is said in one line."""
    try:
        client = await connect(str(target.kubeconfig))
    except (KubeconfigError, OSError) as error:
        raise LocalError(f"{target.kubeconfig}: {error}") from error
    async with client:
        try:
            yield KubernetesCluster(client)
        except ClusterError as error:
            raise LocalError(str(error)) from error


async def read_deployment(cluster: KubernetesCluster, target: Target) -> Body:
    """Read the ModelDeployment, or say which ones there are."""
    body = await cluster.get("ModelDeployment", target.namespace, target.name)
    if body is not None:
        return body
    names = [b["metadata"]["name"] for b in await cluster.list("ModelDeployment", target.namespace)]
    there = f"there are: {', '.join(sorted(names))}" if names else "there is none"
    raise LocalError(f"no ModelDeployment {target.name} in namespace {target.namespace}; {there}")


async def read_decisions(target: Target) -> list[dict[str, Any]]:
    """Read a deployment's records, oldest first."""
    async with connected(target) as cluster:
        body = await read_deployment(cluster, target)
        found = await cluster.list("Decision", target.namespace, {DEPLOYMENT_UID: body["metadata"]["uid"]})
    return [dict(record) for record in sorted(found, key=lambda r: int(r["spec"]["sequence"]))]
