"""The requests' port: Open Inference Protocol v2 over REST, and feedback."""

import asyncio
import logging
import re
import time
from typing import Final

from kingmaker_serving import __version__
from kingmaker_serving.counts.profile import SHADOW
from kingmaker_serving.counts.series import NONE
from kingmaker_serving.engine.service import Service
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.labels.peers import ForgottenError, Peers
from kingmaker_serving.server.http import (
    Bodies,
    DisconnectedError,
    Receive,
    Reply,
    Scope,
    Send,
    ends_connection,
    error_reply,
    json_reply,
    send_reply,
)
from kingmaker_serving.server.state import State
from kingmaker_serving.shadow.shadowing import Shadow

logger = logging.getLogger(__name__)

_DECISION: Final = re.compile(rb"[0-9]{1,9}")


class RequestsApp:
    """ASGI application of the requests' port. It runs only once a model is loaded."""

    def __init__(self, state: State, service: Service, shadow: Shadow, peers: Peers) -> None:
        """Take what answers.

        Args:
            state: Whether this server is draining.
            service: The model.
            shadow: Gets copies.
            peers: Take feedback that belongs to other pods.
        """
        settings = service.settings
        self._state = state
        self._service = service
        self._shadow = shadow
        self._peers = peers
        self._bodies = Bodies(max_bytes=settings.max_request_bytes, seconds=settings.body_seconds)
        self._model = f"/v2/models/{settings.model_name}"
        self._ready = f"{self._model}/ready"
        self._version = __version__

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.perf_counter()
        path, method = scope["path"], scope["method"]
        if path == f"{self._model}/infer" and method == "POST":
            await self._infer(scope, receive, send, began)
            return
        try:
            reply = await self._route(method, path, scope, receive)
            close = self._state.is_draining
        except ServingError as error:
            reply, close = error_reply(error), ends_connection(error) or self._state.is_draining
        except DisconnectedError:
            return
        await send_reply(send, reply, close=close)

    async def _infer(self, scope: Scope, receive: Receive, send: Send, began: float) -> None:
        headers = dict(scope["headers"])
        service = self._service
        decision = self._decision(headers)
        about = [(b"kingmaker-model", service.settings.model_version.encode())]
        try:
            body = await self._bodies.read(headers, receive)
            answer = await service.infer(body, seconds=self._seconds(headers))
        except DisconnectedError:
            return
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # the server's edge: nothing goes beyond
            known = self._known(error)
            service.profile.count_request(decision, "server_error" if known.code.status >= 500 else "client_error")
            await send_reply(send, error_reply(known, about), close=ends_connection(known) or self._state.is_draining)
            return
        about += [
            (b"kingmaker-request-id", answer.token.encode()),
            (b"kingmaker-execution-seconds", f"{answer.execution.seconds:.6f}".encode()),
        ]
        await send_reply(send, Reply(200, answer.body, headers=about), close=self._state.is_draining)
        # From here to the end nothing is awaited, so no scrape can come between an answer and its counts.
        service.count(answer, decision=decision, seconds=time.perf_counter() - began)
        if decision != SHADOW:
            self._shadow.offer(answer)

    async def _route(self, method: str, path: str, scope: Scope, receive: Receive) -> Reply:
        if path in {f"{self._model}/feedback", f"{self._model}/infer"}:
            _only(method, "POST")
            return await self._feedback(await self._bodies.read(dict(scope["headers"]), receive))
        page = self._page(path)
        if page is None:
            message = f"there is nothing at {path[:200]!r}; the model here is {self._service.settings.model_name!r}"
            raise ServingError(ErrorCode.NOT_FOUND, message)
        _only(method, "GET")
        return page

    def _page(self, path: str) -> Reply | None:
        """Give what can be read here: the server, its health, its model."""
        settings, signature = self._service.settings, self._service.session.signature
        is_ready = not self._state.is_draining
        match path:
            case "/v2" | "/v2/":
                return json_reply({"name": "kingmaker-serving", "version": self._version, "extensions": []})
            case "/v2/health/live":
                return json_reply({"live": True})
            case "/v2/health/ready":
                return json_reply({"ready": is_ready}, status=200 if is_ready else 503)
            case self._ready:
                content = {"name": settings.model_name, "ready": is_ready}
                return json_reply(content, status=200 if is_ready else 503)
            case self._model:
                return json_reply(
                    {
                        "name": settings.model_name,
                        "versions": [settings.model_version],
                        "platform": "onnxruntime_onnx",
                        "inputs": signature.inputs,
                        "outputs": signature.outputs,
                    }
                )
            case _:
                return None

    async def _feedback(self, body: bytes) -> Reply:
        service = self._service
        token, labels = service.read_feedback(body)
        if service.tokens.is_here(token):
            return json_reply({"matched": service.judge(token, labels)})
        try:
            return json_reply({"matched": await self._peers.judge(token, body)})
        except ForgottenError as error:
            raise service.unmatched(str(error)) from error

    def _decision(self, headers: dict[bytes, bytes]) -> str:
        if b"kingmaker-shadow" in headers:
            return SHADOW
        decision = headers.get(b"kingmaker-decision", b"")
        return self._service.profile.admit(decision.decode()) if _DECISION.fullmatch(decision) else NONE

    def _seconds(self, headers: dict[bytes, bytes]) -> float:
        """Give the time that is left: the router's own deadline when it is nearer than ours."""
        limit = self._service.settings.deadline_seconds
        left = headers.get(b"x-envoy-expected-rq-timeout-ms", b"")
        return min(limit, int(left) / 1000) if left.isdigit() and len(left) < 10 and int(left) else limit

    @staticmethod
    def _known(error: BaseException) -> ServingError:
        if isinstance(error, ServingError):
            return error
        if isinstance(error, asyncio.CancelledError):
            return ServingError(ErrorCode.NOT_READY, "the server ends, and this took longer than it may still wait")
        logger.error("request failed by a bug", exc_info=error)
        return ServingError(ErrorCode.INTERNAL, "this is a bug of the server; its log says more")


def _only(method: str, wanted: str) -> None:
    if method != wanted:
        raise ServingError(ErrorCode.METHOD, f"method {method[:20]} is not answered here; use {wanted}")
