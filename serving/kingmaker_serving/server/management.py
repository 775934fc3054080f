"""The management port: probes, metrics, counts, the baseline, and what other pods pass on or look for."""

import asyncio
import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from kingmaker_serving.engine.served import ServedModel
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.server.bodies import unpacked
from kingmaker_serving.server.exchange import TEXT, Exchange, Reply, error_reply
from kingmaker_serving.server.state import State

if TYPE_CHECKING:
    from kingmaker_serving.server.metrics import Metrics

logger = logging.getLogger(__name__)

_PATHS: Final = ("/livez", "/readyz", "/metrics", "/profile", "/baseline", "/feedback", "/ids")


class ManagementApp:
    """Answers on the management port, also while the model still loads."""

    def __init__(self, state: State, *, max_bytes: int) -> None:
        """Take the server, and the bound of a feedback message."""
        self._state = state
        self._metrics: Metrics | None = None
        self._max_bytes = max_bytes
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, exchange: Exchange) -> None:
        """Answer one request."""
        try:
            reply = self._route(exchange)
        except ServingError as error:
            reply = error_reply(error)
        if reply is not None:
            exchange.reply(reply)

    def _route(self, exchange: Exchange) -> Reply | None:
        parts = urlsplit(exchange.target.decode("latin1"))
        path, method = parts.path, exchange.method.decode("latin1")
        name = parse_qs(parts.query).get("model", [""])[0]
        if path not in _PATHS:
            message = f"there is nothing at {path[:100]!r}; there are {', '.join(_PATHS)}"
            raise ServingError(ErrorCode.NOT_FOUND, message)
        wanted = ["POST"] if path in {"/feedback", "/ids"} else ["GET", "HEAD"]
        if method not in wanted:
            message = f"method {method[:20]} is not answered here; use {wanted[0]}"
            raise ServingError(ErrorCode.METHOD, message, allow=", ".join(wanted))
        match path:
            case "/livez":
                return Reply(200, b"ok", TEXT)
            case "/readyz":
                return self._readyz()
            case "/metrics":
                return Reply(200, self._render(), TEXT)
            case "/profile":
                return Reply(200, self._model(name).settled().render(), TEXT)
            case "/baseline":
                return self._baseline(name)
            case "/ids":
                return Reply(200, self._model(name).judge.find(self._body(exchange)).body)
            case _:
                task = asyncio.ensure_future(self._take(exchange, self._model(name)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                return None

    async def _take(self, exchange: Exchange, model: ServedModel) -> None:
        try:
            reply = Reply(200, (await model.judge.take_passed(self._body(exchange))).body)
        except ServingError as error:
            reply = error_reply(error)
        except Exception as error:  # the server's edge: nothing goes beyond
            logger.error("request failed by a bug", exc_info=error)
            reply = error_reply(ServingError(ErrorCode.INTERNAL, "this is a bug of the server; its log says more"))
        exchange.reply(reply)

    def _body(self, exchange: Exchange) -> bytes:
        return bytes(unpacked(exchange.body, exchange.headers, max_bytes=self._max_bytes))

    def _render(self) -> bytes:
        if self._metrics is None:
            # Not with the rest: a tenth of a second, before the first answer. `answering` has it imported afterwards.
            from kingmaker_serving.server.metrics import Metrics  # noqa: PLC0415

            self._metrics = Metrics(self._state)
        return self._metrics.render()

    def _readyz(self) -> Reply:
        if self._state.is_ready:
            return Reply(200, b"ok", TEXT)
        return Reply(503, b"draining" if self._state.is_draining else b"loading", TEXT)

    def _baseline(self, name: str) -> Reply:
        baseline = self._model(name).baseline
        if baseline is None:
            raise ServingError(ErrorCode.NOT_FOUND, "this model has no baseline")
        return Reply(200, baseline.content)

    def _model(self, name: str) -> ServedModel:
        """Give the model of a name; without one the only one that there is."""
        registry = self._state.registry
        if not self._state.is_loaded:
            raise ServingError(ErrorCode.NOT_READY, "the model is being loaded")
        if name:
            return registry.find(name)
        if len(registry.served) == 1:
            return next(iter(registry))
        text = f"{len(registry.served)} models are served here; say which one, as in ?model=NAME"
        raise ServingError(ErrorCode.INVALID_REQUEST, text)
