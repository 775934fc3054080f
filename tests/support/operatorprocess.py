"""The operator as a process of its own, with the rights that the chart gives it, at a bare control plane."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from kingmaker.kube.client import KubeClient
from kingmaker_laptop import bootstrap
from kingmaker_laptop.assets import operator_rules
from kingmaker_laptop.credentials import render_kubeconfig
from kingmaker_laptop.home import Home
from kingmaker_laptop.ports import Ports, read_ports
from support.controlplane import ControlPlane
from support.processes import cpu_seconds, memory_mebibytes


@dataclass(frozen=True)
class OperatorProcess:
    """A running operator."""

    process: asyncio.subprocess.Process
    ports: Ports
    session: aiohttp.ClientSession
    log: Path
    started: float
    """Monotonic seconds."""

    async def metric(self, name: str) -> float:
        """Sum of all series of a metric, by its name as exposed."""
        return sum_of(await self.exposition(), name)

    async def exposition(self) -> str:
        """All of its metrics; empty while it does not answer."""
        try:
            async with self.session.get(f"http://127.0.0.1:{self.ports.metrics}/metrics") as response:
                return await response.text()
        except aiohttp.ClientConnectionError:
            return ""

    def cpu_seconds(self) -> float:
        """CPU time since its start."""
        return cpu_seconds(self.process.pid)

    def memory_mebibytes(self, field: str = "VmRSS") -> float:
        """Resident memory now, or at its highest (`VmHWM`)."""
        return memory_mebibytes(self.process.pid, field)


@asynccontextmanager
async def running_operator(
    control_plane: ControlPlane, client: KubeClient, folder: Path, *flags: str
) -> AsyncIterator[OperatorProcess]:
    """Run the operator while the block runs.

    Args:
        control_plane: Its CRDs are served.
        client: Of its administrator.
        folder: For the kubeconfig and the log.
        flags: More of its flags.
    """
    home = Home(control_plane.folder)
    ports = read_ports(home)
    assert ports is not None
    await bootstrap.grant_rights(client, operator_rules())
    token = await bootstrap.request_token(client)
    user = f"system:serviceaccount:{bootstrap.NAMESPACE}:{bootstrap.ACCOUNT}"
    kubeconfig = folder / "operator.kubeconfig"
    kubeconfig.write_text(render_kubeconfig(home, server=control_plane.url, user=user, token=token))
    log = folder / "operator.log"
    started = time.monotonic()
    with log.open("a") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kingmaker", "run", f"--kubeconfig={kubeconfig}"),
            *("--bind-address=127.0.0.1", "--xds-host=127.0.0.1", f"--xds-port={ports.xds}"),
            f"--metrics-port={ports.metrics}",
            *("--serving-image=serving", "--router-image=router", *flags),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        async with aiohttp.ClientSession() as session:
            yield OperatorProcess(process, ports, session, log, started)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 30)


def sum_of(exposition: str, name: str, *labels: str) -> float:
    """Sum the samples of a metric in Prometheus text format, those that have all these `name="value"` labels."""
    total = 0.0
    for line in exposition.splitlines():
        key, _, value = line.rpartition(" ")
        if key.partition("{")[0] == name and all(label in key for label in labels):
            total += float(value)
    return total
