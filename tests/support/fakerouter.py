"""A router without Envoy: it takes whatever the operator sends over ADS and says that it has it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from kingmaker.routing.snapshot import CDS, EDS, LDS, RDS
from kingmaker.routing.virtualhosts import ROUTE_TABLE

_AGAIN_SECONDS = 0.25


class FakeRouter:
    """One router pod's side of the stream.

    Args:
        pod: Its name.
        address: Its IP address; the operator knows it by that.
        xds_port: The operator's, on 127.0.0.1.
        folder: For the socket through which the connection gets its address; its path must be short.
        on_configured: Called once the router has its first table.
    """

    def __init__(
        self, pod: str, address: str, *, xds_port: int, folder: Path, on_configured: Callable[[], None]
    ) -> None:
        self._pod = pod
        self._address = address
        self._port = xds_port
        self._socket = folder / address
        self._on_configured = on_configured
        self._names: dict[str, list[str]] = {CDS: [], LDS: [], EDS: [], RDS: [ROUTE_TABLE]}
        self.accepted: dict[str, tuple[str, str]] = {}
        """Version and nonce of the newest response of each type on this stream."""

    async def run(self) -> None:
        """Go on until cancelled; a stream that ends is opened again."""
        async with _relay(self._socket, self._address, self._port):
            while True:
                self.accepted.clear()
                with contextlib.suppress(grpc.aio.AioRpcError):
                    # An operator that does not know the pod yet refuses; one that was killed is not there.
                    async with grpc.aio.insecure_channel(
                        f"unix:{self._socket}", options=[("grpc.use_local_subchannel_pool", 1)]
                    ) as channel:
                        await self._follow(channel)
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _follow(self, channel: grpc.aio.Channel) -> None:
        call = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel).StreamAggregatedResources()
        await call.write(self._request(CDS, node=base_pb2.Node(id=self._pod)))
        await call.write(self._request(LDS))
        while (response := await call.read()) is not grpc.aio.EOF:
            kind = response.type_url
            self.accepted[kind] = (response.version_info, response.nonce)
            await call.write(self._request(kind))
            if kind == CDS:
                names = sorted(cluster_pb2.Cluster.FromString(r.value).name for r in response.resources)
                if names != self._names[EDS] or EDS not in self.accepted:
                    self._names[EDS] = names
                    await call.write(self._request(EDS))
            elif kind == LDS and RDS not in self.accepted:
                await call.write(self._request(RDS))
            elif kind == RDS:
                self._on_configured()

    def _request(self, kind: str, *, node: Any = None) -> Any:
        version, nonce = self.accepted.get(kind, ("", ""))
        return discovery_pb2.DiscoveryRequest(
            node=node, type_url=kind, version_info=version, response_nonce=nonce, resource_names=self._names[kind]
        )


@contextlib.asynccontextmanager
async def _relay(path: Path, address: str, port: int) -> AsyncIterator[None]:
    """Pass connections on to 127.0.0.1 from a source address of one's own, which gRPC can't choose."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while block := await reader.read(65536):
                writer.write(block)
                await writer.drain()
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, here = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, here), copy(there, writer))

    server = await asyncio.start_unix_server(connect, path)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()
