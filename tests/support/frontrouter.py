"""A real router in front of one server, for clients that know nothing of asyncio."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import aiohttp

from support.routers import NAMESPACE, a_route, ads_server, eventually, loopback_addresses, routing, set_routes
from support.servers import Server


@contextmanager
def a_router(server: Server) -> Iterator[str]:
    """Run a router that leads all requests to a server; gives its address. Ports are the server's."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="router")
    thread.start()
    running = _leading_to(server)
    try:
        yield asyncio.run_coroutine_threadsafe(running.__aenter__(), loop).result(timeout=60)
    finally:
        asyncio.run_coroutine_threadsafe(running.__aexit__(None, None, None), loop).result(timeout=60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@asynccontextmanager
async def _leading_to(server: Server) -> AsyncIterator[str]:
    address = next(loopback_addresses())
    async with (
        ads_server() as (ads, port, _),
        routing("router-0", address, port) as router,
        aiohttp.ClientSession() as client,
    ):
        ads.set_routers(NAMESPACE, {address: router.pod})
        # Clients ask for the address itself, as on a laptop: there it is the Service's.
        route = a_route({server.version: 100}, {server.version: (server.address,)}, cluster_ip=address)
        set_routes(ads, churn=route)
        await eventually(lambda: all(r.acknowledged for r in ads.routers(NAMESPACE, "churn")), "acknowledged")
        await router.until_ready(client)
        yield address
