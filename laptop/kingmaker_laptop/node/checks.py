"""Ask once whether a container is well: HTTP, TCP, gRPC health, or a command beside it."""

import asyncio
import contextlib
import os
import signal
import ssl
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from kingmaker_laptop.node.probespec import Check, Exec, GrpcCheck, HttpGet, TcpConnect
from kingmaker_laptop.node.process import Command

_SHOWN_BYTES: Final = 10 * 1024
_SERVING: Final = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found; the message says why it failed."""

    is_success: bool
    message: str = ""


class Checks:
    """Runs checks; one per node. Use as an async context manager."""

    async def __aenter__(self) -> "Checks":
        insecure = ssl.create_default_context()
        insecure.check_hostname = False
        insecure.verify_mode = ssl.CERT_NONE
        connector = aiohttp.TCPConnector(limit=0, force_close=True, ssl=insecure)
        self._http = aiohttp.ClientSession(connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def run(self, check: Check, *, command: Command, ip: str, timeout_seconds: float) -> Outcome:
        """Run one check against a container.

        Args:
            check: What to ask.
            command: What the container was started with: environment and folder of an exec check.
            ip: The pod's address.
            timeout_seconds: Deadline; passing it is a failure.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                match check:
                    case HttpGet():
                        return await self._get(check, ip)
                    case TcpConnect():
                        return await _connect(check, ip)
                    case GrpcCheck():
                        return await _ask_grpc(check, ip, timeout_seconds)
                    case Exec():
                        return await run_beside(check.command, command)
        except TimeoutError:
            return Outcome(False, f"no answer within {timeout_seconds:g} s")
        except aiohttp.ClientConnectorError as error:
            reason = os.strerror(error.os_error.errno) if error.os_error.errno else str(error.os_error)
            return Outcome(False, f"{error.host}:{error.port}: {reason}")
        except (OSError, aiohttp.ClientError) as error:
            return Outcome(False, str(error) or type(error).__name__)

    async def _get(self, check: HttpGet, ip: str) -> Outcome:
        url = f"{check.scheme.lower()}://{check.host or ip}:{check.port}{check.path}"
        headers = {"User-Agent": "kube-probe/kingmaker", "Accept": "*/*", **dict(check.headers)}
        async with self._http.get(url, headers=headers, allow_redirects=False) as response:
            if 200 <= response.status < 400:
                return Outcome(True)
            return Outcome(False, f"HTTP probe of {url} answered with status {response.status}")


async def run_beside(argv: tuple[str, ...], command: Command) -> Outcome:
    """Run a command in a container's environment and folder; cancelling kills it."""
    child = await asyncio.create_subprocess_exec(
        *argv,
        env=command.env,
        cwd=command.cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await child.communicate()
    finally:
        # Also what the command left behind in its group, and the command itself when time is up.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()
    if child.returncode == 0:
        return Outcome(True)
    text = output[:_SHOWN_BYTES].decode(errors="replace").strip()
    return Outcome(False, f"command {' '.join(argv)!r} exited with {child.returncode}: {text}")


async def _connect(check: TcpConnect, ip: str) -> Outcome:
    _, writer = await asyncio.open_connection(check.host or ip, check.port)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return Outcome(True)


async def _ask_grpc(check: GrpcCheck, ip: str, timeout_seconds: float) -> Outcome:
    # Imported here: grpcio costs 0.1 s and 20 MB, and few pods ask for it.
    import grpc  # noqa: PLC0415
    import grpc.aio  # noqa: PLC0415

    service = check.service.encode()
    # HealthCheckRequest{service} in protobuf's wire format; its length is a varint.
    length = [len(service)] if len(service) < 128 else [len(service) % 128 + 128, len(service) // 128]
    request = b"\x0a" + bytes(length) + service if service else b""
    async with grpc.aio.insecure_channel(f"{ip}:{check.port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        ask: Any = channel.unary_unary(
            "/grpc.health.v1.Health/Check", request_serializer=None, response_deserializer=None
        )
        try:
            answer = await ask(request, timeout=timeout_seconds)
        except grpc.aio.AioRpcError as error:
            return Outcome(False, f"gRPC health check failed: {error.code().name}: {error.details()}")
    status = answer[1] if answer[:1] == b"\x08" else 0
    return Outcome(status == _SERVING, "" if status == _SERVING else f"gRPC health status is {status}, not SERVING (1)")
