"""The way from one operator to the API server: writes down what passes, holds a write up, breaks.

What it holds is on its way: whoever sent it looked at the clock before, and may be paused or dead when it arrives.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from kingmaker.kube.kubeconfig import Connection

_HOP_BY_HOP = {"host", "connection", "transfer-encoding", "content-length", "content-encoding", "accept-encoding"}
_READS = {"GET", "HEAD"}


@dataclass(frozen=True)
class Write:
    """A write that the API server answered; times are monotonic seconds."""

    method: str
    path: str
    sent: float
    answered: float
    status: int
    holder: str
    """Whom a Lease was given to; empty for everything else."""
    said: str

    @property
    def is_committed(self) -> bool:
        return self.status < 300

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"


@dataclass
class Wire:
    """An HTTP proxy in front of the API server."""

    connection: Connection
    session: aiohttp.ClientSession
    url: str = ""
    writes: list[Write] = field(default_factory=list)
    is_cut: bool = False
    """While it is, every request ends without an answer."""
    hold: Callable[[str, str], bool] = lambda _method, _path: False
    """Which writes to keep."""
    held: asyncio.Event = field(default_factory=asyncio.Event)
    """One is kept."""
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    def committed(self, after: float = 0.0) -> list[Write]:
        """What was written beside Leases and Events, sent after a moment."""
        others = ("/leases", "/events")
        found = [w for w in self.writes if w.is_committed and w.sent > after]
        return [w for w in found if not any(kind in w.path for kind in others)]

    def terms(self) -> list[Write]:
        """Writes by which a Lease was taken, renewed or given back."""
        return [w for w in self.writes if "/leases" in w.path and w.is_committed]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Pass one request on."""
        body = await request.read()
        if request.method not in _READS and self.hold(request.method, request.path):
            self.held.set()
            await self.let_go.wait()
        if self.is_cut:
            raise _broken(request)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
        sent = time.monotonic()
        try:
            async with self.session.request(
                request.method,
                self.connection.server + request.path_qs,
                headers=headers,
                data=body or None,
                ssl=self.connection.tls or True,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            ) as found:
                if request.method in _READS:
                    return await self._stream(request, found)
                text = await found.read()
                self.writes.append(_write(request, body, sent, found.status, text))
                return web.Response(status=found.status, body=text, content_type="application/json")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _broken(request) from error

    async def _stream(self, request: web.Request, found: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=found.status, headers={"Content-Type": "application/json"})
        await response.prepare(request)
        async for block in found.content.iter_any():
            if self.is_cut:
                raise _broken(request)
            await response.write(block)
        return response


def _broken(request: web.Request) -> Exception:
    if request.transport is not None:
        request.transport.abort()
    return ConnectionResetError("the wire is cut")


def _write(request: web.Request, body: bytes, sent: float, status: int, text: bytes) -> Write:
    holder = ""
    if "/leases" in request.path:
        holder = json.loads(body)["spec"]["holderIdentity"]
    said = "" if status < 300 else json.loads(text).get("message", "")
    return Write(request.method, request.path, sent, time.monotonic(), status, holder, said)


@asynccontextmanager
async def wired(connection: Connection) -> AsyncIterator[Wire]:
    """Run a wire while the block runs."""
    async with aiohttp.ClientSession(auto_decompress=True) as session:
        wire = Wire(connection, session)
        application = web.Application(client_max_size=64 * 2**20)
        application.router.add_route("*", "/{path:.*}", wire.answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        wire.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield wire
        finally:
            await runner.cleanup()
