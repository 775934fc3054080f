"""The tensors of a REST request: JSON, bytes after it, or some of each, held to a model's signature."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from kingmaker_serving.errors import ErrorCode, ServingError, invalid_tensor
from kingmaker_serving.protocol.binarydata import read_binary
from kingmaker_serving.protocol.jsonread import read_json
from kingmaker_serving.protocol.messages import NOTHING, InputTensor, read_parameters, read_shape
from kingmaker_serving.protocol.signature import Signature, TensorSpec
from kingmaker_serving.protocol.tensors import HALVES, check_tensor, held_bytes, too_large
from kingmaker_serving.protocol.values import Parameter

_SHARED_MEMORY: Final = "shared_memory_region"
_KNOWN_SHAPES: Final = 1024
_KNOWN_BYTES: Final = 100


class Inputs:
    """Reads the tensors of a request by a model's signature."""

    def __init__(self, signature: Signature, *, max_bytes: int, halves_in_json: bool = False) -> None:
        """Take what the model takes.

        Args:
            signature: Of the model.
            max_bytes: Of all tensors of a request together, once decoded.
            halves_in_json: Whether JSON may carry FP16 and BF16, which clients must send as bytes.
        """
        self._signature = signature
        self._max_bytes = max_bytes
        self._refused = frozenset() if halves_in_json else HALVES
        self._known: dict[tuple[str, str, bytes], tuple[tuple[int, ...], int]] = {}
        """Shapes that passed, by name, datatype and JSON: most requests of a client look alike."""

    def read(self, tensors: Sequence[InputTensor], tail: memoryview) -> dict[str, np.ndarray]:
        """Turn a request's tensors into the model's feeds.

        Args:
            tensors: As they are in the JSON.
            tail: What follows it: the bytes of those that are binary, in their order.

        Raises:
            ServingError: INVALID_TENSOR or INVALID_REQUEST naming the tensor; TOO_LARGE.
        """
        feeds: dict[str, np.ndarray] = {}
        left = self._max_bytes
        specs = self._signature.input_specs
        for tensor in tensors:
            spec = specs.get(tensor.name)
            if spec is None:
                names = ", ".join(map(repr, specs))[:300]
                raise invalid_tensor(f"input {tensor.name[:100]!r} is unknown; the model takes [{names}]")
            if tensor.name in feeds:
                raise invalid_tensor(f"input {tensor.name!r} is there twice; send it once")
            size = _binary_size(tensor)
            if size is None:
                feeds[tensor.name] = array = self.read_one(tensor, spec, limit=left)
            else:
                feeds[tensor.name] = array = self._binary(tensor, spec, tail[:size], size)
                tail = tail[size:]
            left -= held_bytes(array)
            if left < 0:
                raise too_large(spec, held_bytes(array), left + held_bytes(array))
        if not self._signature.required <= feeds.keys():
            missing = [str(spec) for spec in self._signature.inputs if not spec.optional and spec.name not in feeds]
            raise invalid_tensor(f"input {missing[0]!r} is missing; the request has {str(sorted(feeds))[:300]}")
        if tail:
            message = f"{len(tail)} bytes are left after the last input that has a binary_data_size"
            raise ServingError(ErrorCode.INVALID_REQUEST, message)
        return feeds

    def read_one(self, tensor: InputTensor, spec: TensorSpec, *, limit: int) -> np.ndarray:
        """Read a tensor that has its data in JSON.

        Args:
            tensor: As it is in the JSON.
            spec: What it should be.
            limit: Bytes that it may have once decoded.

        Raises:
            ServingError: INVALID_TENSOR, INVALID_REQUEST, TOO_LARGE.
        """
        shape, count = self._shape(tensor, spec)
        if tensor.data is NOTHING:
            message = f'input "{spec.name}" has no data; send "data" as a JSON list, or bytes with a binary_data_size'
            raise invalid_tensor(message)
        if spec.datatype in self._refused:
            message = f'input "{spec.name}": {spec.datatype} has no JSON form; send it as binary data'
            raise invalid_tensor(message)
        return read_json(tensor.data, spec, shape, count, limit=limit)

    def _binary(self, tensor: InputTensor, spec: TensorSpec, data: memoryview, size: int) -> np.ndarray:
        shape, count = self._shape(tensor, spec)
        if len(data) < size:
            message = (
                f'input "{spec.name}" has a binary_data_size of {size}, and {len(data)} bytes follow the JSON; '
                "the header inference-header-content-length tells where it ends"
            )
            raise invalid_tensor(message)
        return read_binary(data, spec, shape, count)

    def _shape(self, tensor: InputTensor, spec: TensorSpec) -> tuple[tuple[int, ...], int]:
        """Read a tensor's shape and check it with its datatype; gives its number of elements, too."""
        text = bytes(tensor.shape)
        key = (tensor.name, tensor.datatype, text)
        known = self._known.get(key)
        if known is None:
            shape = tuple(read_shape(text, spec.name))
            known = shape, check_tensor(spec, tensor.datatype, shape)
            if len(self._known) < _KNOWN_SHAPES and len(text) < _KNOWN_BYTES:
                self._known[key] = known
        return known


def refuse_shared_memory(parameters: Mapping[str, Parameter], place: str) -> None:
    """Refuse an extension that needs client and server on one machine.

    Raises:
        ServingError: INVALID_REQUEST.
    """
    if _SHARED_MEMORY in parameters:
        message = f"{place}: there is no shared memory here; send data, or bytes with a binary_data_size"
        raise ServingError(ErrorCode.INVALID_REQUEST, message)


def _binary_size(tensor: InputTensor) -> int | None:
    """Tell how many bytes of data follow the JSON for this tensor; None when it has its data there."""
    if tensor.parameters is NOTHING:
        return None
    place = f'input "{tensor.name[:100]}"'
    parameters = read_parameters(tensor.parameters, place)
    refuse_shared_memory(parameters, place)
    size = parameters.get("binary_data_size")
    if size is None:
        return None
    if type(size) is not int or size < 0:
        raise invalid_tensor(f"{place}: binary_data_size is {size!r}; it is a number of bytes")
    if tensor.data is not NOTHING:
        raise invalid_tensor(f"{place} has data and a binary_data_size; send one of them")
    return size
