"""The requests' port: Open Inference Protocol v2 over REST, and feedback."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Final
from urllib.parse import urlsplit

from kingmaker_serving import __version__
from kingmaker_serving.counts.bucketed import read_bucket
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

_MAX_INDEX: Final = 64 * 1024
"""Bytes of a request for the index, once unpacked."""


class RequestsApp:
    """Answers on the requests' port. It runs only once a model is loaded."""

    def __init__(self, state: State, *, max_bytes: int) -> None:
        """Take what answers.

        Args:
            state: What is served, and whether this server is draining.
            max_bytes: Of a body once it is unpacked.
        """
        self._state = state
        self._registry = state.registry
        self._max_bytes = max_bytes
        self._tasks: set[asyncio.Task[None]] = set()
        self._infer: dict[bytes, ServedModel] = {}
        state.registry.on_change = self._follow
        self._follow()

    def __call__(self, exchange: Exchange) -> None:
        """Answer one request."""
        if self._state.is_draining:
            # From then on each answer closes its connection.
            exchange.keep_alive = b""
        model = self._infer.get(exchange.target)
        if model is not None and exchange.method == b"POST":
            Call(exchange, model, max_bytes=self._max_bytes).begin()
            return
        try:
            reply = self._route(exchange)
        except Exception as error:  # noqa: BLE001  # the server's edge: nothing goes beyond
            reply = _refusal(error)
        if reply is not None:
            exchange.reply(reply)

    def refused(self, target: bytes, headers: dict[bytes, bytes], error: ServingError) -> None:
        """Count an infer request that was refused before it was complete."""
        model = self._infer.get(target)
        if model is not None:
            stamp = headers.get(b"kingmaker-decision")
            decision = model.decision(stamp, is_shadow=b"kingmaker-shadow" in headers)
            model.failed(decision, error, read_bucket(headers.get(b"kingmaker-bucket")))

    def _follow(self) -> None:
        """Know the paths of what is served now: finding them must cost nothing."""
        self._infer = {f"/v2/models/{model.settings.name}/infer".encode(): model for model in self._registry}

    def _route(self, exchange: Exchange) -> Reply | None:
        path = urlsplit(exchange.target.decode("latin1")).path
        asked = route(exchange.method.decode("latin1"), path)
        match asked.page:
            case Page.INFER:
                Call(exchange, self._registry.find(asked.model, asked.version), max_bytes=self._max_bytes).begin()
            case Page.FEEDBACK:
                self._start(self._feedback(exchange, self._registry.find(asked.model, asked.version)))
            case Page.INDEX:
                ready_only = pages.read_index_request(unpacked(exchange.body, exchange.headers, max_bytes=_MAX_INDEX))
                return Reply(200, pages.write_index(self._state.index(), ready_only=ready_only))
            case _:
                return self._page(asked)
        return None

    def _page(self, asked: Route) -> Reply:
        """Give what can be read here: the server, its health, a model."""
        is_ready = not self._state.is_draining
        match asked.page:
            case Page.SERVER:
                return Reply(200, pages.write_server(__version__))
            case Page.LIVE:
                return Reply(200, pages.write_live())
            case Page.READY:
                return Reply(200 if is_ready else 503, pages.write_ready(is_ready=is_ready))
            case Page.MODEL_READY:
                return self._model_ready(asked, is_ready=is_ready)
            case _:
                model = self._registry.find(asked.model, asked.version)
                settings = model.settings
                return Reply(200, pages.write_model(settings.name, [settings.version], model.session.signature))

    def _model_ready(self, asked: Route, *, is_ready: bool) -> Reply:
        try:
            self._registry.find(asked.model, asked.version)
        except ServingError as error:
            if error.code is not ErrorCode.NOT_READY:
                raise
            is_ready = False
        return Reply(200 if is_ready else 503, pages.write_model_ready(asked.model, is_ready=is_ready))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _feedback(self, exchange: Exchange, model: ServedModel) -> None:
        headers, most = exchange.headers, min(self._max_bytes, MOST_BYTES)
        try:
            if b"content-encoding" in headers:
                body = await asyncio.to_thread(unpacked, exchange.body, headers, max_bytes=most, also=LINE_TYPES)
            else:
                body = unpacked(exchange.body, headers, max_bytes=most, also=LINE_TYPES)
            taken = await model.judge.take(bytes(body), headers.get(b"content-type", b"").decode("latin1"))
            reply = Reply(200, taken.body, taken.content_type.encode())
        except Exception as error:  # noqa: BLE001  # as above
            reply = _refusal(error)
        exchange.reply(reply)


def _refusal(error: Exception) -> Reply:
    if isinstance(error, ServingError):
        return error_reply(error)
    logger.error("request failed by a bug", exc_info=error)
    return error_reply(ServingError(ErrorCode.INTERNAL, "this is a bug of the server; its log says more"))
