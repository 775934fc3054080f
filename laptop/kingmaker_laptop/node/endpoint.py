"""The kubelet endpoint that the API server calls: `kubectl logs`, and a plain answer to what this node lacks."""

import contextlib
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from aiohttp import web

from kingmaker_laptop.node.container import ContainerRuntime
from kingmaker_laptop.node.logs import LogOptions, stream_log
from kingmaker_laptop.node.times import parse_time, utc_now
from kingmaker_laptop.node.tools import HOST_IP
from kingmaker_laptop.node.worker import PodWorker

Find = Callable[[str, str], PodWorker | None]
"""Finds a pod's worker by namespace and name."""


class Endpoint:
    """The HTTPS server of a node."""

    def __init__(self, find: Find) -> None:
        self._find = find
        app = web.Application()
        app.router.add_get("/healthz", _healthy)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        app.router.add_route("*", "/{verb:(exec|attach|portForward|run|debug).*}", _refuse)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)

    async def start(self, port: int, tls: ssl.SSLContext) -> int:
        """Listen; returns the port."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST_IP, port, ssl_context=tls)
        await site.start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        info = request.match_info
        worker = self._find(info["namespace"], info["pod"])
        if worker is None:
            return web.Response(status=404, text=f'pod "{info["pod"]}" not found on this node')
        container = worker.containers.get(info["container"])
        if container is None:
            return web.Response(status=404, text=f'container "{info["container"]}" not found in pod "{info["pod"]}"')
        is_previous = request.query.get("previous") == "true"
        folder = _log_folder(worker, container, is_previous=is_previous)
        if folder is None:
            return web.Response(status=400, text=_why_no_log(info["container"], info["pod"], is_previous))
        try:
            options = _read_options(request)
        except ValueError as error:
            return web.Response(status=400, text=f"log options: {error}")
        is_running = (lambda: False) if is_previous else (lambda: container.runs_in(folder))
        return await _stream(request, folder, options, is_running)


async def _stream(
    request: web.Request, folder: Path, options: LogOptions, is_running: Callable[[], bool]
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    # Who reads may go away at any time; that ends the stream, not the node.
    with contextlib.suppress(ConnectionError):
        async for piece in stream_log(folder, options, is_running=is_running):
            await response.write(piece)
        await response.write_eof()
    return response


def _log_folder(worker: PodWorker, container: ContainerRuntime, *, is_previous: bool) -> Path | None:
    attempts = worker.folder.attempts(container.container.name)
    if is_previous:
        attempts = attempts[:-1]
    return worker.folder.attempt(container.container.name, attempts[-1]) if attempts else None


def _why_no_log(container: str, pod: str, is_previous: bool) -> str:
    if is_previous:
        return f'previous terminated container "{container}" in pod "{pod}" not found'
    return f'container "{container}" in pod "{pod}" is waiting to start'


def _read_options(request: web.Request) -> LogOptions:
    query = request.query
    since = None
    if query.get("sinceSeconds"):
        since = utc_now() - timedelta(seconds=int(query["sinceSeconds"]))
    elif query.get("sinceTime"):
        since = parse_time(query["sinceTime"])
    stream = query.get("stream", "All")
    return LogOptions(
        is_following=query.get("follow") == "true",
        has_timestamps=query.get("timestamps") == "true",
        tail_lines=int(query["tailLines"]) if query.get("tailLines") else None,
        since=since,
        limit_bytes=int(query["limitBytes"]) if query.get("limitBytes") else None,
        stream="" if stream == "All" else stream.lower(),
    )


async def _healthy(_: web.Request) -> web.Response:
    return web.Response(text="ok")


async def _refuse(request: web.Request) -> web.Response:
    verb = request.match_info["verb"].partition("/")[0]
    text = f"{verb} isn't offered by a node of processes; the pod's processes are on this machine, at its status.podIP"
    return web.Response(status=501, text=text)
