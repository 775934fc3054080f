"""A router of a release that spoke state-of-the-world xDS, and an operator that speaks it no more."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import grpc
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from google.protobuf import any_pb2, json_format

from kingmaker.routing.clusters import assignment, cluster
from kingmaker.routing.listener import connection_manager
from kingmaker.routing.resources import CDS, EDS, LDS, RDS
from kingmaker.routing.tables import route_table
from support.routers import NAMESPACE, a_route, ads_server, eventually, load, routing, serving, set_routes


class Earlier(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):
    """An operator of an earlier release: all resources of a type at once, one table for all."""

    def __init__(self, router: str, pod: str) -> None:
        source = {"ads": {}, "resourceApiVersion": "V3"}
        manager = connection_manager("requests", {"rds": {"routeConfigName": "churn", "configSource": source}})
        address = {"socketAddress": {"address": router, "portValue": 8080}}
        listener = {"name": "requests", "address": address, "filterChains": [{"filters": [manager]}]}
        self._resources = {
            CDS: cluster("churn/churn-1"),
            EDS: assignment("churn/churn-1", (pod,)),
            LDS: json_format.ParseDict(listener, listener_pb2.Listener()).SerializeToString(),
            RDS: _of_rest_alone(route_table("churn", a_route({"churn-1": 100}, {"churn-1": (pod,)}))),
        }

    async def StreamAggregatedResources(self, requests: AsyncIterator[Any], context: Any) -> None:  # noqa: N802
        async for request in requests:
            if not request.response_nonce:
                value = any_pb2.Any(type_url=request.type_url, value=self._resources[request.type_url])
                response = discovery_pb2.DiscoveryResponse(
                    type_url=request.type_url, version_info="1", nonce="1", resources=[value]
                )
                await context.write(response)


def _of_rest_alone(table: bytes) -> bytes:
    """Give a table as it was before there was gRPC, and a way of their own for labels."""
    found = route_pb2.RouteConfiguration.FromString(table)
    (host,) = found.virtual_hosts
    kept = [each for each in host.routes if not each.match.HasField("grpc") and not each.match.path]
    del host.routes[:]
    host.routes.extend(kept)
    return bytes(found.SerializeToString())


@asynccontextmanager
async def earlier_operator(router: str, pod: str) -> AsyncIterator[int]:
    """Run one; gives its port."""
    server = grpc.aio.server()
    ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(Earlier(router, pod), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(grace=None)


async def test_an_earlier_releases_router_goes_on_until_its_successor_is_ready(
    client: aiohttp.ClientSession, addresses: Iterator[str]
) -> None:
    async with AsyncExitStack() as stack:
        pod = await stack.enter_async_context(serving("churn-1", next(addresses)))
        address = next(addresses)
        async with earlier_operator(address, pod.address) as port:
            old = await stack.enter_async_context(routing("router-0", address, port, api_type="GRPC"))
            await old.until_ready(client)
        async with load(client, old.url) as seen:
            server, _, changes = await stack.enter_async_context(ads_server(port))
            new = await stack.enter_async_context(routing("router-1", next(addresses), port))
            server.set_routers(NAMESPACE, {old.address: old.pod, new.address: new.pod})
            set_routes(server, churn=a_route({"churn-1": 100}, {"churn-1": (pod.address,)}))
            await new.until_ready(client)
            await eventually(lambda: server.routers(NAMESPACE, "churn")[1].acknowledged is not None, "acknowledged")
            before = seen.answers.total()
            await eventually(lambda: seen.answers.total() > before + 100, "it goes on")
            (state, _) = server.routers(NAMESPACE, "churn")
            assert (state.pod, state.connected, state.acknowledged) == (old.pod, False, None)
        assert seen.failures == []
        async with client.post(new.url, headers={"host": "churn"}) as response:
            assert response.status == 200
    assert changes
