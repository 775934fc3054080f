"""Bring a cluster up: which program first, what it waits for, and what is put into the API server in between."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from kingmaker.kube.client import KubeClient
from kingmaker.kube.errors import ApiError
from kingmaker.kube.kubeconfig import read_kubeconfig
from kingmaker_laptop import assets, bootstrap
from kingmaker_laptop.components import Cluster
from kingmaker_laptop.credentials import NODE_NAME, render_kubeconfig
from kingmaker_laptop.errors import LocalError
from kingmaker_laptop.files import write_private
from kingmaker_laptop.fleet import Fleet, answers

PARTS = ("crds", "node", "operator")
"""What can be left out of a cluster."""

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BringUp:
    """One cluster on its way up.

    Attributes:
        without: Members of PARTS that are left out.
        report: Told what is being waited for, in a few words.
    """

    cluster: Cluster
    fleet: Fleet
    without: frozenset[str]
    report: Report

    async def run(self, *, deadline_seconds: float) -> None:
        """Return when everything is ready.

        Raises:
            LocalError: A program ended, the API server refused something, or the deadline is over.
        """
        waiting_for = ["etcd"]

        def report(step: str) -> None:
            waiting_for[0] = step
            self.report(step)

        try:
            async with asyncio.timeout(deadline_seconds):
                await self._run(report)
        except TimeoutError as error:
            raise LocalError(
                f"not ready after {deadline_seconds:g} s, waiting for: {waiting_for[0]}; "
                f"look into {self.cluster.home.logs}, and try --deadline with more seconds on a slow machine"
            ) from error
        except ApiError as error:
            raise LocalError(f"the API server refused to be set up: {error}; see {self.cluster.home.logs}") from error

    async def _run(self, report: Report) -> None:
        connection = read_kubeconfig(self.cluster.home.kubeconfig)
        headers = {"Authorization": f"Bearer {connection.token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            KubeClient(connection, agent="kingmaker") as client,
        ):

            async def healthy(url: str) -> bool:
                return await answers(session, url, tls=connection.tls)

            report("API server")
            await self.fleet.start(self.cluster.etcd(), self.cluster.api_server())
            await self.fleet.wait_until(lambda: healthy(f"{self.cluster.server}/readyz"), "the API server is ready")
            report("resource definitions")
            # While nothing else asks the API server: on two cores that is the quickest order.
            await self._fill(client)
            await self._start_others()
            report("controllers")
            await self._wait_for_controllers(client, healthy)
            if "node" not in self.without:
                report("node")
                await self.fleet.wait_until(lambda: self._has_node(client), "the node is ready")
            if "operator" not in self.without:
                report("operator")
                ready = f"http://127.0.0.1:{self.cluster.ports.metrics}/readyz"
                await self.fleet.wait_until(lambda: healthy(ready), "the operator is ready")

    async def _fill(self, client: KubeClient) -> None:
        if "crds" not in self.without:
            definitions = assets.custom_resource_definitions()
            await bootstrap.apply_definitions(client, definitions)
            await self.fleet.wait_until(lambda: bootstrap.are_served(client, definitions), "the resources are served")
        if "operator" not in self.without:
            await bootstrap.grant_rights(client, assets.operator_rules())
            user = f"system:serviceaccount:{bootstrap.NAMESPACE}:{bootstrap.ACCOUNT}"
            token = await bootstrap.request_token(client)
            home = self.cluster.home
            kubeconfig = render_kubeconfig(home, server=self.cluster.server, user=user, token=token)
            write_private(home.user_kubeconfig("operator"), kubeconfig)

    async def _start_others(self) -> None:
        if "operator" not in self.without:
            await self.fleet.start(self.cluster.operator())
        await self.fleet.start(self.cluster.controller_manager(), self.cluster.scheduler())
        if "node" not in self.without:
            await self.fleet.start(self.cluster.node())

    async def _wait_for_controllers(self, client: KubeClient, healthy: Callable[[str], Awaitable[bool]]) -> None:
        ports = self.cluster.ports
        for port, name in ((ports.controller_manager, "controller manager"), (ports.scheduler, "scheduler")):
            url = f"https://127.0.0.1:{port}/healthz"
            await self.fleet.wait_until(functools.partial(healthy, url), f"the {name} is healthy")
        # Without it the API server refuses every pod of the namespace.
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        await self.fleet.wait_until(lambda: bootstrap.exists(client, account), "pods may be created")

    async def _has_node(self, client: KubeClient) -> bool:
        # The last run's Node object may still say Ready, so the endpoint of the new process must answer too.
        _, writer = await asyncio.open_connection("127.0.0.1", self.cluster.ports.node)
        writer.close()
        conditions = (await client.get(f"/api/v1/nodes/{NODE_NAME}")).get("status", {}).get("conditions", [])
        return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
