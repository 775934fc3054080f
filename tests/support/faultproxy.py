"""A proxy before a store that does to downloads what networks and stores do; uploads and listings pass as they are."""

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

_SLICE_BYTES: Final = 4096
_RANGE: Final = {"range", "x-ms-range"}
_HOP: Final = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass
class Faults:
    """What happens to requests of objects. Fields may be changed while the proxy runs."""

    statuses: list[int] = field(default_factory=list)
    """Answers to the next requests, one each; 0 passes one on."""
    cut_at: float | None = None
    """Part of a body, 0..1, after which the connection is closed."""
    cuts: int = 1_000_000
    """How many bodies are cut."""
    bytes_per_second: int | None = None
    silent: bool = False
    """Connections are taken, and nothing is ever said."""
    length: Callable[[int], int] = lambda length: length
    """What is told as the length instead."""
    ignores_ranges: bool = False
    wrong_range: bool = False
    """Other bytes of the object than were asked for, told as if they were those."""
    location: str = ""
    """Redirect there."""
    between: Callable[[], None] | None = None
    """Called once, when the first body was read from the store and before it is sent on."""


class FaultProxy(ThreadingHTTPServer):
    """Passes requests to `upstream` (host, port); does harm to those whose path `is_object` says to be an object's."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, upstream: tuple[str, int], is_object: Callable[[str], bool] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.is_object = is_object or _is_s3_object
        self.faults = Faults()
        self.bodies = 0
        self.ending = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: FaultProxy
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._pass()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815  # the names are http.server's

    def _pass(self) -> None:
        is_object = self.command in ("GET", "HEAD") and self.server.is_object(self.path)
        faults = self.server.faults if is_object else Faults()
        self.close_connection = True
        if faults.silent:
            self.server.ending.wait()
            return
        status = faults.statuses.pop(0) if faults.statuses else 0
        if faults.location:
            self._answer(307, {"location": faults.location}, b"")
        elif status:
            self._answer(status, {}, b"")
        else:
            self._forward(faults)

    def _forward(self, faults: Faults) -> None:
        headers = dict(self.headers.items())
        wanted = any(name.lower() in _RANGE for name in headers)
        if faults.ignores_ranges:
            headers = {name: value for name, value in headers.items() if name.lower() not in _RANGE}
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        connection = http.client.HTTPConnection(*self.server.upstream, timeout=20)
        with contextlib.closing(connection):
            connection.request(self.command, self.path, body=body, headers=headers)
            response = connection.getresponse()
            content = response.read()
        if wanted and faults.wrong_range:
            content = content[::-1]
        # An answer in chunks tells no length.
        told = faults.length(int(response.headers.get("content-length") or len(content)))
        kept = {name: value for name, value in response.getheaders() if name.lower() not in _HOP}
        self._answer(response.status, kept, content, length=told, faults=faults)

    def _answer(
        self, status: int, headers: dict[str, str], content: bytes, *, length: int | None = None, faults: Any = None
    ) -> None:
        with contextlib.suppress(OSError):
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content) if length is None else length))
            self.send_header("connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self._send(content, faults or Faults())

    def _send(self, content: bytes, faults: Faults) -> None:
        if faults.between is not None:
            act, faults.between = faults.between, None
            act()
        if faults.cut_at is not None and faults.cuts > 0:
            faults.cuts -= 1
            self.wfile.write(content[: int(len(content) * faults.cut_at)])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        elif faults.bytes_per_second:
            self._drip(content, faults.bytes_per_second)
        else:
            self.wfile.write(content)
        self.server.bodies += 1

    def _drip(self, content: bytes, rate: int) -> None:
        step = max(1, min(_SLICE_BYTES, rate // 10))
        for at in range(0, len(content), step):
            self.wfile.write(content[at : at + step])
            if self.server.ending.wait(step / rate):
                return

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _is_s3_object(address: str) -> bool:
    path, _, query = address.partition("?")
    return path.count("/") > 1 and "list-type" not in query


@contextmanager
def running_fault_proxy(
    upstream: tuple[str, int], is_object: Callable[[str], bool] | None = None
) -> Iterator[FaultProxy]:
    """Run a proxy while the block runs."""
    proxy = FaultProxy(upstream, is_object)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.ending.set()
        proxy.shutdown()
        thread.join()
        proxy.server_close()
