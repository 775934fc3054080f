"""A proxy before the API server that can be away, and that can make it forget: every watch is told to list anew."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from kingmaker.kube.kubeconfig import read_kubeconfig
from support.controlplane import ControlPlane

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "authorization"}
_GONE = {
    "type": "ERROR",
    "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"},
}


class ApiProxy:
    """Passes on all requests as the control plane's administrator, over plain HTTP."""

    def __init__(self, plane: ControlPlane, session: aiohttp.ClientSession) -> None:
        self._plane = plane
        self._session = session
        self._tls = read_kubeconfig(plane.kubeconfig).tls
        self._open: set[asyncio.Transport] = set()
        self._is_down = False
        self._forgets = False
        self.port = 0
        self.requests: list[str] = []
        """Method and address of each request that was passed on."""

    def go_down(self) -> None:
        """Cut all connections, and refuse new ones."""
        self._is_down = True
        for transport in self._open:
            transport.abort()

    def come_up(self, *, forgetful: bool) -> None:
        """Answer again; forgetful: watches that go on from a resourceVersion from before are refused with 410."""
        self._is_down, self._forgets = False, forgetful

    def remember(self) -> None:
        """Refuse no watches any more."""
        self._forgets = False

    def reads(self) -> list[str]:
        """Give the requests so far that read, watches apart."""
        return [line for line in self.requests if line.startswith("GET") and "watch=" not in line]

    def kubeconfig(self, folder: Path) -> Path:
        """Write a kubeconfig that leads here."""
        path = folder / "proxy.kubeconfig"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "proxy",
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
            "clusters": [{"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "proxy", "user": {"token": self._plane.token}}],
        }
        path.write_text(yaml.safe_dump(document))
        return path

    async def handle(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        self._open.add(transport)
        try:
            if self._is_down:
                transport.abort()
                return web.Response()
            self.requests.append(f"{request.method} {request.path_qs}")
            if self._forgets and "watch" in request.query and request.query.get("resourceVersion"):
                return web.Response(text=json.dumps(_GONE) + "\n", content_type="application/json")
            return await self._forward(request)
        except (ConnectionError, aiohttp.ClientError):
            # Whoever asked is gone, or was cut off.
            transport.abort()
            return web.Response()
        finally:
            self._open.discard(transport)

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        headers["Authorization"] = f"Bearer {self._plane.token}"
        url = self._plane.url + request.path_qs
        async with self._session.request(
            request.method, url, headers=headers, data=await request.read() or None, ssl=self._tls or True
        ) as upstream:
            response = web.StreamResponse(status=upstream.status)
            response.content_type = upstream.content_type
            await response.prepare(request)
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response


@asynccontextmanager
async def running_api_proxy(plane: ControlPlane) -> AsyncIterator[ApiProxy]:
    """Run a proxy while the block runs."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=True) as session:
        proxy = ApiProxy(plane, session)
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{tail:.*}", proxy.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        proxy.port = site._server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            proxy.go_down()
            await runner.cleanup()
