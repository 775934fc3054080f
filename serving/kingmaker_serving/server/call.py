"""One infer request over REST: read, submitted, answered, counted."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, TypeVar

from kingmaker_serving.counts.bucketed import read_bucket
from kingmaker_serving.engine.job import Job
from kingmaker_serving.engine.served import ServedModel
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.protocol.compression import pack
from kingmaker_serving.protocol.tensors import held_bytes
from kingmaker_serving.protocol.values import InferenceReply, InferenceRequest
from kingmaker_serving.server.bodies import json_length, unpacked
from kingmaker_serving.server.exchange import JSON, Exchange, error_reply

logger = logging.getLogger(__name__)

T = TypeVar("T")
_LARGE: Final = 128 * 1024
"""Bodies from here on are read, and answers written, on a thread: other connections would notice."""
_LARGE_TO_PACK: Final = 16 * 1024
_BINARY: Final = b"application/octet-stream"


class Call:
    """Leads one exchange through a model."""

    __slots__ = ("_bucket", "_decision", "_exchange", "_is_gone", "_job", "_max_bytes", "_model")

    def __init__(self, exchange: Exchange, model: ServedModel, *, max_bytes: int) -> None:
        """Take the request, who answers it, and the bound of its body once it is unpacked."""
        headers = exchange.headers
        self._exchange = exchange
        self._model = model
        self._max_bytes = max_bytes
        self._decision = model.decision(headers.get(b"kingmaker-decision"), is_shadow=b"kingmaker-shadow" in headers)
        self._bucket = read_bucket(headers.get(b"kingmaker-bucket"))
        self._job: Job | None = None
        self._is_gone = False

    def begin(self) -> None:
        """Read and submit."""
        exchange = self._exchange
        exchange.on_gone = self._gone
        if len(exchange.body) > _LARGE or b"content-encoding" in exchange.headers:
            self._apart(self._read, self._submit)
            return
        try:
            self._model.runner.check()
            self._submit(self._read())
        except Exception as error:  # noqa: BLE001  # the server's edge: nothing goes beyond
            self._fail(error)

    def _read(self) -> InferenceRequest:
        exchange = self._exchange
        body = unpacked(exchange.body, exchange.headers, max_bytes=self._max_bytes)
        return self._model.codec.read(body, json_length(exchange.headers))

    def _submit(self, request: InferenceRequest) -> None:
        limit = self._model.settings.limits.deadline_seconds
        left = self._exchange.headers.get(b"x-envoy-expected-rq-timeout-ms")
        # The router's own deadline, when it is nearer than ours.
        if left is not None and left.isdigit() and len(left) < 10 and int(left):
            limit = min(limit, int(left) / 1000)
        began = self._exchange.began
        self._job = self._model.submit(
            request,
            decision=self._decision,
            bucket=self._bucket,
            began=began,
            deadline=began + limit,
            on_done=self._done,
        )

    def _done(self, job: Job) -> None:
        if job.error is not None:
            self._fail(job.error)
            return
        try:
            reply = self._model.reply(job)
            is_packed = b"accept-encoding" in self._exchange.headers
            if sum(map(held_bytes, reply.outputs.values())) > (_LARGE_TO_PACK if is_packed else _LARGE):
                self._apart(lambda: self._write(reply, job), self._send)
            else:
                self._send(self._write(reply, job))
        except Exception as error:  # noqa: BLE001  # as above
            self._fail(error)

    def _write(self, reply: InferenceReply, job: Job) -> tuple[bytes, int | None, bytes]:
        limits = self._model.settings.limits
        body, length = self._model.codec.write(reply, job.request, max_bytes=limits.max_response_bytes)
        accepted = self._exchange.headers.get(b"accept-encoding")
        packed, encoding = (body, b"") if accepted is None else pack(body, accepted)
        return packed, length, encoding

    def _send(self, written: tuple[bytes, int | None, bytes]) -> None:
        body, length, encoding = written
        job, model = self._job, self._model
        if job is None:
            return
        headers = [
            (b"kingmaker-model", model.version),
            (b"kingmaker-request-id", job.made.text.encode()),
            (b"kingmaker-execution-seconds", b"%.6f" % job.seconds),
        ]
        if length is not None:
            headers.append((b"inference-header-content-length", b"%d" % length))
        if encoding:
            headers.append((b"content-encoding", encoding))
        self._exchange.send(200, body, JSON if length is None else _BINARY, headers)
        # From here to the end nothing is awaited, so no scrape can come between an answer and its counts.
        model.sent(job)

    def _fail(self, error: BaseException) -> None:
        if self._is_gone:
            return
        known = error if isinstance(error, ServingError) else _bug(error)
        if known.__cause__ is not None and known.code is ErrorCode.INTERNAL:
            logger.error("request failed by a bug", exc_info=known.__cause__)
        self._model.failed(self._decision, known, self._bucket)
        self._exchange.reply(error_reply(known, ((b"kingmaker-model", self._model.version),)))

    def _gone(self) -> None:
        self._is_gone = True
        if self._job is not None:
            self._job.cancel()

    def _apart(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Work on a thread, then go on here."""
        future = asyncio.get_running_loop().run_in_executor(None, work)

        def done(ended: asyncio.Future[T]) -> None:
            if self._is_gone or ended.cancelled():
                return
            try:
                then(ended.result())
            except Exception as error:  # noqa: BLE001  # as above
                self._fail(error)

        future.add_done_callback(done)


def _bug(error: BaseException) -> ServingError:
    found = ServingError(ErrorCode.INTERNAL, "this is a bug of the server; its log says more")
    found.__cause__ = error
    return found
