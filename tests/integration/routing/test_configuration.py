"""How real routers and the xDS server keep together: acceptance, refusal, slowness, restarts."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import aiohttp
import pytest

from kingmaker.core.plan import RoutePlan
from kingmaker.routing.ads import AdsServer, RouterState
from kingmaker.routing.bootstrap import router_container
from support.routers import (
    ENVOY,
    NAMESPACE,
    Router,
    Upstream,
    a_route,
    acknowledged_weights,
    ads_server,
    eventually,
    expand_arguments,
    load,
    routing,
    serving,
    set_routes,
)

MODELS = ("churn-1", "churn-2", "churn-3")


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as entered:
        yield entered


@pytest.fixture
async def pods(stack: AsyncExitStack, addresses: Iterator[str]) -> dict[str, Upstream]:
    """One pod per model."""
    return {m: await stack.enter_async_context(serving(m, next(addresses))) for m in MODELS}


async def start(stack: AsyncExitStack, port: int, addresses: Iterator[str], count: int = 1) -> list[Router]:
    contexts = [routing(f"router-{n}", next(addresses), port) for n in range(count)]
    return [await stack.enter_async_context(context) for context in contexts]


def churn(pods: dict[str, Upstream], weights: dict[str, int], *, decision: int = 1) -> RoutePlan:
    return a_route(weights, {m: (p.address,) for m, p in pods.items()}, decision=decision)


def know(server: AdsServer, routers: list[Router]) -> None:
    server.set_routers(NAMESPACE, {r.address: r.pod for r in routers})


def states(server: AdsServer) -> dict[str, RouterState]:
    return {s.pod: s for s in server.routers(NAMESPACE, "churn")}


def decision(server: AdsServer, pod: str) -> int | None:
    acknowledged = states(server)[pod].acknowledged
    return acknowledged.decision if acknowledged else None


async def until_acknowledged(
    server: AdsServer, pod: str, weights: dict[str, int] | None, *, seconds: float = 15
) -> None:
    await eventually(
        lambda: acknowledged_weights(states(server)[pod]) == weights, f"{pod} has {weights}", seconds=seconds
    )


async def test_a_router_without_configuration_is_not_ready(
    stack: AsyncExitStack, client: aiohttp.ClientSession, addresses: Iterator[str], pods: dict[str, Upstream]
) -> None:
    server, port, changes = await stack.enter_async_context(ads_server())
    (router,) = await start(stack, port, addresses)
    know(server, [router])
    await eventually(lambda: states(server)["router-0"].connected, "connected")
    assert not await router.is_ready(client)
    assert states(server)["router-0"].acknowledged is None
    set_routes(server, churn=churn(pods, {"churn-1": 100}))
    await router.until_ready(client)
    assert set(changes) == {NAMESPACE}


async def test_a_namespace_without_deployments_has_a_ready_router(
    stack: AsyncExitStack, client: aiohttp.ClientSession, addresses: Iterator[str], pods: dict[str, Upstream]
) -> None:
    server, port, _ = await stack.enter_async_context(ads_server())
    (router,) = await start(stack, port, addresses)
    know(server, [router])
    set_routes(server)
    await router.until_ready(client)
    # Its first cluster came after its first table; and all of it goes again.
    for weights in ({"churn-1": 100}, {"churn-2": 100}):
        set_routes(server, churn=churn(pods, weights))
        await until_acknowledged(server, "router-0", weights)
        async with client.post(router.url, headers={"host": "churn"}) as response:
            assert response.status == 200
    set_routes(server)
    await until_acknowledged(server, "router-0", None)


async def test_unknown_peers_and_wrong_names_are_refused(
    stack: AsyncExitStack, client: aiohttp.ClientSession, addresses: Iterator[str], pods: dict[str, Upstream]
) -> None:
    server, port, changes = await stack.enter_async_context(ads_server())
    set_routes(server, churn=churn(pods, {"churn-1": 100}))
    stranger, impostor = await start(stack, port, addresses, 2)
    server.set_routers(NAMESPACE, {impostor.address: "router-9"})
    # A refused router tries again; the impostor's attempts are seen, the stranger's are nobody's.
    await eventually(lambda: len(changes) >= 2, "the impostor was refused twice")
    assert states(server)["router-9"].acknowledged is None
    assert not await stranger.is_ready(client)
    assert not await impostor.is_ready(client)
    know(server, [stranger])
    await stranger.until_ready(client)


async def test_a_router_that_is_none_any_more_is_cut_off(
    stack: AsyncExitStack, client: aiohttp.ClientSession, addresses: Iterator[str], pods: dict[str, Upstream]
) -> None:
    server, port, _ = await stack.enter_async_context(ads_server())
    first, second = await start(stack, port, addresses, 2)
    know(server, [first, second])
    set_routes(server, churn=churn(pods, {"churn-1": 100}))
    await until_acknowledged(server, first.pod, {"churn-1": 100})
    await until_acknowledged(server, second.pod, {"churn-1": 100})
    know(server, [second])
    set_routes(server, churn=churn(pods, {"churn-2": 100}))
    await until_acknowledged(server, second.pod, {"churn-2": 100})
    assert list(states(server)) == [second.pod]
    async with client.post(first.url, headers={"host": "churn"}) as response:
        assert response.headers["kingmaker-model"] == "churn-1"


def broken_endpoints(pods: dict[str, Upstream]) -> RoutePlan:
    endpoints = {"churn-1": (pods["churn-1"].address,), "churn-2": ("no address",)}
    return a_route({"churn-1": 0, "churn-2": 100}, endpoints, decision=2)


def broken_table(pods: dict[str, Upstream]) -> RoutePlan:
    return a_route({"churn-2": 100}, {"churn-2": (pods["churn-2"].address,)}, decision=2, affinity_header="no\nheader")


@pytest.mark.parametrize(
    ("broken", "words"), [(broken_endpoints, "no address"), (broken_table, "RouteConfigurationValidationError")]
)
async def test_a_refusal_is_told_and_concerns_nobody_else(
    stack: AsyncExitStack,
    client: aiohttp.ClientSession,
    addresses: Iterator[str],
    pods: dict[str, Upstream],
    broken: Callable[[dict[str, Upstream]], RoutePlan],
    words: str,
) -> None:
    server, port, _ = await stack.enter_async_context(ads_server())
    (router,) = await start(stack, port, addresses)
    know(server, [router])
    set_routes(server, churn=churn(pods, {"churn-1": 100}))
    await until_acknowledged(server, "router-0", {"churn-1": 100})
    await router.until_ready(client)

    # Both at once, so that one response has something of each.
    set_routes(server, churn=broken(pods), fraud=churn(pods, {"churn-3": 100}))
    await eventually(lambda: words in (states(server)["router-0"].error or ""), "the refusal is told")
    assert acknowledged_weights(states(server)["router-0"]) == {"churn-1": 100}
    assert decision(server, "router-0") == 1
    async with client.post(router.url, headers={"host": "churn"}) as response:
        assert (response.status, response.headers["kingmaker-model"]) == (200, "churn-1")

    def fraud() -> RouterState:
        return server.routers(NAMESPACE, "fraud")[0]

    await eventually(lambda: acknowledged_weights(fraud()) == {"churn-3": 100}, "the other is routed")
    assert fraud().error is None
    async with client.post(router.url, headers={"host": "fraud"}) as response:
        assert (response.status, response.headers["kingmaker-model"]) == (200, "churn-3")

    server.set_route(NAMESPACE, "churn", churn(pods, {"churn-3": 100}, decision=3))
    await until_acknowledged(server, "router-0", {"churn-3": 100})
    assert states(server)["router-0"].error is None


async def test_a_router_that_starts_beside_a_refused_deployment_serves_the_others(
    stack: AsyncExitStack, client: aiohttp.ClientSession, addresses: Iterator[str], pods: dict[str, Upstream]
) -> None:
    server, port, _ = await stack.enter_async_context(ads_server())
    (router,) = await start(stack, port, addresses)
    know(server, [router])
    set_routes(server, broken=broken_endpoints(pods), churn=churn(pods, {"churn-1": 100}))
    await router.until_ready(client)
    async with client.post(router.url, headers={"host": "churn"}) as response:
        assert response.status == 200


async def test_a_router_takes_no_requests_before_everybody_is_known(
    stack: AsyncExitStack, client: aiohttp.ClientSession, addresses: Iterator[str], pods: dict[str, Upstream]
) -> None:
    server, port, _ = await stack.enter_async_context(ads_server())
    (router,) = await start(stack, port, addresses)
    know(server, [router])
    server.set_deployments(NAMESPACE, frozenset({"churn", "fraud"}))
    server.set_route(NAMESPACE, "churn", churn(pods, {"churn-1": 100}))
    await eventually(lambda: states(server)["router-0"].connected, "connected")
    assert not await router.is_ready(client)
    server.set_route(NAMESPACE, "fraud", churn(pods, {"churn-2": 100}))
    await router.until_ready(client)
    for host in ("churn", "fraud"):
        async with client.post(router.url, headers={"host": host}) as response:
            assert response.status == 200


async def test_a_restarted_operator_sends_differences_alone_and_takes_nothing_away(
    stack: AsyncExitStack, client: aiohttp.ClientSession, addresses: Iterator[str], pods: dict[str, Upstream]
) -> None:
    routes = {n: churn(pods, {"churn-1": 50, "churn-2": 50}) for n in ("churn", "fraud", "spam")}
    async with ads_server() as (server, port, _):
        (router,) = await start(stack, port, addresses)
        know(server, [router])
        set_routes(server, **routes)
        await router.until_ready(client)
    sent: list[None] = []
    again = AdsServer(on_change=lambda *_: None, permit=lambda: sent.append(None))
    stack.push_async_callback(again.stop)
    await again.start(f"127.0.0.1:{port}")
    know(again, [router])
    again.set_deployments(NAMESPACE, frozenset({"churn", "fraud"}))
    again.set_route(NAMESPACE, "churn", routes["churn"])
    await until_acknowledged(again, "router-0", {"churn-1": 50, "churn-2": 50})
    # Nobody knows yet what fraud shall be, so spam, which is gone, is all that may be missed.
    for host in ("churn", "fraud"):
        async with client.post(router.url, headers={"host": host}) as response:
            assert response.status == 200
    assert sent == []
    again.set_route(NAMESPACE, "fraud", routes["fraud"])
    await eventually(lambda: again.routers(NAMESPACE, "fraud")[0].acknowledged is not None, "the same as before")

    async def is_gone() -> bool:
        async with client.post(router.url, headers={"host": "spam"}) as response:
            return response.status == 404

    deadline = asyncio.get_running_loop().time() + 10
    while not await is_gone():
        assert asyncio.get_running_loop().time() < deadline, "spam is still answered"
    again.set_route(NAMESPACE, "churn", churn(pods, {"churn-1": 40, "churn-2": 60}, decision=2))
    await until_acknowledged(again, "router-0", {"churn-1": 40, "churn-2": 60})
    # Empty answers to clusters, listeners and scopes; spam's scopes, and its clusters; one table.
    assert len(sent) <= 6


async def test_a_stopped_router_holds_up_nobody(
    stack: AsyncExitStack, addresses: Iterator[str], pods: dict[str, Upstream]
) -> None:
    server, port, _ = await stack.enter_async_context(ads_server())
    quick, stopped = await start(stack, port, addresses, 2)
    know(server, [quick, stopped])
    set_routes(server, churn=churn(pods, {"churn-1": 100, "churn-2": 0}))
    for router in (quick, stopped):
        await until_acknowledged(server, router.pod, {"churn-1": 100, "churn-2": 0})
    stopped.signal(signal.SIGSTOP)
    for weight in range(1, 100):
        weights = {"churn-1": 100 - weight, "churn-2": weight}
        set_routes(server, churn=churn(pods, weights, decision=weight))
        await until_acknowledged(server, quick.pod, weights, seconds=2)
    # It may have taken one of the new tables or still have the old one, so nothing is certain.
    assert acknowledged_weights(states(server)[stopped.pod]) is None
    stopped.signal(signal.SIGCONT)
    await until_acknowledged(server, stopped.pod, {"churn-1": 1, "churn-2": 99})
    assert decision(server, stopped.pod) == 99


async def test_a_dead_router_is_known_to_be_gone_and_its_successor_is_told(
    stack: AsyncExitStack, client: aiohttp.ClientSession, addresses: Iterator[str], pods: dict[str, Upstream]
) -> None:
    server, port, changes = await stack.enter_async_context(ads_server())
    (router,) = await start(stack, port, addresses)
    know(server, [router])
    set_routes(server, churn=churn(pods, {"churn-1": 100}))
    await until_acknowledged(server, router.pod, {"churn-1": 100})
    changes.clear()
    router.signal(signal.SIGKILL)
    await eventually(lambda: not states(server)[router.pod].connected, "its end is noticed")
    await eventually(lambda: changes == [NAMESPACE], "its end is reported once")
    again = await stack.enter_async_context(routing(router.pod, router.address, port))
    await again.until_ready(client)
    await until_acknowledged(server, router.pod, {"churn-1": 100})


async def test_an_operator_restart_loses_nothing_even_if_the_world_changed(
    stack: AsyncExitStack, client: aiohttp.ClientSession, addresses: Iterator[str], pods: dict[str, Upstream]
) -> None:
    async with ads_server() as (server, port, _):
        (router,) = await start(stack, port, addresses)
        know(server, [router])
        set_routes(server, churn=churn(pods, {"churn-1": 50, "churn-2": 50}))
        await until_acknowledged(server, router.pod, {"churn-1": 50, "churn-2": 50})
        await router.until_ready(client)
    async with load(client, router.url) as seen:
        await eventually(lambda: seen.answers.total() > 50, "requests while there is no operator")
        server, _, _ = await stack.enter_async_context(ads_server(port))
        know(server, [router])
        await eventually(lambda: states(server)[router.pod].connected, "connected again")
        before = seen.answers.total()
        await eventually(lambda: seen.answers.total() > before + 50, "requests while nothing is known")
        assert states(server)[router.pod].acknowledged is None
        # Neither of the variants that the router still knows exists any more.
        set_routes(server, churn=churn(pods, {"churn-3": 100}, decision=2))
        await until_acknowledged(server, router.pod, {"churn-3": 100})
        seen.answers.clear()
        await eventually(lambda: seen.answers.total() > 50, "requests to the new variant")
    assert seen.failures == []
    assert seen.answers["churn-3"] > 45


async def test_ten_changes_a_second_cost_no_request(
    stack: AsyncExitStack, client: aiohttp.ClientSession, addresses: Iterator[str], pods: dict[str, Upstream]
) -> None:
    server, port, _ = await stack.enter_async_context(ads_server())
    (router,) = await start(stack, port, addresses)
    know(server, [router])
    set_routes(server, churn=churn(pods, {"churn-1": 100}))
    await until_acknowledged(server, router.pod, {"churn-1": 100})
    await router.until_ready(client)
    clock = asyncio.get_running_loop().time
    latencies = []
    async with load(client, router.url) as seen:
        for number in range(80):
            # Every third change also replaces one variant by another: clusters come and go.
            other = MODELS[1 + number // 3 % 2]
            weights = {"churn-1": 99 - number, other: number + 1}
            began = clock()
            set_routes(server, churn=churn(pods, weights, decision=number))
            await until_acknowledged(server, router.pod, weights)
            latencies.append(clock() - began)
            await asyncio.sleep(max(0.0, 0.1 - latencies[-1]))
    assert seen.failures == []
    # Five for each change, also on a machine that has other things to do.
    assert seen.answers.total() > 400
    p50, worst = sorted(latencies)[len(latencies) // 2], max(latencies)
    print(f"{seen.answers.total()} requests, change to ACK p50 {p50:.4f} s, worst {worst:.4f} s")
    assert p50 < 0.5


async def test_pods_that_come_and_go_cost_no_request(
    stack: AsyncExitStack, client: aiohttp.ClientSession, addresses: Iterator[str], pods: dict[str, Upstream]
) -> None:
    server, port, _ = await stack.enter_async_context(ads_server())
    (router,) = await start(stack, port, addresses)
    know(server, [router])
    pod = pods["churn-1"]
    set_routes(server, churn=churn({"churn-1": pod}, {"churn-1": 100}))
    await router.until_ready(client)
    async with load(client, router.url) as seen:
        for _ in range(8):
            async with serving("churn-1", next(addresses)) as extra:
                both = {"churn-1": (pod.address, extra.address)}
                set_routes(server, churn=a_route({"churn-1": 100}, both))
                await eventually(lambda extra=extra: extra.requests > 10, "the new pod gets requests")
                set_routes(server, churn=churn({"churn-1": pod}, {"churn-1": 100}))
                alone = {"churn-1": frozenset({pod.address})}
                await eventually(
                    lambda alone=alone: states(server)[router.pod].acknowledged.endpoints == alone, "removed"
                )
                before = seen.answers.total()
                await eventually(lambda before=before: seen.answers.total() > before + 50, "drained")
    assert seen.failures == []


async def test_envoy_accepts_every_form_of_its_bootstrap() -> None:
    container = router_container(xds_host="kingmaker.kingmaker-system.svc", xds_port=18000, max_heap_bytes=2**30)
    arguments = expand_arguments(container, address="127.101.0.9", pod="router-0")
    process = await asyncio.create_subprocess_exec(
        ENVOY, "--mode", "validate", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
