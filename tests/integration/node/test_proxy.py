"""The Service proxy: connections to cluster IPs reach ready pods, and none is dropped."""

import asyncio
import contextlib
import os
import signal
import sys
from typing import Any

from support.processnode import Api, ProcessNode, eventually, is_ready, lives, shell

ECHO = """
import asyncio, sys
name, host = sys.argv[1:]
async def serve(reader, writer):
    writer.write(name.encode() + b"\\n")
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.write(b"bye\\n")
    writer.close()
async def main():
    server = await asyncio.start_server(serve, host, 8080)
    await server.serve_forever()
asyncio.run(main())
"""


def echo(name: str) -> dict[str, Any]:
    ip = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    return {
        "command": [sys.executable, "-c", ECHO, name, "$(POD_IP)"],
        "env": [ip],
        "ports": [{"name": "echo", "containerPort": 8080}],
        "readinessProbe": {"tcpSocket": {"port": 8080}},
    }


async def run_echo(api: Api, *names: str) -> None:
    for name in names:
        await api.run(echo(name), name=name, labels={"app": "echo"})
    for name in names:
        await api.until(is_ready, name)


async def create_service(api: Api, **spec: Any) -> tuple[str, int]:
    body = {"selector": {"app": "echo"}, "ports": [{"port": 80, "targetPort": "echo"}], **spec}
    found = await api.create("services", {"metadata": {"name": "echo"}, "spec": body})
    return found["spec"]["clusterIP"], 8080


async def ask(address: tuple[str, int]) -> str | None:
    """The name of the pod that answers; None when the connection is refused or reset."""
    try:
        reader, writer = await asyncio.open_connection(*address)
    except OSError:
        return None
    try:
        return (await asyncio.wait_for(reader.readline(), 5)).decode().strip() or None
    except ConnectionError:
        return None
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_connections_go_round_robin_to_ready_pods(api: Api) -> None:
    address = await create_service(api)
    assert await ask(address) is None
    await run_echo(api, "a", "b")
    await eventually(lambda: ask(address))

    async def both() -> bool:
        return {await ask(address) for _ in range(6)} == {"a", "b"}

    await eventually(both)
    answers = [await ask(address) for _ in range(10)]
    assert (answers.count("a"), answers.count("b")) == (5, 5)


async def test_existing_connections_survive_changes_and_new_ones_are_refused_without_pods(api: Api) -> None:
    address = await create_service(api)
    await run_echo(api, "a")
    await eventually(lambda: ask(address))
    reader, writer = await asyncio.open_connection(*address)
    assert await reader.readline() == b"a\n"
    await api.client.patch(api.path("pods", "a"), {"metadata": {"labels": {"app": "other"}}})

    async def refused() -> bool:
        return await ask(address) is None

    await eventually(refused)
    writer.write(b"still here\n")
    assert await asyncio.wait_for(reader.readline(), 5) == b"still here\n"
    # Half closed: our end is passed on, the answer still comes.
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 5) == b"bye\n"
    writer.close()


async def test_a_pod_that_refuses_is_not_the_last_word(api: Api) -> None:
    address = await create_service(api)
    liar = {"command": ["sleep", "300"], "ports": [{"name": "echo", "containerPort": 8080}]}
    await api.run(liar, name="liar", labels={"app": "echo"})
    await run_echo(api, "honest")
    await eventually(lambda: ask(address))
    assert [await ask(address) for _ in range(10)] == ["honest"] * 10


async def test_unready_pods_when_the_service_says_so(api: Api) -> None:
    container = echo("a") | {"readinessProbe": {"exec": {"command": ["false"]}}}
    await api.run(container, name="a", labels={"app": "echo"})
    address = await create_service(api, publishNotReadyAddresses=True)
    assert await eventually(lambda: ask(address)) == "a"


async def test_a_rolling_restart_drops_nothing(api: Api) -> None:
    address = await create_service(api)
    await run_echo(api, "a", "b")
    await eventually(lambda: ask(address))
    answers: list[str | None] = []
    done = asyncio.Event()

    async def load() -> None:
        while not done.is_set():
            answers.append(await ask(address))

    task = asyncio.create_task(load())
    await run_echo(api, "c")
    await api.delete("a")
    await api.gone("a")
    await run_echo(api, "d")
    await api.delete("b")
    await api.gone("b")
    done.set()
    await task
    assert None not in answers
    assert {"c", "d"} <= set(answers)


async def test_large_transfers_arrive_whole(api: Api) -> None:
    address = await create_service(api)
    await run_echo(api, "a")
    await eventually(lambda: ask(address))
    reader, writer = await asyncio.open_connection(*address, limit=2**24)
    assert await reader.readline() == b"a\n"
    line = b"x" * 60_000 + b"\n"
    sent = asyncio.create_task(_send(writer, line, 100))
    for _ in range(100):
        assert await asyncio.wait_for(reader.readline(), 10) == line
    await sent
    writer.close()


async def _send(writer: asyncio.StreamWriter, line: bytes, times: int) -> None:
    for _ in range(times):
        writer.write(line)
        await writer.drain()


async def test_the_proxy_goes_on_without_its_node_and_is_started_again_when_killed(api: Api, node: ProcessNode) -> None:
    address = await create_service(api)
    await run_echo(api, "a")
    await eventually(lambda: ask(address))
    first = node.proxy_pid()
    node.kill()
    assert await ask(address) == "a"
    node.start()
    await api.run(shell("exec sleep 60"), name="probe")
    await api.until(is_ready, "probe")
    assert (node.proxy_pid(), lives(first)) == (first, True)
    os.kill(first, signal.SIGKILL)

    async def replaced() -> bool:
        return node.proxy_pid() != first and await ask(address) == "a"

    await eventually(replaced, 20)
