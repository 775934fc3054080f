"""The xDS server: one gRPC stream per router (aggregated, incremental). Decides nothing; see `target` and `stream`."""

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

from kingmaker.core.plan import RoutePlan
from kingmaker.routing.channel import Request
from kingmaker.routing.messages import packed
from kingmaker.routing.stream import AcknowledgedRoute, Push, Stream
from kingmaker.routing.target import Change, Target

_logger: Final = logging.getLogger(__name__)

_INSIST_SECONDS: Final = 5.0
"""How long to wait before a router is sent once more what it refused, and for one that comes back to say which tables
it has: it does within a millisecond, unless it has none."""

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
    """What is known about one router pod and one ModelDeployment.

    Attributes:
        pod: Its name.
        connected: Whether its stream is open now. While it is not, the router goes on with what it has.
        acknowledged: What it certainly does; None when that is one thing or another.
        error: Its last refusal, in its words; None when it accepted everything since.
    """

    pod: str
    connected: bool
    acknowledged: AcknowledgedRoute | None = None
    error: str | None = None


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


class _Namespace:
    """One namespace's routers, by IP address, and what they shall know."""

    def __init__(self, name: str) -> None:
        self.target = Target(name)
        self.routers: dict[str, _Router] = {}

    def tell(self, change: Change) -> None:
        """Have the routers that are connected told what changed."""
        for router in self.routers.values():
            if change and router.connection and not router.connection.closed:
                router.connection.stream.touch(change)
                router.connection.changed.set()


class AdsServer:
    """Tells routers what they shall do, and knows what each has accepted.

    All methods are called from one event loop. A router takes no requests before something was said about each
    deployment of its namespace, and what it has is left alone until then: after a restart of the operator it goes on.
    """

    def __init__(
        self,
        *,
        on_change: Callable[[str, frozenset[str] | None], None],
        permit: Callable[[], None] = lambda: None,
    ) -> None:
        """Create a server.

        Args:
            on_change: Called with a namespace and the deployments (None: any) of which `routers` may say something else
                than before. Must not block.
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
        known = self._namespace(namespace).routers
        wanted = {_canonical(address): pod for address, pod in routers.items()}
        for other, found in self._namespaces.items():
            # An address has one pod at a time: whoever got it now, its former owner is gone.
            for address in wanted.keys() & found.routers.keys() if other != namespace else ():
                _cut_off(found.routers.pop(address))
        for address, router in list(known.items()):
            if wanted.get(address) != router.pod:
                del known[address]
                _cut_off(router)
        for address, pod in wanted.items():
            known.setdefault(address, _Router(pod, address))

    def set_deployments(self, namespace: str, names: frozenset[str]) -> bool:
        """Say which deployments the namespace has; whether that is news. Routers forget the routes of others."""
        found = self._namespace(namespace)
        change = found.target.set_deployments(names)
        found.tell(change)
        return bool(change)

    def set_route(self, namespace: str, deployment: str, route: RoutePlan | None) -> None:
        """Say what the namespace's routers shall do with a deployment's requests; None: it has no route.

        Raises:
            InvalidRouteError: No router may be told this route. What was said before stays.
        """
        found = self._namespace(namespace)
        found.tell(found.target.set_route(deployment, route))

    def keep_route(self, namespace: str, deployment: str, route: RoutePlan | None) -> None:
        """Leave a deployment's route as it is; where none was said yet, say this one, or None: routers keep theirs.

        Raises:
            InvalidRouteError: No router may be told this route.
        """
        found = self._namespace(namespace)
        found.tell(found.target.keep_route(deployment, route))

    def drop_route(self, namespace: str, deployment: str) -> None:
        """Drop a deployment that is gone."""
        if found := self._namespaces.get(namespace):
            found.tell(found.target.drop_route(deployment))

    def forget(self, namespace: str) -> None:
        """Drop a namespace that has no ModelDeployment any more: its routers are nobody's, and are cut off."""
        if namespace in self._namespaces:
            self.set_routers(namespace, {})
            del self._namespaces[namespace]

    def routers(self, namespace: str, deployment: str) -> tuple[RouterState, ...]:
        """Tell what is known about each router of the namespace and a deployment, by pod name."""
        found = self._namespaces.get(namespace)
        routers = sorted(found.routers.values(), key=lambda r: r.pod) if found else ()
        return tuple(_state(router, deployment) for router in routers)

    def _namespace(self, name: str) -> _Namespace:
        if name not in self._namespaces:
            self._namespaces[name] = _Namespace(name)
        return self._namespaces[name]

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
        connection = self._connect(router, found.target)
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
            self._on_change(namespace, None)
        if connection.refused:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, connection.refused)

    @staticmethod
    def _connect(router: _Router, target: Target) -> _Connection:
        if router.connection:
            router.connection.refuse("the router has opened another stream")
        router.connection = _Connection(Stream(router.address, target))
        return router.connection

    async def _read(self, namespace: str, pod: str, requests: AsyncIterator[Any], connection: _Connection) -> None:
        """Take requests until the router ends the stream. Only the first one says who it is."""
        named = False
        async for request in requests:
            if not named and request.node.id != pod:
                connection.refuse(f'this address belongs to pod "{pod}", not to "{request.node.id}"')
                return
            error = request.error_detail.message if request.HasField("error_detail") else None
            changed = connection.stream.receive(request.type_url, _request(request, error))
            if error:
                _logger.warning(
                    "router refused its configuration",
                    extra={"namespace": namespace, "pod": pod, "type": request.type_url, "error": error},
                )
            connection.changed.set()
            if changed is None or changed or not named:
                self._on_change(namespace, changed if named else None)
            named = True


class _Servicer(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):  # type: ignore[misc]  # generated without types
    """What gRPC calls."""

    def __init__(self, server: AdsServer) -> None:
        self._server = server

    async def DeltaAggregatedResources(  # noqa: N802  # gRPC's name
        self,
        requests: AsyncIterator[Any],
        context: Any,  # noqa: ANN401
    ) -> None:
        """Serve one router."""
        await self._server.serve(requests, context)

    async def StreamAggregatedResources(  # noqa: N802
        self,
        requests: AsyncIterator[Any],  # noqa: ARG002
        context: Any,  # noqa: ANN401
    ) -> None:
        """Refuse a router of an earlier release. It goes on with what it has until its successor takes its place."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this operator speaks incremental xDS only")


async def _write(context: Any, connection: _Connection, permit: Callable[[], None]) -> None:  # noqa: ANN401
    """Send what is due, whenever something changed. A router that does not read holds up nobody else."""
    stream = connection.stream
    while True:
        try:
            async with asyncio.timeout(_INSIST_SECONDS if stream.is_refused or stream.tells_more else None):
                await connection.changed.wait()
        except TimeoutError:
            stream.insist()
        connection.changed.clear()
        if connection.closed or connection.refused:
            return
        for push in stream.next_pushes():
            permit()
            await context.write(_response(push))


def _request(request: Any, error: str | None) -> Request:  # noqa: ANN401
    return Request(
        subscribe=frozenset(request.resource_names_subscribe),
        unsubscribe=frozenset(request.resource_names_unsubscribe),
        versions=dict(request.initial_resource_versions),
        nonce=request.response_nonce,
        error=error,
    )


def _response(push: Push) -> Any:  # noqa: ANN401
    resources = [packed(push.type_url, r.name, r.version, r.body) for r in push.response.resources]
    return discovery_pb2.DeltaDiscoveryResponse(
        type_url=push.type_url,
        nonce=push.response.nonce,
        resources=resources,
        removed_resources=push.response.removed,
    )


def _cut_off(router: _Router) -> None:
    if router.connection:
        router.connection.refuse("this pod is no router any more")


def _state(router: _Router, deployment: str) -> RouterState:
    connection = router.connection
    if connection is None:
        return RouterState(router.pod, connected=False)
    stream = connection.stream
    connected = not connection.closed and not connection.refused
    return RouterState(router.pod, connected, stream.acknowledged(deployment), stream.error(deployment))


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
