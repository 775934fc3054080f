"""Routers ask every few seconds whether the operator still turns: no reason to end their stream."""

import asyncio

import aiohttp

from support.routers import NAMESPACE, ads_server, loopback_addresses, routing, set_routes

QUIET_SECONDS = 30.0
"""A server that takes its routers' questions for a nuisance ends the stream at the fourth, after 22 s."""


async def test_a_stream_lasts() -> None:
    address = next(loopback_addresses())
    async with ads_server() as (server, port, changes), aiohttp.ClientSession() as client:
        server.set_routers(NAMESPACE, {address: "router-0"})
        set_routes(server)
        async with routing("router-0", address, port) as router:
            await router.until_ready(client)
            loop = asyncio.get_running_loop()
            known, since = len(changes), loop.time()
            while loop.time() < since + QUIET_SECONDS:
                # Its last acknowledgement may be under way; an end and a new beginning are two changes at least.
                assert len(changes) <= known + 1, "the router connects again and again"
                await asyncio.sleep(0.1)
            assert server.routers(NAMESPACE, "churn")[0].connected
