"""The requests' port: Open Inference Protocol v2 over REST, and feedback."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Final
from urllib.parse import urlsplit

from kingmaker_serving import __version__
from kingmaker_serving.engine.served import ServedModel
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.labels.messages import LINE_TYPES, MOST_BYTES
from kingmaker_serving.protocol import pages
from kingmaker_serving.protocol.routes import Page, Route, route
from kingmaker_serving.server.bodies import unpacked
from kingmaker_serving.server.call import Call
from kingmaker_serving.server.exchange import Exchange, Reply, error_reply
from kingmaker_serving.server.state import State

logger = logging.getLogger(__name__)

_INFER: Final = "/infer"
_MAX_INDEX: Final = 64 * 1024
"""Bytes of a request for the index, once unpacked."""


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
        path = urlsplit(exchange.target.decode("latin1")).path
        asked = route(exchange.method.decode("latin1"), path)
        self._check_model(asked)
        match asked.page:
            case Page.INFER:
                Call(exchange, self._model, max_bytes=self._max_bytes).begin()
            case Page.FEEDBACK:
                self._start(self._feedback(exchange))
            case Page.INDEX:
                ready_only = pages.read_index_request(unpacked(exchange.body, exchange.headers, max_bytes=_MAX_INDEX))
                return Reply(200, pages.write_index([self._entry()], ready_only=ready_only))
            case _:
                return self._page(asked.page)
        return None

    def _check_model(self, asked: Route) -> None:
        """See that the path names the model that is here, and no other version of it."""
        settings = self._model.settings
        if asked.model and asked.model != settings.name:
            message = f"there is no model {asked.model[:100]!r}; the model here is {settings.name!r}"
            raise ServingError(ErrorCode.NOT_FOUND, message)
        if asked.version and asked.version != settings.version:
            message = f"there is no version {asked.version[:100]!r} of {settings.name!r}; here is {settings.version!r}"
            raise ServingError(ErrorCode.NOT_FOUND, message)

    def _page(self, page: Page) -> Reply:
        """Give what can be read here: the server, its health, its model."""
        settings = self._model.settings
        is_ready = not self._state.is_draining
        status = 200 if is_ready else 503
        if page is Page.SERVER:
            return Reply(200, pages.write_server(__version__))
        if page is Page.LIVE:
            return Reply(200, pages.write_live())
        if page is Page.READY:
            return Reply(status, pages.write_ready(is_ready=is_ready))
        if page is Page.MODEL_READY:
            return Reply(status, pages.write_model_ready(settings.name, is_ready=is_ready))
        return Reply(200, pages.write_model(settings.name, [settings.version], self._model.session.signature))

    def _entry(self) -> pages.IndexEntry:
        settings = self._model.settings
        state = pages.ModelState.UNAVAILABLE if self._state.is_draining else pages.ModelState.READY
        return pages.IndexEntry(settings.name, settings.version, state)

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
