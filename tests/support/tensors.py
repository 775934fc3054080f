"""Signatures and tensors for tests of what is on the wire."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kingmaker_serving.protocol.rest import RestCodec
from kingmaker_serving.protocol.signature import NUMPY, Signature, TensorSpec
from kingmaker_serving.protocol.values import InferenceReply, InferenceRequest

HALVES = ("FP16", "BF16")
JSON_TYPES = tuple(name for name in NUMPY if name not in HALVES)


def a_signature(datatype: str = "FP32", shape: Sequence[int] = (-1, 2), **fields: Any) -> Signature:
    """A model of one input `x` and one output `y` of the same kind."""
    return Signature(
        inputs=(TensorSpec("x", datatype, tuple(shape)),), outputs=(TensorSpec("y", datatype, tuple(shape), **fields),)
    )


def a_tensor(**fields: Any) -> dict[str, Any]:
    """A JSON tensor `x`, FP32 [1, 2]; None leaves a field out."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]} | fields
    return {key: value for key, value in tensor.items() if value is not None}


def read(
    body: Any, signature: Signature | None = None, *, tail: bytes | None = None, **options: Any
) -> InferenceRequest:
    """Read a body, which is bytes, text, or what becomes JSON; with `tail` the bytes after it."""
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else msgspec.json.encode(body)
    codec = RestCodec(signature or a_signature(), **options)
    return codec.read(raw) if tail is None else codec.read(raw + tail, len(raw))


def a_reply(signature: Signature, **outputs: np.ndarray) -> InferenceReply:
    datatypes = {spec.name: spec.datatype for spec in signature.outputs}
    return InferenceReply("churn", "churn-1", "an id", outputs, datatypes)


def arrays(datatype: str, shape: Sequence[int]) -> st.SearchStrategy[np.ndarray]:
    """Arrays of a datatype as the server holds them."""
    dtype = NUMPY[datatype]
    if datatype == "BYTES":
        texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
        count = int(np.prod(shape))
        return st.lists(texts, min_size=count, max_size=count).map(lambda values: _objects(values).reshape(shape))
    return hnp.arrays(dtype, tuple(shape), elements=hnp.from_dtype(dtype))


def _objects(values: list[str]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
