"""The other side of the REST protocol: requests written and replies read, as a shadow does. Tensors are binary."""

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from kingmaker_serving.errors import NOT_JSON, ErrorCode, ServingError
from kingmaker_serving.protocol.binarydata import write_binary
from kingmaker_serving.protocol.inputs import Inputs
from kingmaker_serving.protocol.messages import InputTensor, malformed
from kingmaker_serving.protocol.signature import NUMPY, Signature, TensorSpec

_ENCODER: Final = msgspec.json.Encoder()


class _Reply(msgspec.Struct, gc=False):
    outputs: list[InputTensor]
    """Tensors look the same in requests and replies."""


_REPLY: Final = msgspec.json.Decoder(_Reply)


def write_request(inputs: Mapping[str, np.ndarray], datatypes: Mapping[str, str]) -> tuple[bytes, int]:
    """Write a request for all outputs as bytes.

    Args:
        inputs: Tensors by name.
        datatypes: The protocol's datatype of each.

    Returns:
        The body, and the length of its JSON for the header `Inference-Header-Content-Length`.
    """
    data = [write_binary(array) for array in inputs.values()]
    tensors = [
        {
            "name": name,
            "datatype": datatypes[name],
            "shape": array.shape,
            "parameters": {"binary_data_size": len(content)},
        }
        for (name, array), content in zip(inputs.items(), data, strict=True)
    ]
    text = _ENCODER.encode({"inputs": tensors, "parameters": {"binary_data_output": True}})
    return b"".join((text, *data)), len(text)


def read_reply(body: bytes, json_length: int | None, *, max_bytes: int) -> dict[str, np.ndarray]:
    """Read a reply's outputs, JSON or bytes, whatever model gave them.

    Args:
        body: All of it.
        json_length: Its header `Inference-Header-Content-Length`; None without it.
        max_bytes: Of all tensors together, once decoded.

    Raises:
        ServingError: It is no such reply; the code does not matter here.
    """
    end = len(body) if json_length is None else json_length
    try:
        tensors = _REPLY.decode(body[:end]).outputs
    except NOT_JSON as error:
        raise malformed(error) from error
    for tensor in tensors:
        if tensor.datatype not in NUMPY:
            message = f"datatype {tensor.datatype[:20]!r} is unknown"
            raise ServingError(ErrorCode.INVALID_TENSOR, message)
    # It is what it says: of its outputs we know nothing beforehand.
    specs = tuple(TensorSpec(tensor.name, tensor.datatype, ()) for tensor in tensors)
    reader = Inputs(Signature(specs, ()), max_bytes=max_bytes, halves_in_json=True)
    return reader.read(tensors, memoryview(body)[end:])
