"""Requests and replies of one model as REST carries them."""

from typing import Final

import msgspec

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.protocol.messages import InferReply, read_infer
from kingmaker_serving.protocol.signature import Signature
from kingmaker_serving.protocol.tensors import read_inputs, requested_outputs, write_outputs
from kingmaker_serving.protocol.values import InferenceReply, InferenceRequest, Wanted

_ENCODER: Final = msgspec.json.Encoder()


class RestCodec:
    """Reads and writes for one signature."""

    def __init__(self, signature: Signature) -> None:
        """Take what the model takes and gives."""
        self._signature = signature

    def read(self, body: bytes | bytearray, json_length: int | None) -> InferenceRequest:
        """Read a request.

        Raises:
            ServingError: With what is wrong.
        """
        if json_length is not None:
            raise ServingError(ErrorCode.UNSUPPORTED_MEDIA, "binary tensor data is not read; send tensors as JSON")
        request = read_infer(bytes(body))
        names = requested_outputs(request, self._signature)
        inputs = read_inputs(request, self._signature)
        return InferenceRequest(inputs, [Wanted(name) for name in names], request.id or "")

    def write(self, reply: InferenceReply, request: InferenceRequest, *, max_bytes: int) -> tuple[bytes, int | None]:
        """Write an answer.

        Raises:
            ServingError: INVALID_REQUEST when it is larger than `max_bytes`.
        """
        del request
        outputs = write_outputs(reply.outputs, list(reply.outputs), self._signature.outputs, max_bytes=max_bytes)
        return _ENCODER.encode(InferReply(reply.model_name, reply.model_version, reply.id, outputs)), None
