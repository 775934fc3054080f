"""The xDS server: one gRPC stream per router (aggregated, state of the world). Decides nothing; see `stream`."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

import grpc
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from kingmaker.routing.messages import packed
from kingmaker.routing.snapshot import Snapshot
from kingmaker.routing.stream import AcknowledgedRoute, Push, Stream

_logger: Final = logging.getLogger(__name__)

_SETTLE_SECONDS: Final = 0.2
"""How long a router that comes back may take to say which clusters it has; it does within a millisecond."""

_INSIST_SECONDS: Final = 5.0
"""How long to wait before a router is sent once more what it refused."""

_OPTIONS: Final = (
    # Two operators must never share the port unnoticed.
    ("grpc.so_reuseport", 0),
    # A router that is stopped or cut off is noticed, and its stream ended, within 15 s.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Routers ask every five seconds whether this process still turns.
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
)


@dataclass(frozen=True, slots=True)
class RouterState:
    """What is known about one router pod.

    Attributes:
        pod: Its name.
        address: Its IP address.
        connected: Whether its stream is open now. While it is not, the router goes on with what it has.
        acknowledged: By deployment, what it certainly does.
        error: Its last refusal, in its words; None when it accepted everything since.
    """

    pod: str
    address: str
    connected: bool
    acknowledged: Mapping[str, AcknowledgedRoute]
    error: str | None

    @property
    def decisions(self) -> Mapping[str, int]:
        """The decision by which it routes, by deployment."""
        return {name: route.decision for name, route in self.acknowledged.items()}


@dataclass(slots=True, eq=False)
class _Router:
    """A router pod that may connect."""

    pod: str
    address: str
    connection: _Connection | None = None


@dataclass(slots=True, eq=False)
class _Connection:
    """A stream and how to wake who writes it."""

    stream: Stream
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    refused: str | None = None
    closed: bool = False

    def close(self) -> None:
        self.closed = True
        self.changed.set()

    def refuse(self, why: str) -> None:
        self.refused = why
        self.changed.set()


@dataclass(slots=True, eq=False)
class _Namespace:
    snapshot: Snapshot | None = None
    routers: dict[str, _Router] = field(default_factory=dict)


class AdsServer:
    """Tells routers what they shall do, and knows what each has accepted.

    All methods are called from one event loop. A router is told nothing before `set_snapshot` was called for its
    namespace: after a restart of the operator it goes on with what it has.
    """

    def __init__(self, *, on_change: Callable[[str], None], permit: Callable[[], None] = lambda: None) -> None:
        """Create a server.

        Args:
            on_change: Called with the namespace whenever `routers` may say something else than before. Must not block.
            permit: Called before anything is sent; who may tell routers nothing any more does not return from it.
        """
        self._on_change = on_change
        self._permit = permit
        self._namespaces: dict[str, _Namespace] = {}
        self._server: grpc.aio.Server | None = None

    async def start(self, address: str) -> int:
        """Listen on `host:port`; port 0 takes a free one.

        Returns:
            The port.

        Raises:
            OSError: The address can't be listened on.
        """
        server = grpc.aio.server(options=_OPTIONS)
        ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(_Servicer(self), server)
        try:
            port = server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"routers can't be served at {address}: {error}") from error
        await server.start()
        self._server = server
        return port

    async def stop(self) -> None:
        """End all streams. Routers go on with what they have, and connect again."""
        if self._server is not None:
            # gRPC cancels the open streams, and at times its own shutdown with them.
            with contextlib.suppress(asyncio.CancelledError):
                await self._server.stop(grace=None)
            self._server = None

    def set_routers(self, namespace: str, routers: Mapping[str, str]) -> None:
        """Say which pods are the namespace's routers: IP address -> pod name. Streams of others are ended."""
        known = self._namespaces.setdefault(namespace, _Namespace()).routers
        wanted = {_canonical(address): pod for address, pod in routers.items()}
        for address, router in list(known.items()):
            if wanted.get(address) != router.pod:
                del known[address]
                if router.connection:
                    router.connection.refuse("this pod is no router any more")
        for address, pod in wanted.items():
            known.setdefault(address, _Router(pod, address))

    def set_snapshot(self, namespace: str, snapshot: Snapshot) -> None:
        """Say what the namespace's routers shall know. What is new in it is pushed to those connected."""
        found = self._namespaces.setdefault(namespace, _Namespace())
        found.snapshot = snapshot
        for router in found.routers.values():
            if router.connection and not router.connection.closed:
                router.connection.stream.retarget(snapshot)
                router.connection.changed.set()

    def forget(self, namespace: str) -> None:
        """Drop a namespace that has no ModelDeployment any more."""
        self.set_routers(namespace, {})
        self._namespaces.pop(namespace, None)

    def routers(self, namespace: str) -> tuple[RouterState, ...]:
        """Tell what is known about each router of the namespace, by pod name."""
        found = self._namespaces.get(namespace, _Namespace()).routers.values()
        return tuple(_state(router) for router in sorted(found, key=lambda r: r.pod))

    async def serve(self, requests: AsyncIterator[Any], context: Any) -> None:  # noqa: ANN401  # gRPC has no type for it
        """Serve one stream until either side ends it."""
        address = _peer_address(context.peer())
        namespace = next((n for n, found in self._namespaces.items() if address in found.routers), None)
        if namespace is None:
            _logger.info("unknown router refused", extra={"address": address})
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"no router pod with the address {address} is known")
            return
        found = self._namespaces[namespace]
        router = found.routers[address]
        connection = self._connect(router, found.snapshot)
        reader = asyncio.create_task(self._read(namespace, router.pod, requests, connection))
        reader.add_done_callback(lambda _: connection.close())
        try:
            await _write(context, connection, self._permit)
        finally:
            reader.cancel()
            (ended,) = await asyncio.gather(reader, return_exceptions=True)
            if isinstance(ended, Exception):
                _logger.error("router's stream failed", extra={"namespace": namespace}, exc_info=ended)
            connection.closed = True
            self._on_change(namespace)
        if connection.refused:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, connection.refused)

    @staticmethod
    def _connect(router: _Router, snapshot: Snapshot | None) -> _Connection:
        if router.connection:
            router.connection.refuse("the router has opened another stream")
        connection = router.connection = _Connection(Stream(router.address))
        if snapshot:
            connection.stream.retarget(snapshot)
        return connection

    async def _read(self, namespace: str, pod: str, requests: AsyncIterator[Any], connection: _Connection) -> None:
        """Take requests until the router ends the stream. Only the first one says who it is."""
        named = False
        async for request in requests:
            if not named and request.node.id != pod:
                connection.refuse(f'this address belongs to pod "{pod}", not to "{request.node.id}"')
                return
            error = request.error_detail.message if request.HasField("error_detail") else None
            settled = connection.stream.receive(
                request.type_url,
                version=request.version_info,
                nonce=request.response_nonce,
                names=frozenset(request.resource_names),
                error=error,
            )
            if error:
                _logger.warning(
                    "router refused its configuration",
                    extra={"namespace": namespace, "pod": pod, "type": request.type_url, "error": error},
                )
            connection.changed.set()
            if settled or not named:
                self._on_change(namespace)
            named = True


class _Servicer(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):  # type: ignore[misc]  # generated without types
    """What gRPC calls."""

    def __init__(self, server: AdsServer) -> None:
        self._server = server

    async def StreamAggregatedResources(  # noqa: N802  # gRPC's name
        self,
        requests: AsyncIterator[Any],
        context: Any,  # noqa: ANN401
    ) -> None:
        """Serve one router."""
        await self._server.serve(requests, context)


async def _write(context: Any, connection: _Connection, permit: Callable[[], None]) -> None:  # noqa: ANN401
    """Send what is due, whenever something changed. A router that does not read holds up nobody else."""
    stream = connection.stream
    while True:
        try:
            async with asyncio.timeout(_INSIST_SECONDS if stream.error else None):
                await connection.changed.wait()
        except TimeoutError:
            stream.insist()
        connection.changed.clear()
        if connection.closed or connection.refused:
            return
        if stream.tells_more:
            await _wait_for_more(connection)
        for push in stream.next_pushes():
            permit()
            await context.write(_response(push))


async def _wait_for_more(connection: _Connection) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SETTLE_SECONDS):
            while connection.stream.tells_more and not connection.closed:
                await connection.changed.wait()
                connection.changed.clear()
    connection.stream.stop_waiting()
    connection.changed.set()


def _response(push: Push) -> Any:  # noqa: ANN401
    return discovery_pb2.DiscoveryResponse(
        version_info=push.resources.version,
        type_url=push.type_url,
        nonce=push.nonce,
        resources=[packed(push.type_url, value) for value in push.resources.items.values()],
    )


def _state(router: _Router) -> RouterState:
    connection = router.connection
    if connection is None:
        return RouterState(router.pod, router.address, connected=False, acknowledged={}, error=None)
    stream = connection.stream
    connected = not connection.closed and not connection.refused
    return RouterState(router.pod, router.address, connected, stream.acknowledged(), stream.error)


def _peer_address(peer: str) -> str:
    """Give the IP address of a gRPC peer.

    >>> _peer_address("ipv4:127.0.0.7:4711"), _peer_address("ipv6:%5B::ffff:10.0.0.1%5D:80"), _peer_address("unix:")
    ('127.0.0.7', '10.0.0.1', '')
    """
    kind, _, rest = unquote(peer).partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return ""
    return _canonical(rest.rpartition(":")[0].strip("[]"))


def _canonical(address: str) -> str:
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)
