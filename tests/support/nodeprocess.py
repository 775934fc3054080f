"""A fake node as a process of its own, and how to tell it what its pods shall count.

    python -m support.nodeprocess --kubeconfig FILE --network CIDR --xds-port N --folder DIR

It serves what it is asked on a free port of 127.0.0.1, whose number is the first line on stdout.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from kingmaker.kube.client import KubeClient
from kingmaker.kube.kubeconfig import read_kubeconfig
from support.fakenode import FakeNode, fake_node
from support.faketraffic import Seat, as_seat
from support.processes import cpu_seconds

_TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class NodeProcess:
    """A running fake node. Monotonic seconds are the machine's, so they compare with this process's own."""

    process: asyncio.subprocess.Process
    url: str
    session: aiohttp.ClientSession

    async def traffic(self, per_second: float, seats: Iterable[Seat] | None = None) -> None:
        """Let clients ask each of these deployments so often from now on; None: all, also those to come."""
        await self._ask("traffic", rate=per_second, seats=None if seats is None else [list(seat) for seat in seats])

    async def harm(self, seat: Seat, model: str, errors: int) -> float:
        """Let one pod of a model fail so many requests at once; give the monotonic second of it."""
        return float(await self._ask("harm", seat=list(seat), model=model, errors=errors))

    async def expect(self, seat: Seat, model: str, weight: int) -> int:
        """Begin to wait until every router gives a model this weight; give the number of the expectation."""
        return int(await self._ask("expect", seat=list(seat), model=model, weight=weight))

    async def met(self, number: int, *, seconds: float) -> float:
        """Wait until an expectation is met; give the monotonic second of it.

        Raises:
            TimeoutError: It is not met in time.
        """
        async with asyncio.timeout(seconds):
            while (met := await self._ask("met", number=number)) is None:
                await asyncio.sleep(0.05)
        return float(met)

    async def received_bytes(self, namespace: str) -> list[int]:
        """Give what each router of a namespace was sent so far, in bytes."""
        return list(await self._ask("received", namespace=namespace))

    async def configuration_bytes(self, namespace: str) -> list[int]:
        """Give the size of what each router of a namespace knows."""
        return list(await self._ask("configuration", namespace=namespace))

    async def looks(self) -> int:
        """Count how often a pod was asked for its counts."""
        return int(await self._ask("looks"))

    async def ready_pods(self) -> int:
        """Count the pods that came up or succeeded since the node began, as far as the API server was told."""
        return int(await self._ask("ready"))

    def cpu_seconds(self) -> float:
        """CPU time since its start."""
        return cpu_seconds(self.process.pid)

    async def _ask(self, what: str, **arguments: Any) -> Any:
        async with self.session.post(f"{self.url}/{what}", json=arguments) as response:
            answer = await response.json()
            if response.status != 200:
                raise LookupError(answer)
            return answer


@asynccontextmanager
async def running_node(kubeconfig: Path, *, network: str, xds_port: int) -> AsyncIterator[NodeProcess]:
    """Run a fake node as a process while the block runs; all pods are bound to it."""
    with tempfile.TemporaryDirectory(prefix="km") as sockets:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "support.nodeprocess", f"--kubeconfig={kubeconfig}", f"--network={network}"),
            *(f"--xds-port={xds_port}", f"--folder={sockets}"),
            stdout=asyncio.subprocess.PIPE,
            # gRPC tells of each stream that ends.
            env=os.environ | {"PYTHONPATH": str(_TESTS), "GRPC_VERBOSITY": "ERROR"},
        )
        try:
            assert process.stdout is not None
            port = await asyncio.wait_for(process.stdout.readline(), 60)
            if not port:
                raise RuntimeError(f"the fake node ended with {await process.wait()}")
            async with aiohttp.ClientSession() as session:
                yield NodeProcess(process, f"http://127.0.0.1:{int(port)}", session)
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 60)


def _control(node: FakeNode) -> web.Application:
    """Serve what `NodeProcess` asks."""
    traffic = node.traffic
    application = web.Application()

    def on(path: str, answer: Any) -> None:
        async def handle(request: web.Request) -> web.Response:
            try:
                return web.json_response(answer(await request.json()))
            except LookupError as error:
                return web.json_response(str(error), status=404)

        application.router.add_post(f"/{path}", handle)

    def set_rate(given: dict[str, Any]) -> None:
        traffic.set_rate(given["rate"], None if given["seats"] is None else map(as_seat, given["seats"]))

    on("traffic", set_rate)
    on("harm", lambda given: traffic.harm(as_seat(given["seat"]), given["model"], given["errors"]))
    on("expect", lambda given: traffic.expect(as_seat(given["seat"]), given["model"], given["weight"]))
    on("met", lambda given: traffic.expectations[given["number"]].met)
    on("received", lambda given: traffic.received_bytes(given["namespace"]))
    on("configuration", lambda given: traffic.configuration_bytes(given["namespace"]))
    on("looks", lambda given: traffic.looks)
    on("ready", lambda given: node.ready_pods)
    return application


async def _run(args: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        KubeClient(read_kubeconfig(args.kubeconfig), agent="fake-node") as client,
        fake_node(client, network=args.network, xds_port=args.xds_port, folder=args.folder) as node,
    ):
        runner = web.AppRunner(_control(node), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await stop.wait()
        await runner.cleanup()


def main() -> None:
    """Be a node until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--network", required=True)
    parser.add_argument("--xds-port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
