"""`inference.GRPCInferenceService`: the models, and their answers."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from kingmaker_serving import __version__
from kingmaker_serving.counts.bucketed import read_bucket
from kingmaker_serving.engine.job import OUT_OF_TIME, Job
from kingmaker_serving.engine.served import ServedModel
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.grpc import messages
from kingmaker_serving.grpc.call import Call
from kingmaker_serving.grpc.codec import read_request, write_reply
from kingmaker_serving.grpc.http2.hpack import encode
from kingmaker_serving.grpc.methods import Unary
from kingmaker_serving.protocol.pages import EXTENSIONS, PLATFORM, SERVER_NAME, IndexEntry, ModelState
from kingmaker_serving.protocol.signature import TensorSpec
from kingmaker_serving.protocol.tensors import held_bytes
from kingmaker_serving.protocol.values import InferenceReply, InferenceRequest

SERVICE: Final = "inference.GRPCInferenceService"
_LARGE: Final = 128 * 1024
"""Messages from here on are read, and answers written, on a thread: other calls would notice."""

_AT_ONCE_SECONDS: Final = 0.05
"""Two clocks that agree on a deadline differ by less."""


class Models(Protocol):
    """What is asked of all the models of a process. Whoever holds them answers it."""

    @property
    def is_ready(self) -> bool:
        """Whether this server should be sent requests."""

    def find(self, name: str, version: str) -> ServedModel:
        """Give a model that answers.

        Args:
            name: In the protocol.
            version: Empty for the one that is served.

        Raises:
            ServingError: NOT_FOUND, or NOT_READY while it is loaded.
        """

    def index(self) -> Iterable[IndexEntry]:
        """Give all models, those that do not answer, too."""


class ModelInfer:
    """Answers `ModelInfer`."""

    is_stream = is_lasting = False

    def __init__(self, models: Models, *, max_bytes: int) -> None:
        """Take who answers, and the bound of a request's tensors, once decoded."""
        self._models = models
        self._max_bytes = max_bytes

    def handle(self, call: Call, message: bytes) -> None:
        """Read and submit.

        Raises:
            ServingError: Nobody counts it: no model is known to be meant.
        """
        asked = messages.parse(messages.ModelInferRequest, message)
        model = self._models.find(asked.model_name, asked.model_version)
        _Inference(call, model).begin(
            lambda: read_request(asked, model.session.signature, max_bytes=self._max_bytes), len(message)
        )

    def refused(self, call: Call, error: ServingError) -> None:
        """Leave what no model answers uncounted."""


class _Inference:
    """Leads one call through a model."""

    __slots__ = ("_bucket", "_call", "_decision", "_is_gone", "_job", "_model")

    def __init__(self, call: Call, model: ServedModel) -> None:
        self._call = call
        self._model = model
        self._decision = model.decision(call.head.decision, is_shadow=call.head.is_shadow)
        self._bucket = read_bucket(call.head.bucket)
        self._job: Job | None = None
        self._is_gone = False

    def begin(self, read: Callable[[], InferenceRequest], size: int) -> None:
        self._call.on_lost = self._lost
        if size > _LARGE:
            self._apart(read, self._submit)
            return
        try:
            self._submit(read())
        except Exception as error:  # noqa: BLE001  # the server's edge: nothing goes beyond
            self._fail(error)

    def _submit(self, request: InferenceRequest) -> None:
        if self._is_gone:
            return
        call = self._call
        seconds = self._model.settings.limits.deadline_seconds
        if call.head.seconds is not None:
            seconds = min(seconds, call.head.seconds)
        self._job = self._model.submit(
            request,
            decision=self._decision,
            bucket=self._bucket,
            began=call.began,
            deadline=call.began + seconds,
            on_done=self._done,
        )

    def _done(self, job: Job) -> None:
        if job.error is not None:
            self._fail(job.error)
            return
        try:
            reply = self._model.reply(job)
            request = job.request
            if sum(map(held_bytes, reply.outputs.values())) > _LARGE:
                self._apart(lambda: self._write(reply, request), lambda content: self._send(job, content))
            else:
                self._send(job, self._write(reply, request))
        except Exception as error:  # noqa: BLE001  # as above
            self._fail(error)

    def _write(self, reply: InferenceReply, request: InferenceRequest) -> bytes:
        model = self._model
        return write_reply(reply, request, model.session.signature, max_bytes=model.settings.limits.max_response_bytes)

    def _send(self, job: Job, content: bytes) -> None:
        if self._is_gone:
            return
        self._call.answer(
            content,
            encode(
                (
                    (b"kingmaker-model", self._model.version),
                    (b"kingmaker-request-id", job.made.text.encode()),
                    (b"kingmaker-execution-seconds", b"%.6f" % job.seconds),
                )
            ),
        )
        self._model.sent(job)

    def _fail(self, error: Exception) -> None:
        if self._is_gone:
            return
        known = error if isinstance(error, ServingError) else ServingError(ErrorCode.INTERNAL, "a bug")
        self._model.failed(self._decision, known, self._bucket)
        self._call.fail(error, [(b"kingmaker-model", self._model.version)])

    def _lost(self) -> None:
        self._is_gone = True
        if self._job is not None:
            self._job.cancel()
        seconds = self._call.head.seconds
        if seconds is not None and self._call.connection.now() - self._call.began >= seconds - _AT_ONCE_SECONDS:
            # At their deadline clients cancel by themselves, a moment before or after this side gives up.
            self._model.failed(self._decision, OUT_OF_TIME, self._bucket)

    def _apart(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Work on a thread, then go on here."""

        def done(future: asyncio.Future[Any]) -> None:
            if future.cancelled():
                return
            try:
                then(future.result())
            except Exception as error:  # noqa: BLE001  # as above
                self._fail(error)

        asyncio.get_running_loop().run_in_executor(None, work).add_done_callback(done)


def inference_methods(models: Models, *, max_bytes: int) -> Mapping[str, Any]:
    """Give what answers each method of the service, by its name.

    Args:
        models: All of them.
        max_bytes: Of a request's tensors together, once decoded.
    """

    def server_metadata(_: Any) -> Any:  # noqa: ANN401  # protobuf has no types
        return messages.ServerMetadataResponse(name=SERVER_NAME, version=__version__, extensions=EXTENSIONS)

    def model_ready(request: Any) -> Any:  # noqa: ANN401
        return messages.ModelReadyResponse(ready=_is_ready(models, request.name, request.version))

    def model_metadata(request: Any) -> Any:  # noqa: ANN401
        return _metadata(models.find(request.name, request.version))

    def index(request: Any) -> Any:  # noqa: ANN401
        response = messages.RepositoryIndexResponse()
        for entry in models.index():
            if entry.state is ModelState.READY or not request.ready:
                response.models.add(name=entry.name, version=entry.version, state=entry.state, reason=entry.reason)
        return response

    return {
        "ServerLive": Unary(None, lambda _: messages.ServerLiveResponse(live=True)),
        "ServerReady": Unary(None, lambda _: messages.ServerReadyResponse(ready=models.is_ready)),
        "ModelReady": Unary(messages.ModelReadyRequest, model_ready),
        "ServerMetadata": Unary(None, server_metadata),
        "ModelMetadata": Unary(messages.ModelMetadataRequest, model_metadata),
        "ModelInfer": ModelInfer(models, max_bytes=max_bytes),
        "RepositoryIndex": Unary(messages.RepositoryIndexRequest, index),
    }


def _is_ready(models: Models, name: str, version: str) -> bool:
    """Whether a model answers; one that is not there is an error, as in REST."""
    try:
        models.find(name, version)
    except ServingError as error:
        if error.code is ErrorCode.NOT_READY:
            return False
        raise
    return models.is_ready


def _metadata(model: ServedModel) -> Any:  # noqa: ANN401
    response = messages.ModelMetadataResponse(
        name=model.settings.name, versions=[model.settings.version], platform=PLATFORM
    )
    signature = model.session.signature
    for tensors, specs in ((response.inputs, signature.inputs), (response.outputs, signature.outputs)):
        for spec in specs:
            tensors.add(name=spec.name, datatype=spec.datatype, shape=spec.shape)
            _set_properties(response.properties, spec)
    return response


def _set_properties(properties: Any, spec: TensorSpec) -> None:  # noqa: ANN401
    if spec.classes:
        properties[f"classes.{spec.name}"] = json.dumps(spec.classes)
    if spec.optional:
        properties[f"optional.{spec.name}"] = "true"
