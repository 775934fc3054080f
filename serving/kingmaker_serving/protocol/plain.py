"""The commonest request, read in one go: one input of floats as a flat JSON list, and nothing asked for beside.

Whatever is not that, or is wrong, is left to the reader of everything, which says what is wrong with it.
"""

import struct
from math import prod
from typing import Final

import msgspec
import numpy as np

from kingmaker_serving.errors import NOT_JSON
from kingmaker_serving.protocol.messages import MAX_ID
from kingmaker_serving.protocol.signature import NUMPY, Signature
from kingmaker_serving.protocol.tensors import HALVES
from kingmaker_serving.protocol.values import InferenceRequest

MOST_BYTES: Final = 32 * 1024
"""Of a body; in longer ones the numbers are what takes the time."""
_NOTHING: Final = msgspec.Raw(b"")
_CODES: Final = {"FP32": "f", "FP64": "d"}


class _Tensor(msgspec.Struct, gc=False):
    name: str
    datatype: str
    shape: list[int]
    data: list[float]
    parameters: msgspec.Raw = _NOTHING


class _Request(msgspec.Struct, gc=False):
    inputs: list[_Tensor]
    id: str = ""
    parameters: msgspec.Raw = _NOTHING
    outputs: msgspec.Raw = _NOTHING


_DECODER: Final = msgspec.json.Decoder(_Request)
_FAULTS: Final = (*NOT_JSON, struct.error, OverflowError, ValueError)


class PlainReader:
    """Reads the plain requests of one model."""

    def __init__(self, signature: Signature, *, max_bytes: int) -> None:
        """See whether the model has such requests at all.

        Args:
            signature: Of the model.
            max_bytes: Of the tensor once decoded.
        """
        self._max_bytes = max_bytes
        specs = signature.inputs
        is_plain = len(specs) == 1 and specs[0].datatype in _CODES and bool(specs[0].shape)
        # Halves have no JSON form: that they must be asked for as bytes is for the other reader to say.
        if any(spec.datatype in HALVES for spec in signature.outputs):
            is_plain = False
        self._spec = specs[0] if is_plain else None
        if self._spec is not None:
            self._code = _CODES[self._spec.datatype]
            self._dtype = NUMPY[self._spec.datatype]
            self._inner = list(self._spec.shape[1:])
            self._outer = self._spec.shape[0]

    def read(self, body: bytes | bytearray | memoryview) -> InferenceRequest | None:
        """Read a request; None when it is not plain, or not right."""
        spec = self._spec
        if spec is None or len(body) > MOST_BYTES:
            return None
        try:
            request = _DECODER.decode(body)
            if len(request.inputs) != 1 or request.parameters is not _NOTHING or request.outputs is not _NOTHING:
                return None
            tensor = request.inputs[0]
            shape, data = tensor.shape, tensor.data
            # A size that is free within a row is for the other reader, and so is an empty batch.
            if (
                tensor.name != spec.name
                or tensor.datatype != spec.datatype
                or tensor.parameters is not _NOTHING
                or shape[1:] != self._inner
                or not 0 < shape[0] < MOST_BYTES
                or self._outer not in (-1, shape[0])
                or prod(shape) != len(data)
                or len(request.id) > MAX_ID
            ):
                return None
            content = struct.pack(f"={len(data)}{self._code}", *data)
            if len(content) > self._max_bytes:
                return None
        except _FAULTS:
            return None
        return InferenceRequest({spec.name: np.ndarray(shape, self._dtype, content)}, id=request.id)
