"""gRPC by way of a real router to real servers: led, stamped and counted as REST is."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest

from kingmaker.adapters.exposition import ExpositionReader
from kingmaker.core.plan import RoutePlan
from kingmaker.routing.ads import AdsServer
from support.buckets import bucket_of
from support.grpcclient import INFER, Called, a_message, call
from support.onnx_models import adding
from support.routers import NAMESPACE, Router, a_route, ads_server, eventually, routing, set_routes
from support.servers import Server, a_server

ROWS = [[1.0, 2.0, 3.0]]
MESSAGE = a_message(ROWS, name="x")


@dataclass
class World:
    """A router in front of two servers of a champion, and one of a challenger."""

    server: AdsServer
    router: Router
    pods: dict[str, Server]
    client: aiohttp.ClientSession
    gone: set[str] = field(default_factory=set)

    @property
    def target(self) -> str:
        return f"{self.router.address}:8080"

    def endpoints(self, *but: str) -> dict[str, tuple[str, ...]]:
        models = {pod.version for pod in self.pods.values()}
        left = {name: pod for name, pod in self.pods.items() if name not in but}
        return {model: tuple(pod.address for pod in left.values() if pod.version == model) for model in models}

    async def apply(self, route: RoutePlan) -> None:
        """Push a route and wait until the router acknowledged it."""
        set_routes(self.server, churn=route)
        wanted = {b.model: frozenset(b.endpoints) for b in route.backends}

        def known() -> bool:
            (state,) = self.server.routers(NAMESPACE, "churn")
            told = state.acknowledged
            return told is not None and (told.decision, told.endpoints) == (route.decision, wanted)

        await eventually(known, "acknowledged")
        await self.router.until_ready(self.client)

    def ask(self, metadata: dict[str, str] | None = None, *, host: str = "churn.team", **options: Any) -> Called:
        """One call; blocks."""
        options["options"] = {"grpc.default_authority": host}
        return call(self.target, MESSAGE, metadata=metadata, **options)

    def models(self, many: list[dict[str, str]]) -> list[str]:
        """Which model answered calls with such metadata, eight at a time; blocks."""
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(self.ask, many))
        assert {answer.code for answer in found} == {grpc.StatusCode.OK}, [a.message for a in found if a.message]
        return [answer.metadata["kingmaker-model"] for answer in found]

    async def post(self, headers: dict[str, str]) -> str:
        """Which model answers a request over REST."""
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": ROWS[0]}
        url = f"{self.router.url}/v2/models/churn/infer"
        async with self.client.post(url, json={"inputs": [tensor]}, headers={"host": "churn", **headers}) as response:
            assert response.status == 200
            return response.headers["kingmaker-model"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("served") / "model"
    made.mkdir()
    (made / "model.onnx").write_bytes(adding())
    return made


@pytest.fixture
def pods(folder: Path) -> Iterator[dict[str, Server]]:
    with ExitStack() as stack:
        versions = {"a0": "churn-1", "a1": "churn-1", "b0": "churn-2"}
        yield {
            name: stack.enter_context(a_server(folder, "--drain-seconds", "20", version=version))
            for name, version in versions.items()
        }


@pytest.fixture
async def world(
    client: aiohttp.ClientSession, addresses: Iterator[str], pods: dict[str, Server]
) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        server, port, _ = await stack.enter_async_context(ads_server())
        router = await stack.enter_async_context(routing("router-0", next(addresses), port))
        server.set_routers(NAMESPACE, {router.address: router.pod})
        yield World(server, router, pods, client)


def the_counts(world: World) -> Counter[str]:
    """Answered requests of all pods by decision."""
    found: Counter[str] = Counter()
    for pod in world.pods.values():
        for key, count in pod.counts().items():
            if key.startswith("requests_total") and 'outcome="ok"' in key:
                found[key.partition('decision="')[2].partition('"')[0]] += count
    return found


async def test_calls_are_split_and_stamped(world: World) -> None:
    await world.apply(a_route({"churn-1": 70, "churn-2": 30}, world.endpoints(), decision=7))
    answered = Counter(await asyncio.to_thread(world.models, [{}] * 300))
    assert 50 <= answered["churn-2"] <= 130
    assert answered.total() == 300
    # What a client says of itself is neither a decision nor a copy.
    forged = {"kingmaker-decision": "999", "kingmaker-shadow": "1"}
    assert (await asyncio.to_thread(world.ask, forged)).code is grpc.StatusCode.OK
    assert await asyncio.to_thread(the_counts, world) == {"7": 301}


async def test_a_preview_reaches_its_model_whatever_its_weight(world: World) -> None:
    await world.apply(a_route({"churn-1": 100, "churn-2": 0}, world.endpoints(), decision=7))
    assert await asyncio.to_thread(world.models, [{"kingmaker-model": "churn-2"}] * 5) == ["churn-2"] * 5
    assert await asyncio.to_thread(world.models, [{}] * 5) == ["churn-1"] * 5
    assert await asyncio.to_thread(the_counts, world) == {"0": 5, "7": 5}


async def test_affinity_does_not_depend_on_the_protocol(world: World) -> None:
    route = a_route({"churn-1": 50, "churn-2": 50}, world.endpoints(), decision=7, affinity_header="x-entity-id")
    await world.apply(route)
    entities = [{"x-entity-id": f"entity {number}"} for number in range(40)]
    by_grpc = await asyncio.to_thread(world.models, entities)
    assert by_grpc == [await world.post(entity) for entity in entities]
    assert set(by_grpc) == {"churn-1", "churn-2"}


async def test_servers_count_an_entity_in_its_bucket_whatever_the_protocol(world: World) -> None:
    weights = {"churn-1": 50, "churn-2": 50}
    await world.apply(a_route(weights, world.endpoints(), decision=7, affinity_header="x-entity-id", draw=5))
    entities = [{"x-entity-id": f"entity {number}", "kingmaker-bucket": "3"} for number in range(10)]
    await asyncio.to_thread(world.models, entities)
    for entity in entities:
        await world.post(entity)
    wanted = Counter(bucket_of("churn/5", entity["x-entity-id"]) for entity in entities for _ in range(2))
    found: dict[str, Counter[int]] = {"churn-1": Counter(), "churn-2": Counter()}
    for pod in world.pods.values():
        read = ExpositionReader().read("uid", pod.manage("/profile").body, {})
        for buckets in read.counts.buckets.values():
            found[pod.version].update(dict(enumerate(buckets[7].requests.tolist())))
    assert +(found["churn-1"] + found["churn-2"]) == wanted
    # The challenger has the first half of each hundred.
    assert all(bucket % 100 < 50 for bucket in +found["churn-2"])
    assert all(bucket % 100 >= 50 for bucket in +found["churn-1"])


@pytest.mark.parametrize("host", ["churn", "CHURN.team", "churn.team.svc.cluster.local:8081"])
async def test_a_deployment_is_found_by_every_name_of_its_own(world: World, host: str) -> None:
    await world.apply(a_route({"churn-1": 100}, world.endpoints()))
    assert (await asyncio.to_thread(world.ask, host=host)).code is grpc.StatusCode.OK


async def test_health_and_metadata_come_from_the_deployment(world: World) -> None:
    await world.apply(a_route({"churn-1": 100}, world.endpoints()))
    options = {"grpc.default_authority": "churn.team"}
    from tritonclient.grpc import service_pb2

    path = "/inference.GRPCInferenceService/ModelMetadata"
    asked = service_pb2.ModelMetadataRequest(name="churn")
    kind = service_pb2.ModelMetadataResponse
    found = await asyncio.to_thread(call, world.target, asked, method=path, answer=kind, options=options)
    assert list(found.response.versions) == ["churn-1"]


async def test_what_the_router_says_itself_is_a_sentence(world: World) -> None:
    await world.apply(a_route({"churn-1": 0}, world.endpoints()))
    nobody = await asyncio.to_thread(world.ask, host="nobody.team")
    assert (nobody.code, nobody.message) == (
        grpc.StatusCode.UNIMPLEMENTED,
        "no model deployment answers to this host; use http://<model deployment>.<namespace>",
    )
    nothing = await asyncio.to_thread(world.ask)
    assert (nothing.code, nothing.message) == (
        grpc.StatusCode.UNAVAILABLE,
        "model deployment churn has no variant that can answer now; try again",
    )


async def test_errors_of_the_server_come_through(world: World) -> None:
    await world.apply(a_route({"churn-1": 100}, world.endpoints()))
    options = {"grpc.default_authority": "churn"}
    wrong = await asyncio.to_thread(call, world.target, a_message([[1.0]], name="x"), options=options)
    assert (wrong.code, "dimension 1 must be 3" in wrong.message) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    assert wrong.metadata["kingmaker-model"] == "churn-1"


@dataclass
class Load:
    """What callers saw."""

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


@contextlib.contextmanager
def calling(world: World, callers: int = 4) -> Iterator[Load]:
    """Call without a break, all on one channel, while the block runs."""
    seen, stopping = Load(), threading.Event()
    options = [("grpc.default_authority", "churn"), ("grpc.enable_retries", 0)]
    content = MESSAGE.SerializeToString()

    def run(ask: Any) -> None:
        while not stopping.is_set():
            try:
                _, done = ask.with_call(content, timeout=20)
                seen.answers[dict(done.initial_metadata())["kingmaker-model"]] += 1
            except grpc.RpcError as error:
                seen.failures.append(f"{error.code()} {error.details()}")
            stopping.wait(0.002)

    with grpc.insecure_channel(world.target, options=options) as channel:
        threads = [threading.Thread(target=run, args=(channel.unary_unary(INFER),)) for _ in range(callers)]
        for thread in threads:
            thread.start()
        try:
            yield seen
        finally:
            stopping.set()
            for thread in threads:
                thread.join()


async def after(seen: Load, more: int) -> None:
    """Wait until so many more calls were answered."""
    begin = seen.answers.total()
    await eventually(lambda: seen.answers.total() >= begin + more, f"{more} more calls", seconds=60)


async def test_no_call_is_lost_when_weights_change_or_a_pod_is_drained(world: World) -> None:
    await world.apply(a_route({"churn-1": 100, "churn-2": 0}, world.endpoints(), decision=1))
    with calling(world) as seen:
        await after(seen, 50)
        await world.apply(a_route({"churn-1": 0, "churn-2": 100}, world.endpoints(), decision=2))
        await after(seen, 50)
        await world.apply(a_route({"churn-1": 100, "churn-2": 0}, world.endpoints(), decision=3))
        await after(seen, 50)
        # As a pod ends: routers are told, then it gets SIGTERM.
        await world.apply(a_route({"churn-1": 100, "churn-2": 0}, world.endpoints("a0"), decision=3))
        ended = await asyncio.to_thread(world.pods["a0"].end)
        await after(seen, 50)
    assert (ended, seen.failures) == (0, [])
    assert seen.answers["churn-2"] > 0


async def test_no_call_is_lost_with_a_pod_that_ends_before_routers_know(world: World) -> None:
    await world.apply(a_route({"churn-1": 100}, world.endpoints()))
    with calling(world) as seen:
        await after(seen, 50)
        ending = asyncio.create_task(asyncio.to_thread(world.pods["a0"].end))
        await after(seen, 100)
        await world.apply(a_route({"churn-1": 100}, world.endpoints("a0")))
        assert await ending == 0
        await after(seen, 50)
    assert seen.failures == []


async def test_calls_of_a_pod_that_is_killed_are_asked_elsewhere(world: World) -> None:
    await world.apply(a_route({"churn-1": 100}, world.endpoints()))
    with calling(world) as seen:
        await after(seen, 50)
        world.pods["a0"].process.kill()
        await after(seen, 100)
    assert seen.failures == []


async def test_servers_of_an_earlier_release_answer_rest(
    client: aiohttp.ClientSession, addresses: Iterator[str], folder: Path
) -> None:
    async with AsyncExitStack() as stack:
        pod = stack.enter_context(a_server(folder, "--grpc-port", "0"))
        server, port, _ = await stack.enter_async_context(ads_server())
        router = await stack.enter_async_context(routing("router-0", next(addresses), port))
        server.set_routers(NAMESPACE, {router.address: router.pod})
        world = World(server, router, {"a0": pod}, client)
        await world.apply(a_route({"churn-1": 100}, world.endpoints()))
        found = await asyncio.to_thread(world.ask)
        assert found.code is grpc.StatusCode.UNAVAILABLE
        assert [await world.post({}) for _ in range(20)] == ["churn-1"] * 20
