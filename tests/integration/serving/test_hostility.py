"""What strangers do to a port: each gets its status or its end, and others their answers meanwhile."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from support.requests import a_request
from support.servers import CLASSES, PORT, Server, a_server, eventually

LIMIT = 200_000
PATH = "/v2/models/churn/infer"
GOOD = json.dumps(a_request(np.array([[1, 2, 3]], np.float32))).encode()


@pytest.fixture(scope="module")
def server(packages: dict[str, Path]) -> Iterator[Server]:
    options = ["--max-request-bytes", str(LIMIT), "--body-seconds", "1"]
    with a_server(packages["churn-1"], *options, task=CLASSES) as running:
        yield running


@pytest.fixture(autouse=True)
def _answers_on(server: Server) -> Iterator[None]:
    yield
    assert server.infer(GOOD).status == 200


def head(*lines: str, method: str = "POST", path: str = PATH, length: int | None = len(GOOD)) -> bytes:
    framing = [f"content-length: {length}"] if length is not None else []
    text = [f"{method} {path} HTTP/1.1", "host: x", "content-type: application/json", *framing, *lines]
    return ("\r\n".join(text) + "\r\n\r\n").encode()


def connect(server: Server) -> socket.socket:
    return socket.create_connection((server.address, PORT), timeout=20)


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side closes."""
    found = b""
    try:
        while part := connection.recv(65536):
            found += part
    except ConnectionError:
        pass
    return found


def read_answers(connection: socket.socket, count: int) -> bytes:
    """Read until so many answers have come whole."""
    found = b""
    while found.count(b"HTTP/1.1 ") < count or not found.endswith(b"}"):
        part = connection.recv(65536)
        assert part, found
        found += part
    return found


def said(server: Server, *parts: bytes) -> bytes:
    with connect(server) as connection:
        for part in parts:
            connection.sendall(part)
        return read_all(connection)


@pytest.mark.parametrize("upgrade", ["h2c", "websocket", "TLS/1.0"])
@pytest.mark.parametrize("is_apart", [False, True], ids=["at once", "body apart"])
def test_an_upgrade_is_ignored_and_the_body_read(server: Server, upgrade: str, is_apart: bool) -> None:
    asked = head("connection: Upgrade, HTTP2-Settings", f"upgrade: {upgrade}", "http2-settings: AAMAAABkAAQAAP__")
    with connect(server) as connection:
        if is_apart:
            connection.sendall(asked)
            time.sleep(0.05)  # the case is two packets; what comes of it does not depend on the pause
            connection.sendall(GOOD + head() + GOOD)
        else:
            connection.sendall(asked + GOOD + head() + GOOD)
        answers = read_answers(connection, 2)
    assert answers.count(b"HTTP/1.1 200 ") == 2
    assert answers.count(b'"model_version"') == 2


def test_a_request_within_an_upgrades_body_is_a_body(server: Server) -> None:
    inner = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n"
    asked = head("connection: Upgrade", "upgrade: h2c", "connection: close", length=len(inner))
    answers = said(server, asked, inner)
    assert answers.count(b"HTTP/1.1 ") == 1
    assert answers.startswith(b"HTTP/1.1 400 ")


def test_an_upgrade_of_a_chunked_body_is_ignored(server: Server) -> None:
    asked = head("connection: Upgrade, close", "upgrade: h2c", "transfer-encoding: chunked", length=None)
    answers = said(server, asked, b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD))
    assert answers.startswith(b"HTTP/1.1 200 ")


def test_an_upgrade_without_a_body_is_ignored(server: Server) -> None:
    asked = head("connection: Upgrade, close", "upgrade: h2c", method="GET", path="/v2/health/live", length=None)
    assert said(server, asked).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (head("transfer-encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n", 400),
        (head("content-length: 7"), 400),
        (head("transfer-encoding: chunked", "transfer-encoding: identity", length=None), 400),
        (b"GET /\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (head("bad header"), 400),
        (head("x: a\x00b"), 400),
        (head(length=None) + b"", 400),
        (b"POST /v2/models/churn/infer HTTP/1.1\r\ncontent-length: -5\r\n\r\n", 400),
        (b"POST /v2/models/churn/infer HTTP/1.1\r\ncontent-length: " + b"9" * 4300 + b"\r\n\r\n", 400),
        (head(method="CONNECT", path="x:1", length=None), 405),
    ],
    ids=["CL and TE", "CL twice", "two codings", "HTTP/0.9", "HTTP/2 preface", "TLS", "no colon", "NUL", "no body",
         "negative length", "length of 4,300 digits", "CONNECT"],
)  # fmt: skip
def test_what_is_malformed_is_told_so_in_json(server: Server, sent: bytes, status: int) -> None:
    with connect(server) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)
    lines, _, body = answer.partition(b"\r\n\r\n")
    assert lines.startswith(b"HTTP/1.1 %d " % status), answer
    assert set(json.loads(body)) == {"error"}
    assert b"content-type: application/json" in lines


@pytest.mark.parametrize("is_declared", [True, False], ids=["declared", "chunked"])
def test_a_body_over_the_limit_is_answered_before_the_end(server: Server, is_declared: bool) -> None:
    size = 10 * LIMIT
    with connect(server) as connection:
        if is_declared:
            connection.sendall(head(length=size) + bytes(size))
        else:
            chunk = b"%x\r\n%b\r\n" % (10_000, bytes(10_000))
            connection.sendall(head("transfer-encoding: chunked", length=None) + chunk * (size // 10_000))
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer


@pytest.mark.parametrize("is_declared", [True, False])
def test_what_a_proxy_hands_on_is_refused_once_all_of_it_has_come(server: Server, is_declared: bool) -> None:
    # Answered earlier, Envoy resets its client's connection: who still sends never reads why.
    size = 20 * LIMIT
    with connect(server) as connection:
        if is_declared:
            first, rest = head("via: 1.1 proxy", length=size), bytes(size)
        else:
            first, chunk = head("via: 1.1 proxy", "transfer-encoding: chunked", length=None), bytes(10_000)
            rest = b"%x\r\n%b\r\n" % (len(chunk), chunk) * (size // len(chunk)) + b"0\r\n\r\n"
        connection.sendall(first + rest[:LIMIT])
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(20)
        connection.sendall(rest[LIMIT:])
        assert read_answers(connection, 1).startswith(b"HTTP/1.1 413 ")
        connection.sendall(head() + GOOD)
        assert read_answers(connection, 1).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_waits_for_leave_gets_it_or_the_refusal(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(head("expect: 100-continue"))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(GOOD)
        assert read_answers(connection, 1).startswith(b"HTTP/1.1 200 ")
    with connect(server) as connection:
        connection.sendall(head("expect: 100-continue", length=2 * LIMIT))
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_body_in_chunks_of_a_byte_is_put_together(server: Server) -> None:
    chunks = b"".join(b"1;x=y\r\n%c\r\n" % byte for byte in GOOD)
    asked = head("transfer-encoding: chunked", "connection: close", length=None)
    assert said(server, asked, chunks, b"0\r\ntrailer: x\r\n\r\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "sent", [b"", b"POST /v2", head(), head() + GOOD[:-1]], ids=["nothing", "a line", "head", "most"]
)
def test_who_goes_away_in_the_middle_is_forgotten(server: Server, sent: bytes) -> None:
    with connect(server) as connection:
        connection.sendall(sent)


def test_a_client_that_has_said_all_still_gets_its_answers(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall((head() + GOOD) * 3)
        connection.shutdown(socket.SHUT_WR)
        answers = read_all(connection)
    assert answers.count(b"HTTP/1.1 200 ") == 3


def test_a_hundred_requests_in_one_packet_are_answered_in_order(server: Server) -> None:
    asked = b"".join(
        head(length=len(body)) + body
        for body in (json.dumps(a_request([[i, 2, 3]], id=f"n{i}")).encode() for i in range(100))
    )
    with connect(server) as connection:
        connection.sendall(asked)
        answers = read_answers(connection, 100)
    places = [answers.index(f'"id":"n{i}"'.encode()) for i in range(100)]
    assert places == sorted(places)


def test_slow_heads_and_bodies_hurt_nobody(server: Server) -> None:
    slow = [connect(server) for _ in range(50)]
    try:
        for number, connection in enumerate(slow):
            connection.sendall(head()[:20] if number % 2 else head() + GOOD[:5])
        began = time.monotonic()
        assert server.infer(GOOD).status == 200
        assert time.monotonic() - began < 5
        answer = read_all(slow[0])
        assert answer.startswith(b"HTTP/1.1 408 ")
    finally:
        for connection in slow:
            connection.close()


def test_a_client_that_does_not_read_holds_up_itself_alone(server: Server) -> None:
    asked = (head() + GOOD) * 200
    stopped = threading.Event()

    def flood(connection: socket.socket) -> None:
        connection.settimeout(0.5)
        try:
            while not stopped.is_set():
                connection.sendall(asked)
        except OSError:
            pass

    with connect(server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        thread = threading.Thread(target=flood, args=(connection,))
        thread.start()
        thread.join()
        before = memory(server)
        assert server.infer(GOOD).status == 200
        assert memory(server) - before < 20 * 2**20
        stopped.set()


def memory(server: Server) -> int:
    """Bytes that a server's process holds."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def test_head_is_get_without_a_body(server: Server) -> None:
    for path in ("/v2/health/ready", "/v2/models/churn", "/v2"):
        got, head_only = server.ask("GET", path), server.ask("HEAD", path)
        assert head_only.status == got.status == 200
        assert head_only.body == b""
        assert head_only.headers["content-length"] == str(len(got.body))
    assert server.ask("HEAD", "/readyz").status == 404


def test_a_method_that_is_not_answered_is_told_which_are(server: Server) -> None:
    assert server.ask("DELETE", "/v2/health/ready").headers["allow"] == "GET, HEAD"
    assert server.ask("GET", PATH).headers["allow"] == "POST"


def test_http_1_0_is_answered_and_closed_unless_it_asks(server: Server) -> None:
    old = f"POST {PATH} HTTP/1.0\r\ncontent-length: {len(GOOD)}\r\n".encode()
    assert said(server, old + b"\r\n" + GOOD).startswith(b"HTTP/1.1 200 ")
    with connect(server) as connection:
        for _ in range(2):
            connection.sendall(old + b"connection: keep-alive\r\n\r\n" + GOOD)
            assert b"connection: keep-alive" in read_answers(connection, 1)


def test_bodies_are_forgotten_when_they_are_answered(server: Server) -> None:
    big = b'{"x": "' + b"y" * (LIMIT - 100) + b'"}'
    for _ in range(40):
        assert server.infer(big).status == 400
    eventually(lambda: server.infer(GOOD).status == 200)
