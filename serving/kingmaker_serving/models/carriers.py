"""What ONNX has beside plain tensors, as the tensors of the protocol.

- `seq(tensor(T))` named `s`: `s`, the elements of all its tensors one after another, and `s.shapes`, INT64 with one row
  per tensor; where tensors differ in rank, -1 follows the last dimension of the shorter ones.
- `map(K, tensor(V))` named `m`: `m.keys` and `m.values`, equally long.
- `tensor(bfloat16)`: BF16, whose bits ONNX Runtime takes and gives as a value of its own.
- `optional(...)` of these: the same, which may be left out.
"""

import ctypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final, Protocol

import numpy as np
import onnxruntime

from kingmaker_serving.errors import Reason, VerbError, invalid_tensor
from kingmaker_serving.protocol.signature import NUMPY, TensorSpec

DATATYPES: Final = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "bfloat16": "BF16",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
}
"""ONNX Runtime's names of element types, and the protocol's."""
_BFLOAT16: Final = 16
"""`TensorProto.BFLOAT16`."""
_TYPE: Final = re.compile(r"(?P<form>seq|map|)\(?(?:(?P<key>\w+),)?tensor\((?P<element>\w+)\)+")

Value = Any
"""What ONNX Runtime takes and gives: an array, a list of arrays, a dictionary, a value of its own, or None."""


class Carrier(Protocol):
    """Between one value of ONNX Runtime and the tensors that carry it."""

    @property
    def name(self) -> str:
        """Of the value in the model."""

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """The tensors."""

    def read(self, tensors: Mapping[str, np.ndarray]) -> Value:
        """Make the value of a request's tensors; None when they are left out.

        Raises:
            ServingError: INVALID_TENSOR when they do not fit each other.
        """

    def write(self, value: Value) -> dict[str, np.ndarray]:
        """Make the tensors of a value; none when there is no value."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """`seq(tensor(T))`: values and shapes."""

    name: str
    datatype: str
    optional: bool

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """The elements of all tensors, and a shape per tensor."""
        return (
            TensorSpec(self.name, self.datatype, (-1,), self.optional),
            TensorSpec(f"{self.name}.shapes", "INT64", (-1, -1), self.optional),
        )

    def read(self, tensors: Mapping[str, np.ndarray]) -> Value:
        """Cut the elements into tensors."""
        pair = _pair(tensors, self.name, f"{self.name}.shapes")
        if pair is None:
            return None
        elements, rows = pair
        shapes = [tuple(size for size in row if size != -1) for row in rows.tolist()]
        if any(size < 0 for shape in shapes for size in shape):
            raise invalid_tensor(f'input "{self.name}.shapes" has a negative size; only -1 may stand for no dimension')
        ends = [0]
        for shape in shapes:
            ends.append(ends[-1] + prod(shape))
        if ends[-1] != elements.size:
            message = f'input "{self.name}" has {elements.size} elements, but "{self.name}.shapes" is of {ends[-1]}'
            raise invalid_tensor(message)
        flat = elements.reshape(-1)
        return [flat[a:b].reshape(shape) for a, b, shape in zip(ends, ends[1:], shapes, strict=False)]

    def write(self, value: Value) -> dict[str, np.ndarray]:
        """Put the tensors one after another."""
        if value is None:
            return {}
        rank = max((array.ndim for array in value), default=0)
        shapes = np.full((len(value), rank), -1, dtype=np.int64)
        for row, array in zip(shapes, value, strict=True):
            row[: array.ndim] = array.shape
        nothing = np.empty(0, dtype=NUMPY[self.datatype])
        elements = np.concatenate([nothing, *(array.reshape(-1) for array in value)])
        return {self.name: elements, f"{self.name}.shapes": shapes}


@dataclass(frozen=True, slots=True)
class Dictionary:
    """`map(K, tensor(V))`, which only requests have: keys and values."""

    name: str
    key: str
    datatype: str
    optional: bool

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """Keys and values."""
        return (
            TensorSpec(f"{self.name}.keys", self.key, (-1,), self.optional),
            TensorSpec(f"{self.name}.values", self.datatype, (-1,), self.optional),
        )

    def read(self, tensors: Mapping[str, np.ndarray]) -> Value:
        """Make a dictionary."""
        pair = _pair(tensors, f"{self.name}.keys", f"{self.name}.values")
        if pair is None:
            return None
        keys, values = pair
        found = dict(zip(keys.tolist(), values.tolist(), strict=False))
        if len(keys) != len(values) or len(found) != len(keys):
            message = f'input "{self.name}" has {len(keys)} keys, {len(found)} different ones, for {len(values)} values'
            raise invalid_tensor(message)
        return found

    def write(self, value: Value) -> dict[str, np.ndarray]:
        """Nothing: no operator of ONNX Runtime answers with one, ZipMap apart, which is taken out before."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Half:
    """`tensor(bfloat16)`: bits, of which numpy knows no numbers."""

    name: str
    shape: tuple[int, ...]
    optional: bool

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """One tensor."""
        return (TensorSpec(self.name, "BF16", self.shape, self.optional),)

    def read(self, tensors: Mapping[str, np.ndarray]) -> Value:
        """Tell ONNX Runtime what the bits are."""
        bits = tensors.get(self.name)
        if bits is None:
            return None
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, _BFLOAT16)

    def write(self, value: Value) -> dict[str, np.ndarray]:
        """Copy the bits out of ONNX Runtime's memory."""
        if value is None:
            return {}
        shape = tuple(value.shape())
        bits = np.empty(shape, dtype=np.uint16)
        if bits.size:
            ctypes.memmove(bits.ctypes.data, value.data_ptr(), bits.nbytes)
        return {self.name: bits}


def carrier_of(side: str, name: str, kind: str, shape: tuple[int, ...]) -> Carrier | TensorSpec:
    """Find how a value of the model is carried.

    Args:
        side: `input` or `output`.
        name: Of the value.
        kind: ONNX Runtime's name of its type.
        shape: Of a tensor.

    Returns:
        The tensor itself when it is one.

    Raises:
        VerbError: InvalidModel when nothing carries it.
    """
    is_optional = kind.startswith("optional(")
    found = _TYPE.fullmatch(kind.removeprefix("optional(").removesuffix(")") if is_optional else kind)
    datatype = DATATYPES.get(found["element"]) if found else None
    if found is None or datatype is None:
        raise _nothing(side, name, kind)
    match found["form"]:
        case "" if datatype == "BF16":
            return Half(name, shape, is_optional)
        case "":
            return TensorSpec(name, datatype, shape, is_optional)
        case "map" if side == "input" and found["key"] in {"string", "int64"}:
            return Dictionary(name, DATATYPES[found["key"]], datatype, is_optional)
        case "seq" if datatype != "BF16":
            return Sequence(name, datatype, is_optional)
        case _:
            raise _nothing(side, name, kind)


def _nothing(side: str, name: str, kind: str) -> VerbError:
    message = (
        f"{side} {name!r} is a {kind}, which the protocol has no form for; export it as a tensor of numbers or texts"
    )
    return VerbError(Reason.INVALID_MODEL, message)


def _pair(tensors: Mapping[str, np.ndarray], first: str, second: str) -> tuple[np.ndarray, np.ndarray] | None:
    found = tensors.get(first), tensors.get(second)
    if found[0] is not None and found[1] is not None:
        return found[0], found[1]
    if found[0] is None and found[1] is None:
        return None
    raise invalid_tensor(f'inputs "{first}" and "{second}" belong together; send both, or neither')
