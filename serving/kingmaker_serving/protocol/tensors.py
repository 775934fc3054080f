"""Tensors between JSON and numpy, checked against the model's signature before anything is allocated for them.

JSON has no NaN. A missing value of an FP32 or FP64 tensor is `null`, in requests and replies alike; the words NaN and
Infinity, and numbers beyond the datatype, are refused.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, Final

import msgspec
import numpy as np

from kingmaker_serving.errors import ErrorCode, ServingError, invalid_tensor
from kingmaker_serving.protocol.messages import InferRequest, InputTensor, OutputTensor
from kingmaker_serving.protocol.signature import FLOATS, NUMPY, Signature, TensorSpec

MAX_ELEMENTS: Final = 2**27
"""Elements of one tensor; a larger one does not fit a body anyway."""

_FLOATS: Final = msgspec.json.Decoder(list[float | None])
_INTEGERS: Final = msgspec.json.Decoder(list[int])
_TRUTHS: Final = msgspec.json.Decoder(list[bool])
_STRINGS: Final = msgspec.json.Decoder(list[str])
_NESTED: Final = msgspec.json.Decoder(list[Any])


def read_inputs(
    request: InferRequest, signature: Signature, symbols: Mapping[str, Sequence[str]] | None = None
) -> dict[str, np.ndarray]:
    """Turn a request's tensors into the model's feeds.

    Args:
        request: The outline that was read.
        signature: What the model takes.
        symbols: Names of free dimensions per input; equal names must have equal sizes.

    Raises:
        ServingError: INVALID_TENSOR naming the tensor, what was found and what was expected.
    """
    feeds: dict[str, np.ndarray] = {}
    for tensor in request.inputs:
        spec = signature.input(tensor.name)
        if spec is None:
            names = [spec.name for spec in signature.inputs]
            raise invalid_tensor(f"input {tensor.name[:100]!r} is unknown; the model takes {names}")
        if tensor.name in feeds:
            raise invalid_tensor(f"input {tensor.name!r} is there twice; send it once")
        feeds[tensor.name] = read_tensor(tensor, spec)
    missing = [str(spec) for spec in signature.inputs if spec.name not in feeds]
    if missing:
        raise invalid_tensor(f"input {missing[0]!r} is missing; the request has {sorted(feeds)}")
    _check_symbols(feeds, symbols or {})
    return feeds


def read_tensor(tensor: InputTensor, spec: TensorSpec) -> np.ndarray:
    """Read one tensor.

    Returns:
        C-contiguous array of the spec's dtype and the tensor's shape; BYTES as `str` objects.

    Raises:
        ServingError: INVALID_TENSOR.
    """
    _check_type(tensor, spec)
    count = _check_shape(tensor, spec)
    raw = bytes(tensor.data)
    if not raw:
        raise invalid_tensor(f'input "{spec.name}" has no data; send "data" as a JSON list (binary data is not read)')
    flat = _flat(raw, tensor, spec)
    if len(flat) != count:
        message = f'input "{spec.name}": {len(flat)} elements do not fill shape {tensor.shape} ({count} expected)'
        raise invalid_tensor(message)
    return _array(flat, spec).reshape(tensor.shape)


def requested_outputs(request: InferRequest, signature: Signature) -> list[str]:
    """Give the names of the outputs that the client wants, all when it names none.

    Raises:
        ServingError: INVALID_TENSOR for an unknown or repeated name.
    """
    known = [spec.name for spec in signature.outputs]
    if not request.outputs:
        return known
    names = [output.name for output in request.outputs]
    for name in names:
        if name not in known:
            raise invalid_tensor(f"output {name[:100]!r} is unknown; the model gives {known}")
        if names.count(name) > 1:
            raise invalid_tensor(f"output {name!r} is asked for twice; ask once")
    return names


def write_outputs(
    outputs: Mapping[str, np.ndarray], names: Sequence[str], specs: Sequence[TensorSpec], *, max_bytes: int
) -> list[OutputTensor]:
    """Turn arrays into JSON tensors, row-major; NaN and infinities become null.

    Args:
        outputs: Arrays by name.
        names: Which to write, in order.
        specs: Their datatypes.
        max_bytes: Bound of the arrays' size in memory.

    Raises:
        ServingError: INVALID_REQUEST when they are larger than `max_bytes`.
    """
    size = sum(outputs[name].nbytes for name in names)
    if size > max_bytes:
        message = f"the answer has {size} bytes, at most {max_bytes} are sent; ask for fewer rows or outputs"
        raise ServingError(ErrorCode.INVALID_REQUEST, message)
    datatypes = {spec.name: spec.datatype for spec in specs}
    return [
        OutputTensor(name, datatypes[name], list(outputs[name].shape), outputs[name].ravel().tolist()) for name in names
    ]


def _check_type(tensor: InputTensor, spec: TensorSpec) -> None:
    if tensor.datatype == spec.datatype:
        return
    hint = f" ({tensor.datatype} has no JSON form)" if tensor.datatype in {"FP16", "BF16"} else ""
    found = tensor.datatype[:20]
    raise invalid_tensor(f'input "{spec.name}" has datatype {found}{hint}, the model takes {spec.datatype}')


def _check_shape(tensor: InputTensor, spec: TensorSpec) -> int:
    """Give the number of elements, counted in Python's integers, which do not overflow."""
    found, wanted = tensor.shape, spec.shape
    reason = ""
    if len(found) != len(wanted):
        reason = f"{len(wanted)} dimensions expected, got {len(found)}"
    elif any(size < 1 for size in found):
        reason = "every dimension must be at least 1"
    else:
        wrong = [i for i, (size, want) in enumerate(zip(found, wanted, strict=True)) if want not in {-1, size}]
        if wrong:
            reason = f"dimension {wrong[0]} must be {wanted[wrong[0]]}, got {found[wrong[0]]}"
    if reason:
        message = f'input "{spec.name}": shape {str(found)[:200]} does not fit model input {list(wanted)} ({reason})'
        raise invalid_tensor(message)
    count = prod(found)
    if count > MAX_ELEMENTS:
        message = f'input "{spec.name}": shape {str(found)[:200]} has over {MAX_ELEMENTS} elements; send fewer rows'
        raise invalid_tensor(message)
    return count


def _check_symbols(feeds: Mapping[str, np.ndarray], symbols: Mapping[str, Sequence[str]]) -> None:
    seen: dict[str, tuple[str, int]] = {}
    for name, array in feeds.items():
        for symbol, size in zip(symbols.get(name, ()), array.shape, strict=False):
            if not symbol:
                continue
            other, known = seen.setdefault(symbol, (name, size))
            if known != size:
                message = f'input "{name}" has {size} for dimension {symbol!r}, but input "{other}" has {known}'
                raise invalid_tensor(message)


def _flat(raw: bytes, tensor: InputTensor, spec: TensorSpec) -> list[Any]:
    decoder: msgspec.json.Decoder[Any]
    if spec.datatype in FLOATS:
        decoder = _FLOATS
    elif spec.datatype == "BOOL":
        decoder = _TRUTHS
    elif spec.datatype == "BYTES":
        decoder = _STRINGS
    else:
        decoder = _INTEGERS
    try:
        if len(tensor.shape) > 1 and raw[1:].lstrip()[:1] == b"[":
            flat = _unnest(_NESTED.decode(raw), tensor, spec)
            return list(msgspec.convert(flat, type=decoder.type))
        return list(decoder.decode(raw))
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        text = "nested too deeply" if isinstance(error, RecursionError) else str(error).replace("`", "")
        kind = "numbers, null for a missing value" if spec.datatype in FLOATS else "values"
        text = text.replace("$", "data")[:200]
        raise invalid_tensor(f'input "{spec.name}": data must be a list of {spec.datatype} {kind}: {text}') from error


def _unnest(nested: list[Any], tensor: InputTensor, spec: TensorSpec) -> list[Any]:
    level = nested
    for size in tensor.shape[1:]:
        deeper: list[Any] = []
        for part in level:
            if not isinstance(part, list) or len(part) != size:
                found = f"a list of {len(part)}" if isinstance(part, list) else type(part).__name__
                message = f'input "{spec.name}": nested data does not follow shape {tensor.shape}: found {found}'
                raise invalid_tensor(f"{message} where a list of {size} was expected")
            deeper.extend(part)
        level = deeper
    return level


def _array(flat: list[Any], spec: TensorSpec) -> np.ndarray:
    dtype = NUMPY[spec.datatype]
    if spec.datatype == "BYTES":
        array = np.empty(len(flat), dtype=object)
        array[:] = flat
        return array
    try:
        if spec.datatype != "FP32":
            return np.array(flat, dtype=dtype)
        with np.errstate(over="ignore"):
            narrow = np.array(flat, dtype=np.float64).astype(np.float32)
    except OverflowError as error:
        raise invalid_tensor(f'input "{spec.name}": {error}; the model takes {spec.datatype}') from error
    if np.isinf(narrow).any():
        where = int(np.flatnonzero(np.isinf(narrow))[0])
        raise invalid_tensor(f'input "{spec.name}": element {where} ({flat[where]:g}) is beyond the range of FP32')
    return narrow
