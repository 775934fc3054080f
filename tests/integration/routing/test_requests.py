"""What a client of a real router sees."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
import pytest

from kingmaker.core.plan import RoutePlan
from kingmaker.routing.ads import AdsServer
from support.buckets import bucket_of
from support.routers import (
    NAMESPACE,
    Router,
    Upstream,
    a_route,
    acknowledged_weights,
    ads_server,
    eventually,
    routing,
    serving,
    set_routes,
)

LABELS = "/v2/models/churn/feedback"


@dataclass
class World:
    """One router in front of a champion and a challenger of two pods each."""

    server: AdsServer
    router: Router
    client: aiohttp.ClientSession
    upstreams: dict[str, Upstream]
    spare_address: str

    @property
    def endpoints(self) -> dict[str, tuple[str, ...]]:
        models = {u.model for u in self.upstreams.values()}
        return {m: tuple(u.address for u in self.upstreams.values() if u.model == m) for m in models}

    async def apply(self, churn: RoutePlan, **others: RoutePlan) -> None:
        """Push the routes and wait until the router acknowledged them."""
        routes = {"churn": churn, **others}
        set_routes(self.server, **routes)
        wanted = {n: (r.decision, {b.model: b.weight for b in r.backends}) for n, r in routes.items()}

        def known(name: str) -> tuple[int, dict[str, int]] | None:
            (state,) = self.server.routers(NAMESPACE, name)
            return (state.acknowledged.decision, dict(state.acknowledged.weights)) if state.acknowledged else None

        await eventually(lambda: {n: known(n) for n in routes} == wanted, f"acknowledged {wanted}")
        await self.router.until_ready(self.client)

    async def post(
        self,
        headers: dict[str, str] | None = None,
        *,
        host: str = "churn",
        body: bytes = b"{}",
        path: str = "/v2/models/churn/infer",
    ) -> tuple[int, str, dict[str, str]]:
        """Status, text and headers of an answer."""
        url = f"{self.router.url}{path}"
        async with self.client.post(url, data=body, headers={"host": host, **(headers or {})}) as response:
            return response.status, await response.text(), {k.lower(): v for k, v in response.headers.items()}

    async def models(self, count: int, headers: dict[str, str] | None = None) -> Counter[str]:
        """Which models answered `count` requests."""
        answers = await asyncio.gather(*(self.post(headers) for _ in range(count)))
        assert {status for status, _, _ in answers} == {200}
        return Counter(h["kingmaker-model"] for _, _, h in answers)


@pytest.fixture
async def world(client: aiohttp.ClientSession, addresses: Iterator[str]) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        server, port, _ = await stack.enter_async_context(ads_server())
        router = await stack.enter_async_context(routing("router-0", next(addresses), port))
        server.set_routers(NAMESPACE, {router.address: router.pod})
        upstreams = {
            pod: await stack.enter_async_context(serving(model, next(addresses)))
            for pod, model in {"a0": "churn-1", "a1": "churn-1", "b0": "churn-2", "b1": "churn-2"}.items()
        }
        yield World(server, router, client, upstreams, next(addresses))


async def test_requests_are_split_by_the_weights(world: World) -> None:
    await world.apply(a_route({"churn-1": 75, "churn-2": 25}, world.endpoints))
    count = 1200
    share = (await world.models(count))["churn-2"] / count
    # Five standard deviations: fails once in two million runs.
    assert abs(share - 0.25) < 5 * math.sqrt(0.25 * 0.75 / count)


async def test_weight_zero_gets_nothing_but_previews(world: World) -> None:
    await world.apply(a_route({"churn-1": 100, "churn-2": 0}, world.endpoints))
    assert await world.models(200) == {"churn-1": 200}
    assert await world.models(20, {"kingmaker-model": "churn-2"}) == {"churn-2": 20}
    assert await world.models(20, {"kingmaker-model": "churn-1"}) == {"churn-1": 20}
    assert await world.models(20, {"kingmaker-model": "nobody"}) == {"churn-1": 20}


async def test_labels_reach_any_pod_of_any_variant(world: World) -> None:
    await world.apply(a_route({"churn-1": 100, "churn-2": 0}, world.endpoints))
    for _ in range(100):
        assert (await world.post(path=LABELS))[0] == 200
    assert all(upstream.requests for upstream in world.upstreams.values())
    # Not for a model that somebody asks for by name, and not for another deployment's.
    await world.post({"kingmaker-model": "churn-2"}, path=LABELS)
    assert await world.models(20) == {"churn-1": 20}


async def test_labels_of_the_same_request_reach_the_same_pod(world: World) -> None:
    await world.apply(a_route({"churn-1": 60, "churn-2": 40}, world.endpoints))
    asked = set()
    for number in range(20):
        before = {name: upstream.requests for name, upstream in world.upstreams.items()}
        for _ in range(5):
            await world.post({"kingmaker-request-id": f"id-{number}"}, path=LABELS)
        (one,) = [name for name, upstream in world.upstreams.items() if upstream.requests != before[name]]
        asked.add(one)
    assert len(asked) > 1


async def test_labels_find_a_challengers_pods_while_the_champion_has_none(world: World) -> None:
    endpoints = {"churn-1": (world.spare_address,), "churn-2": world.endpoints["churn-2"]}
    await world.apply(a_route({"churn-1": 100, "churn-2": 0}, endpoints))
    for _ in range(20):
        status, _, headers = await world.post(path=LABELS)
        assert (status, headers["kingmaker-model"]) == (200, "churn-2")
    assert (await world.post())[0] == 503


async def test_labels_that_may_have_been_taken_are_not_sent_again(world: World) -> None:
    taken = 0

    async def take_and_reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        await reader.readuntil(b"\r\n\r\n")
        taken += 1
        writer.transport.abort()

    async with await asyncio.start_server(take_and_reset, world.spare_address, 8080):
        endpoints = {"churn-1": (world.spare_address,), "churn-2": ()}
        await world.apply(a_route({"churn-1": 100, "churn-2": 0}, endpoints))
        assert (await world.post(path=LABELS))[0] == 503
        assert taken == 1


async def test_the_decision_is_stamped_over_what_a_client_sent(world: World) -> None:
    await world.apply(a_route({"churn-1": 100, "churn-2": 0}, world.endpoints, decision=17))
    await world.post({"kingmaker-decision": "3", "kingmaker-shadow": "1"})
    (champion,) = [u for u in world.upstreams.values() if u.headers]
    assert champion.headers["kingmaker-decision"] == "17"
    assert "kingmaker-shadow" not in champion.headers


async def test_previews_are_no_evidence(world: World) -> None:
    await world.apply(a_route({"churn-1": 100, "churn-2": 0}, world.endpoints, decision=17))
    await world.post({"kingmaker-decision": "17", "kingmaker-model": "churn-2"})
    (challenger,) = [u for u in world.upstreams.values() if u.headers]
    assert (challenger.model, challenger.headers["kingmaker-decision"]) == ("churn-2", "0")


@pytest.mark.parametrize(
    "host",
    [
        "churn",
        "churn.team",
        "churn.team.svc",
        "churn.team.svc.cluster.local",
        "10.9.8.7",
        "churn.team:80",
        "10.9.8.7:8080",
        "Churn.Team:80",
    ],
)
async def test_every_name_of_the_service_is_answered(world: World, host: str) -> None:
    await world.apply(a_route({"churn-1": 100}, world.endpoints, cluster_ip="10.9.8.7"))
    status, _, _ = await world.post(host=host)
    assert status == 200


async def test_an_unknown_host_is_told_what_to_do(world: World) -> None:
    await world.apply(a_route({"churn-1": 100}, world.endpoints))
    status, text, headers = await world.post(host="chrun.team")
    assert status == 404
    assert text.strip() == (
        '{"error":"no model deployment answers to this host; use http://<model deployment>.<namespace>"}'
    )
    assert headers["content-type"] == "application/json"


async def test_a_deployment_without_weights_is_unavailable(world: World) -> None:
    await world.apply(a_route({"churn-1": 0}, world.endpoints), b=a_route({"churn-1": 100}, world.endpoints))
    status, text, headers = await world.post()
    assert status == 503
    assert text.strip() == '{"error":"model deployment churn has no variant that can answer now; try again"}'
    assert headers["retry-after"] == "1"
    assert (await world.post(host="b"))[0] == 200


async def test_no_endpoint_is_an_error_in_the_form_of_the_servers(world: World) -> None:
    await world.apply(a_route({"churn-1": 100}, {}))
    status, text, headers = await world.post()
    assert (status, headers["content-type"], headers["retry-after"]) == (503, "application/json", "1")
    assert text.strip() == '{"error":"no healthy upstream"}'


async def test_an_entity_keeps_its_variant_while_the_challenger_grows(world: World) -> None:
    entities = [f"customer-{n}" for n in range(150)]
    on_challenger: list[set[str]] = []
    for weight in (5, 25, 50):
        weights = {"churn-1": 90 - weight, "churn-2": weight, "churn-b": 10}
        endpoints = world.endpoints | {"churn-b": world.endpoints["churn-1"]}
        await world.apply(a_route(weights, endpoints, decision=weight, affinity_header="x-entity-id"))
        answers = await asyncio.gather(*(world.post({"x-entity-id": e}) for e in entities))
        again = await asyncio.gather(*(world.post({"x-entity-id": e}) for e in entities))
        assert [text for _, text, _ in answers] == [text for _, text, _ in again]
        on_challenger.append(
            {e for e, (_, _, h) in zip(entities, answers, strict=True) if h["kingmaker-model"] == "churn-2"}
        )
    assert on_challenger[0] < on_challenger[1] < on_challenger[2]
    assert 50 < len(on_challenger[2]) < 100


async def test_an_entity_falls_into_the_bucket_of_its_hash_and_takes_it_along(world: World) -> None:
    weights = {"churn-1": 50, "churn-2": 50}
    await world.apply(a_route(weights, world.endpoints, decision=7, affinity_header="x-entity-id", draw=7))
    for entity in ("customer-1", "Ünïcode", "x" * 300, "7"):
        _, text, answer = await world.post({"x-entity-id": entity, "kingmaker-bucket": "3"})
        bucket = bucket_of("churn/7", entity)
        (asked,) = [u for u in world.upstreams.values() if u.address in text]
        assert asked.headers["kingmaker-bucket"] == str(bucket)
        # The challenger has the first half of each hundred.
        assert answer["kingmaker-model"] == ("churn-2" if bucket % 100 < 50 else "churn-1")


async def test_another_draw_sends_entities_elsewhere(world: World) -> None:
    entities = [f"customer-{n}" for n in range(150)]
    on_challenger: list[set[str]] = []
    for draw in (1, 2):
        weights = {"churn-1": 50, "churn-2": 50}
        await world.apply(a_route(weights, world.endpoints, decision=draw, affinity_header="x-entity-id", draw=draw))
        answers = await asyncio.gather(*(world.post({"x-entity-id": e}) for e in entities))
        on_challenger.append(
            {e for e, (_, _, h) in zip(entities, answers, strict=True) if h["kingmaker-model"] == "churn-2"}
        )
    both = on_challenger[0] & on_challenger[1]
    # Independent draws share a quarter of the entities; five standard deviations.
    assert abs(len(both) - 37.5) < 5 * math.sqrt(150 * 0.25 * 0.75)


async def test_clients_choose_no_bucket(world: World) -> None:
    forged = {"kingmaker-bucket": "3"}
    await world.apply(a_route({"churn-1": 100}, world.endpoints, decision=1))
    await world.models(10, forged)
    assert all("kingmaker-bucket" not in u.headers for u in world.upstreams.values() if u.requests)
    await world.apply(a_route({"churn-1": 50, "churn-2": 50}, world.endpoints, decision=2, affinity_header="x-user"))
    await world.models(10, forged | {"kingmaker-model": "churn-2"})
    asked = [u for u in world.upstreams.values() if u.model == "churn-2"]
    assert all("kingmaker-bucket" not in u.headers for u in asked if u.requests)
    # Without an entity each request has a bucket of its own, drawn.
    assert len(await world.models(40, forged)) == 2


async def test_requests_without_the_affinity_header_are_split_at_random(world: World) -> None:
    await world.apply(a_route({"churn-1": 50, "churn-2": 50}, world.endpoints, affinity_header="x-entity-id"))
    answers = await world.models(200)
    assert 50 < answers["churn-1"] < 150


async def test_a_pod_that_refuses_connections_costs_no_request(world: World) -> None:
    endpoints = {"churn-1": (*world.endpoints["churn-1"], world.spare_address)}
    await world.apply(a_route({"churn-1": 100}, endpoints))
    assert await world.models(200) == {"churn-1": 200}
    large = await asyncio.gather(*(world.post(body=bytes(900_000)) for _ in range(12)))
    assert [status for status, _, _ in large] == [200] * 12


async def test_an_only_pod_is_never_given_up(world: World) -> None:
    await world.apply(a_route({"churn-1": 100}, {"churn-1": (world.spare_address,)}))
    asked = [asyncio.create_task(world.post()) for _ in range(8)]
    # A first one has tried as often as it may.
    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    async with serving("churn-1", world.spare_address):
        assert (await world.post())[0] == 200
        await asyncio.gather(*asked)


async def test_a_pod_that_was_passed_over_is_asked_when_no_other_is_left(world: World) -> None:
    left = world.spare_address
    await world.apply(a_route({"churn-1": 100}, {"churn-1": (*world.endpoints["churn-1"], left)}))
    await world.models(100)
    async with serving("churn-1", world.spare_address):
        await world.apply(a_route({"churn-1": 100}, {"churn-1": (left,)}, decision=2))
        assert await world.models(20) == {"churn-1": 20}


async def test_clients_can_neither_shorten_nor_repeat_requests(world: World) -> None:
    await world.apply(a_route({"churn-1": 100}, world.endpoints))
    for upstream in world.upstreams.values():
        upstream.delay_seconds = 0.05
    status, _, _ = await world.post({"x-envoy-upstream-rq-timeout-ms": "1", "x-envoy-retry-on": "5xx"})
    assert status == 200
    assert sum(u.requests for u in world.upstreams.values()) == 1
    (asked,) = [u for u in world.upstreams.values() if u.requests]
    assert "x-envoy-retry-on" not in asked.headers


async def test_only_two_pages_of_the_admin_interface_are_open(world: World) -> None:
    await world.apply(a_route({"churn-1": 100}, world.endpoints))
    base = f"http://{world.router.address}:8082"
    statuses = {}
    for page in ("/ready", "/stats/prometheus", "/stats", "/config_dump", "/quitquitquit", "/ready/../quitquitquit"):
        async with world.client.get(base + page) as response:
            statuses[page] = response.status
    async with world.client.post(f"{base}/quitquitquit") as response:
        statuses["POST"] = response.status
    assert [page for page, status in statuses.items() if status == 200] == ["/ready", "/stats/prometheus"]
    assert {status for status in statuses.values() if status != 200} == {404}


async def test_a_router_drains_before_it_stops(world: World) -> None:
    await world.apply(a_route({"churn-1": 100}, world.endpoints))
    assert (await world.post())[2].get("connection") != "close"
    command = world.router.container.lifecycle["preStop"]["exec"]["command"]
    hook = await asyncio.create_subprocess_exec(*command, env={"POD_IP": world.router.address, "PATH": "/usr/bin:/bin"})
    closed = 0
    while hook.returncode is None and closed < 5:
        status, _, headers = await world.post()
        assert status == 200
        closed += headers.get("connection") == "close"
    assert closed == 5
    assert await hook.wait() == 0


async def test_weights_reported_are_those_in_force(world: World) -> None:
    await world.apply(a_route({"churn-1": 100}, world.endpoints))
    (state,) = world.server.routers(NAMESPACE, "churn")
    assert state.connected
    assert state.error is None
    assert acknowledged_weights(state) == {"churn-1": 100}
    assert state.acknowledged
    assert state.acknowledged.decision == 1
    assert state.acknowledged.endpoints == {"churn-1": frozenset(world.endpoints["churn-1"])}
