"""The management port: probes, counts, and feedback that other pods pass on."""

from typing import Final

from kingmaker_serving.engine.service import Service
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.server.http import (
    TEXT,
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
from kingmaker_serving.server.metrics import Metrics
from kingmaker_serving.server.state import State

_PATHS: Final = ("/livez", "/readyz", "/metrics", "/profile", "/baseline", "/feedback")


class ManagementApp:
    """ASGI application of the management port; it answers while the model still loads."""

    def __init__(self, state: State, *, max_bytes: int) -> None:
        """Take the server, and the bound of a feedback message."""
        self._state = state
        self._metrics = Metrics(state)
        self._bodies = Bodies(max_bytes=max_bytes, seconds=10)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        close = False
        try:
            reply = await self._route(scope, receive)
        except ServingError as error:
            reply, close = error_reply(error), ends_connection(error)
        except DisconnectedError:
            return
        await send_reply(send, reply, close=close)

    async def _route(self, scope: Scope, receive: Receive) -> Reply:
        path, method = scope["path"], scope["method"]
        if path not in _PATHS:
            message = f"there is nothing at {path[:100]!r}; there are {', '.join(_PATHS)}"
            raise ServingError(ErrorCode.NOT_FOUND, message)
        wanted = "POST" if path == "/feedback" else "GET"
        if method != wanted:
            raise ServingError(ErrorCode.METHOD, f"method {method[:20]} is not answered here; use {wanted}")
        match path:
            case "/livez":
                return Reply(200, b"ok", TEXT)
            case "/readyz":
                return self._readyz()
            case "/metrics":
                return Reply(200, self._metrics.render(), TEXT)
            case "/profile":
                return Reply(200, self._service().profile.render(), TEXT)
            case "/baseline":
                return self._baseline()
            case _:
                service = self._service()
                token, labels = service.read_feedback(await self._bodies.read(dict(scope["headers"]), receive))
                # Never passed on again: two pods could send each other the same message for ever.
                return json_reply({"matched": service.judge(token, labels)})

    def _readyz(self) -> Reply:
        if self._state.is_ready:
            return Reply(200, b"ok", TEXT)
        return Reply(503, b"draining" if self._state.is_draining else b"loading", TEXT)

    def _baseline(self) -> Reply:
        baseline = self._service().baseline
        if baseline is None:
            raise ServingError(ErrorCode.NOT_FOUND, "this model has no baseline")
        return Reply(200, baseline.content)

    def _service(self) -> Service:
        if self._state.service is None:
            raise ServingError(ErrorCode.NOT_READY, "the model is being loaded")
        return self._state.service
