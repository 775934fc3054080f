"""The requests' port: Open Inference Protocol v2 over REST, and feedback."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Final
from urllib.parse import unquote, urlsplit

from kingmaker_serving import __version__
from kingmaker_serving.engine.served import ServedModel
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.labels.messages import LINE_TYPES, MOST_BYTES
from kingmaker_serving.server.bodies import unpacked
from kingmaker_serving.server.call import Call
from kingmaker_serving.server.exchange import Exchange, Reply, error_reply, json_reply
from kingmaker_serving.server.state import State

logger = logging.getLogger(__name__)

_INFER: Final = "/infer"


class RequestsApp:
    """Answers on the requests' port. It runs only once a model is loaded."""

    def __init__(self, state: State, model: ServedModel, *, max_bytes: int) -> None:
        """Take what answers.

        Args:
            state: Whether this server is draining.
            model: What is served.
            max_bytes: Of a body once it is unpacked.
        """
        self._state = state
        self._model = model
        self._max_bytes = max_bytes
        self._path = f"/v2/models/{model.settings.name}"
        self._tasks: set[asyncio.Task[None]] = set()
        self._infer = frozenset({f"{self._path}{_INFER}".encode()})

    def __call__(self, exchange: Exchange) -> None:
        """Answer one request."""
        if self._state.is_draining:
            # From then on each answer closes its connection.
            exchange.keep_alive = b""
        if exchange.target in self._infer and exchange.method == b"POST":
            Call(exchange, self._model, max_bytes=self._max_bytes).begin()
            return
        try:
            reply = self._route(exchange)
        except Exception as error:  # noqa: BLE001  # the server's edge: nothing goes beyond
            reply = _refusal(error)
        if reply is not None:
            exchange.reply(reply)

    def refused(self, target: bytes, headers: dict[bytes, bytes], error: ServingError) -> None:
        """Count an infer request that was refused before it was complete."""
        if target in self._infer:
            model = self._model
            stamp = headers.get(b"kingmaker-decision")
            model.failed(model.decision(stamp, is_shadow=b"kingmaker-shadow" in headers), error)

    def _route(self, exchange: Exchange) -> Reply | None:
        path = unquote(urlsplit(exchange.target.decode("latin1")).path, errors="replace")
        method = exchange.method.decode("latin1")
        if path == f"{self._path}{_INFER}":
            _only(method, "POST")
            Call(exchange, self._model, max_bytes=self._max_bytes).begin()
            return None
        if path == f"{self._path}/feedback":
            _only(method, "POST")
            self._start(self._feedback(exchange))
            return None
        page = self._page(path)
        if page is None:
            message = f"there is nothing at {path[:200]!r}; the model here is {self._model.settings.name!r}"
            raise ServingError(ErrorCode.NOT_FOUND, message)
        _only(method, "GET, HEAD")
        return page

    def _page(self, path: str) -> Reply | None:
        """Give what can be read here: the server, its health, its model."""
        settings, signature = self._model.settings, self._model.session.signature
        is_ready = not self._state.is_draining
        status = 200 if is_ready else 503
        if path in {"/v2", "/v2/"}:
            return json_reply({"name": "kingmaker-serving", "version": __version__, "extensions": []})
        if path == "/v2/health/live":
            return json_reply({"live": True})
        if path == "/v2/health/ready":
            return json_reply({"ready": is_ready}, status=status)
        if path == f"{self._path}/ready":
            return json_reply({"name": settings.name, "ready": is_ready}, status=status)
        if path == self._path:
            return json_reply(
                {
                    "name": settings.name,
                    "versions": [settings.version],
                    "platform": "onnxruntime_onnx",
                    "inputs": signature.inputs,
                    "outputs": signature.outputs,
                }
            )
        return None

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _feedback(self, exchange: Exchange) -> None:
        headers, most = exchange.headers, min(self._max_bytes, MOST_BYTES)
        try:
            if b"content-encoding" in headers:
                body = await asyncio.to_thread(unpacked, exchange.body, headers, max_bytes=most, also=LINE_TYPES)
            else:
                body = unpacked(exchange.body, headers, max_bytes=most, also=LINE_TYPES)
            taken = await self._model.judge.take(bytes(body), headers.get(b"content-type", b"").decode("latin1"))
            reply = Reply(200, taken.body, taken.content_type.encode())
        except Exception as error:  # noqa: BLE001  # as above
            reply = _refusal(error)
        exchange.reply(reply)


def _refusal(error: Exception) -> Reply:
    if isinstance(error, ServingError):
        return error_reply(error)
    logger.error("request failed by a bug", exc_info=error)
    return error_reply(ServingError(ErrorCode.INTERNAL, "this is a bug of the server; its log says more"))


def _only(method: str, wanted: str) -> None:
    if method not in wanted.split(", "):
        message = f"method {method[:20]} is not answered here; use {wanted.split(',', maxsplit=1)[0]}"
        raise ServingError(ErrorCode.METHOD, message, allow=wanted)
