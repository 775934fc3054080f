"""Inference requests and replies of the REST protocol: JSON, and bytes after it by the binary tensor extension."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Final

import msgspec

from kingmaker_serving.errors import ErrorCode, ServingError, invalid_tensor
from kingmaker_serving.protocol.binarydata import read_binary, write_binary
from kingmaker_serving.protocol.classification import CLASSIFIED, classify
from kingmaker_serving.protocol.inputs import Inputs, refuse_shared_memory
from kingmaker_serving.protocol.jsonwrite import write_json
from kingmaker_serving.protocol.messages import (
    NOTHING,
    RequestedOutput,
    read_infer,
    read_parameters,
)
from kingmaker_serving.protocol.plain import PlainReader
from kingmaker_serving.protocol.signature import NUMPY, Signature, TensorSpec
from kingmaker_serving.protocol.tensors import HALVES, held_bytes
from kingmaker_serving.protocol.values import InferenceReply, InferenceRequest, Parameter, Wanted

MAX_REQUEST_BYTES: Final = 16 * 1024**2
_NO_BYTES: Final = memoryview(b"")
_ENCODER: Final = msgspec.json.Encoder()


class RestCodec:
    """Bytes of REST bodies, and the values that they stand for, of one model. Built once, used by any thread."""

    def __init__(self, signature: Signature, *, max_bytes: int = MAX_REQUEST_BYTES) -> None:
        """Prepare what is the same for every request.

        Args:
            signature: Of the model.
            max_bytes: Of a request's tensors together, once decoded; bodies are bounded by who reads them.
        """
        self._signature = signature
        self._inputs = Inputs(signature, max_bytes=max_bytes)
        self._plain = PlainReader(signature, max_bytes=max_bytes)
        self._halves = [spec for spec in signature.outputs if spec.datatype in HALVES]
        self._heads = {(spec.name, spec.datatype): _head(spec.name, spec.datatype) for spec in signature.outputs}

    def read(self, body: bytes | bytearray | memoryview, json_length: int | None = None) -> InferenceRequest:
        """Read a request.

        Args:
            body: All of it, unpacked.
            json_length: Header `Inference-Header-Content-Length`; None without it, 0 for a body that is all tensor.

        Raises:
            ServingError: INVALID_REQUEST, INVALID_TENSOR, TOO_LARGE.
        """
        if json_length is None:
            plain = self._plain.read(body)
            if plain is not None:
                return plain
            text, tail = body if isinstance(body, bytes) else bytes(body), _NO_BYTES
        else:
            view = memoryview(body)
            if json_length == 0:
                return self._read_raw(view)
            if json_length > len(view):
                message = f"inference-header-content-length is {json_length}, but the body has {len(view)} bytes"
                raise ServingError(ErrorCode.INVALID_REQUEST, message)
            text, tail = bytes(view[:json_length]), view[json_length:]
        signature = self._signature
        request = read_infer(text, max_inputs=len(signature.inputs), max_outputs=len(signature.outputs))
        parameters = read_parameters(request.parameters, "the request")
        binary_outputs = bool(_flag(parameters, "binary_data_output", "the request"))
        # Outputs first: they are cheap to read, and wrong ones spare us the tensors.
        outputs = self._wanted(request.outputs or (), binary=binary_outputs)
        return InferenceRequest(
            self._inputs.read(request.inputs, tail), outputs, request.id or "", parameters, binary_outputs
        )

    def write(self, reply: InferenceReply, request: InferenceRequest, *, max_bytes: int) -> tuple[bytes, int | None]:
        """Write a reply.

        Args:
            reply: What the model gave.
            request: Says in which form the client wants it.
            max_bytes: Bound of the outputs and of the text that they become.

        Returns:
            The body, and the length of its JSON when bytes follow that.

        Raises:
            ServingError: INVALID_REQUEST when it is larger than `max_bytes`, or has no classes to order.
        """
        size = sum(map(held_bytes, reply.outputs.values()))
        if size > max_bytes:
            message = f"the answer has {size} bytes, at most {max_bytes} are sent; ask for fewer rows or outputs"
            raise ServingError(ErrorCode.INVALID_REQUEST, message)
        wanted = {output.name: output for output in request.outputs}
        parts, binary, left = [_open(reply)], [], max_bytes
        for name, array in reply.outputs.items():
            output = wanted.get(name)
            datatype = reply.datatypes[name]
            if output is not None and output.classification:
                spec = self._signature.output_specs[name]
                array = classify(array, datatype, output.classification, spec)  # noqa: PLW2901
                datatype = CLASSIFIED
            parts += (self._heads.get((name, datatype)) or _head(name, datatype), _ENCODER.encode(array.shape))
            if request.binary_outputs if output is None else output.binary:
                binary.append(write_binary(array))
                parts.append(b',"parameters":{"binary_data_size":%d}},' % len(binary[-1]))
            else:
                data = write_json(array, datatype, max_bytes=left)
                left -= len(data)
                parts += (b',"data":', data, b"},")
        parts[-1] = parts[-1].removesuffix(b",")
        parts.append(b"]}")
        text = b"".join(parts)
        return (b"".join((text, *binary)), len(text)) if binary else (text, None)

    def _read_raw(self, data: memoryview) -> InferenceRequest:
        """Read a body without JSON: the bytes of the only input, whose shape must follow from their number."""
        specs = self._signature.inputs
        if len(specs) != 1:
            message = f"a body without JSON is for models of one input; this one has {len(specs)}"
            raise ServingError(ErrorCode.INVALID_REQUEST, message)
        (spec,) = specs
        if not data:
            raise invalid_tensor(f"the body is empty; send the bytes of {spec}, or JSON")
        shape = [1] if spec.datatype == "BYTES" else _deduce_shape(spec, len(data))
        if spec.datatype == "BYTES":
            data = memoryview(len(data).to_bytes(4, "little") + data)
        return InferenceRequest({spec.name: read_binary(data, spec, shape, prod(shape))}, binary_outputs=True)

    def _wanted(self, outputs: Sequence[RequestedOutput], *, binary: bool) -> list[Wanted]:
        known = self._signature.output_specs
        wanted: dict[str, Wanted] = {}
        for output in outputs:
            spec = known.get(output.name)
            if spec is None:
                names = ", ".join(map(repr, known))[:300]
                raise invalid_tensor(f"output {output.name[:100]!r} is unknown; the model gives [{names}]")
            if output.name in wanted:
                raise invalid_tensor(f"output {output.name!r} is asked for twice; ask once")
            wanted[output.name] = found = _read_wanted(output, binary=binary)
            if not found.classification:
                _check_form(spec, is_binary=found.binary)
        if not outputs and self._halves:
            _check_form(self._halves[0], is_binary=binary)
        return list(wanted.values())


def _open(reply: InferenceReply) -> bytes:
    encode = _ENCODER.encode
    text = b'{"model_name":%b,"model_version":%b,"id":%b' % (
        encode(reply.model_name), encode(reply.model_version), encode(reply.id)
    )  # fmt: skip
    if reply.parameters:
        text += b',"parameters":' + encode(reply.parameters)
    return text + b',"outputs":['


def _head(name: str, datatype: str) -> bytes:
    return b'{"name":%b,"datatype":%b,"shape":' % (_ENCODER.encode(name), _ENCODER.encode(datatype))


def _deduce_shape(spec: TensorSpec, size: int) -> list[int]:
    free = [index for index, dimension in enumerate(spec.shape) if dimension < 0]
    if len(free) > 1 or not spec.shape:
        message = f"a body without JSON is for inputs with one free dimension; this model takes {spec}"
        raise ServingError(ErrorCode.INVALID_REQUEST, message)
    shape = list(spec.shape)
    if free:
        row = prod(dimension for dimension in shape if dimension >= 0) * NUMPY[spec.datatype].itemsize
        shape[free[0]] = size // row if row else 0
    return shape


def _read_wanted(output: RequestedOutput, *, binary: bool) -> Wanted:
    if output.parameters is NOTHING:
        return Wanted(output.name, binary)
    place = f'output "{output.name}"'
    parameters = read_parameters(output.parameters, place)
    refuse_shared_memory(parameters, place)
    asked = _flag(parameters, "binary_data", place)
    classes = parameters.get("classification", 0)
    if type(classes) is not int or classes < 0 or (classes == 0 and "classification" in parameters):
        raise invalid_tensor(f"{place}: classification is {classes!r}; it is a number of classes, at least 1")
    return Wanted(output.name, binary if asked is None else asked, classes)


def _flag(parameters: Mapping[str, Parameter], name: str, place: str) -> bool | None:
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise ServingError(ErrorCode.INVALID_REQUEST, f"{place}: {name} is {str(value)[:40]!r}; it is true or false")
    return value


def _check_form(spec: TensorSpec, *, is_binary: bool) -> None:
    if spec.datatype in HALVES and not is_binary:
        message = (
            f'output "{spec.name}": {spec.datatype} has no JSON form; ask for it with the parameter '
            '"binary_data": true, or for all outputs with "binary_data_output": true'
        )
        raise invalid_tensor(message)
