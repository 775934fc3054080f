"""A router without Envoy: it takes whatever the operator sends over ADS and says that it has it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_pb2, scoped_route_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from kingmaker.routing.resources import CDS, EDS, LDS, RDS, SRDS
from kingmaker.routing.tables import DECISION_HEADER

_AGAIN_SECONDS = 0.25
_LONGEST_PAUSE = 2.0
_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]


@dataclass(frozen=True)
class Split:
    """How a router splits one deployment's requests: percent by model, stamped with the decision."""

    decision: int
    weights: Mapping[str, int] = field(default_factory=dict)


class FakeRouter:
    """One router pod's side of the stream.

    Args:
        pod: Its name.
        address: Its IP address; the operator knows it by that.
        xds_port: The operator's, on 127.0.0.1.
        folder: For the socket through which the connection gets its address; its path must be short.
        on_change: Called after each response that it accepted.
    """

    def __init__(self, pod: str, address: str, *, xds_port: int, folder: Path, on_change: Callable[[], None]) -> None:
        self._pod = pod
        self._address = address
        self._port = xds_port
        self._socket = folder / address
        self._on_change = on_change
        self.versions: dict[str, dict[str, str]] = {url: {} for url in (CDS, EDS, LDS, SRDS, RDS)}
        """What it has, by type and name; kept when the stream ends."""
        self.received_bytes = 0
        """All responses together."""
        self._scopes: dict[str, str] = {}
        self._is_led = False
        self._asked: dict[str, set[str]] = {}
        self._sizes: dict[tuple[str, str], int] = {}
        self._splits: dict[str, bytes | Split] = {}

    @property
    def configuration_bytes(self) -> int:
        """Size of everything that it has, each thing once."""
        return sum(self._sizes.values())

    def split(self, deployment: str) -> Split | None:
        """Say what it does with a deployment's requests; None when it knows nothing of it."""
        found = self._splits.get(deployment)
        if isinstance(found, bytes):
            # Read when somebody asks: most tables are replaced before.
            found = self._splits[deployment] = _read_split(found)
        return found

    async def run(self) -> None:
        """Go on until cancelled; a stream that ends is opened again."""
        async with _relay(self._socket, self._address, self._port):
            pause = _AGAIN_SECONDS
            while True:
                before = self.received_bytes
                self._asked.clear()
                with contextlib.suppress(grpc.aio.AioRpcError):
                    # An operator that does not know the pod yet refuses; one that was killed is not there.
                    async with grpc.aio.insecure_channel(f"unix:{self._socket}", options=_OPTIONS) as channel:
                        await self._follow(channel)
                # As the routers' bootstrap says: tens of them that ask in vain keep a processor busy.
                pause = _AGAIN_SECONDS if self.received_bytes > before else min(2 * pause, _LONGEST_PAUSE)
                await asyncio.sleep(pause)

    async def _follow(self, channel: grpc.aio.Channel) -> None:
        call = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel).DeltaAggregatedResources()
        await self._ask(call, CDS, node=base_pb2.Node(id=self._pod))
        await self._ask_for_more(call)
        while (response := await call.read()) is not grpc.aio.EOF:
            self.received_bytes += response.ByteSize()
            self._take(response)
            await call.write(
                discovery_pb2.DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)
            )
            if response.type_url == CDS:
                await self._ask(call, LDS)
            await self._ask_for_more(call)
            self._on_change()

    def _take(self, response: Any) -> None:
        held = self.versions[response.type_url]
        self._is_led |= response.type_url == SRDS
        for resource in response.resources:
            held[resource.name] = resource.version
            self._sizes[response.type_url, resource.name] = resource.ByteSize()
            if response.type_url == RDS:
                self._splits[resource.name] = resource.resource.value
            if response.type_url == SRDS:
                scope = scoped_route_pb2.ScopedRouteConfiguration.FromString(resource.resource.value)
                self._scopes[resource.name] = scope.route_configuration_name
        for name in response.removed_resources:
            held.pop(name, None)
            self._sizes.pop((response.type_url, name), None)
            if response.type_url == RDS:
                self._splits.pop(name, None)
            if response.type_url == SRDS:
                self._scopes.pop(name, None)

    @property
    def is_configured(self) -> bool:
        """Whether it would take requests: it has a listener and a table for each host."""
        return self._is_led and bool(self.versions[LDS]) and self._tables <= self.versions[RDS].keys()

    @property
    def _tables(self) -> set[str]:
        return set(self._scopes.values())

    async def _ask_for_more(self, call: Any) -> None:
        """Ask for what follows from what it has, as Envoy does: clusters' endpoints, scopes, their tables."""
        if self.versions[CDS] or EDS in self._asked:
            await self._ask(call, EDS, set(self.versions[CDS]))
        if self.versions[LDS]:
            await self._ask(call, LDS)
            await self._ask(call, SRDS)
        if self._scopes or RDS in self._asked:
            await self._ask(call, RDS, self._tables)

    async def _ask(self, call: Any, url: str, names: set[str] | None = None, *, node: Any = None) -> None:
        wanted, asked = names or set(), self._asked.get(url)
        if asked == wanted:
            return
        self._asked[url] = set(wanted)
        for gone in (asked or set()) - wanted:
            self.versions[url].pop(gone, None)
        await call.write(
            discovery_pb2.DeltaDiscoveryRequest(
                node=node,
                type_url=url,
                resource_names_subscribe=sorted(wanted - (asked or set())),
                resource_names_unsubscribe=sorted((asked or set()) - wanted),
                initial_resource_versions=self.versions[url] if asked is None else {},
            )
        )


def _read_split(content: bytes) -> Split:
    """Read the last route of a deployment's table, which takes every request that asks for no variant by name."""
    (host,) = route_pb2.RouteConfiguration.FromString(content).virtual_hosts
    route = host.routes[-1]
    stamps = {added.header.key: added.header.value for added in route.request_headers_to_add}
    shares = route.route.weighted_clusters.clusters if route.HasField("route") else ()
    weights = {share.name.split("/")[1]: share.weight.value for share in shares}
    return Split(int(stamps.get(DECISION_HEADER, 0)), weights)


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
        # asyncio complains of connections that are cut when the program ends.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(copy(reader, here), copy(there, writer))

    server = await asyncio.start_unix_server(connect, path)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()
