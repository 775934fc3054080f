"""`ModelInferRequest` and `ModelInferResponse`, and the values that they stand for."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from kingmaker_serving.errors import ErrorCode, ServingError, invalid_tensor
from kingmaker_serving.grpc.contents import FIELDS, read_contents, write_contents
from kingmaker_serving.grpc.messages import ModelInferResponse
from kingmaker_serving.protocol.binarydata import read_binary, write_binary
from kingmaker_serving.protocol.classification import CLASSIFIED, classify
from kingmaker_serving.protocol.inputs import refuse_shared_memory
from kingmaker_serving.protocol.messages import MAX_ID
from kingmaker_serving.protocol.signature import Signature, TensorSpec
from kingmaker_serving.protocol.tensors import check_tensor, held_bytes, too_large
from kingmaker_serving.protocol.values import InferenceReply, InferenceRequest, Parameter, Wanted

_MAX_PARAMETERS: Final = 64
"""In one place."""


def read_request(message: Any, signature: Signature, *, max_bytes: int) -> InferenceRequest:  # noqa: ANN401
    """Read a request.

    Args:
        message: `ModelInferRequest`.
        signature: What the model takes and gives.
        max_bytes: Of all tensors together, once decoded.

    Returns:
        `binary_outputs` says whether outputs are to be raw: as the inputs were, unless the client said otherwise.

    Raises:
        ServingError: INVALID_REQUEST, INVALID_TENSOR, TOO_LARGE.
    """
    identity = message.id
    if len(identity) > MAX_ID:
        text = f"id has {len(identity)} characters; send {MAX_ID} at most"
        raise ServingError(ErrorCode.INVALID_REQUEST, text)
    parameters = _parameters(message.parameters, "the request")
    raw = message.raw_input_contents
    is_raw = parameters.get("binary_data_output", bool(raw))
    # Outputs first: they are cheap to read, and wrong ones spare us the tensors.
    outputs = _wanted(message.outputs, signature)
    inputs = _inputs(message.inputs, raw, signature, max_bytes)
    return InferenceRequest(inputs, outputs, identity, parameters, bool(is_raw))


def write_reply(reply: InferenceReply, request: InferenceRequest, signature: Signature, *, max_bytes: int) -> bytes:
    """Write an answer.

    Args:
        reply: What the model gave.
        request: Says in which form the client wants it.
        signature: Of the model.
        max_bytes: Bound of the outputs.

    Raises:
        ServingError: TOO_LARGE when they are larger, INVALID_TENSOR when there are no classes to order.
    """
    size = sum(map(held_bytes, reply.outputs.values()))
    if size > max_bytes:
        message = f"the answer has {size} bytes, at most {max_bytes} are sent; ask for fewer rows or outputs"
        raise ServingError(ErrorCode.TOO_LARGE, message)
    tensors = [_classified(name, array, reply, request, signature) for name, array in reply.outputs.items()]
    # All or none: `raw_output_contents` are matched with the outputs by their place.
    is_raw = request.binary_outputs or any(datatype not in FIELDS for _, datatype, _ in tensors)
    response = ModelInferResponse(model_name=reply.model_name, model_version=reply.model_version, id=reply.id)
    for name, value in reply.parameters.items():
        _set_parameter(response.parameters[name], value)
    for name, datatype, array in tensors:
        output = response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        if is_raw:
            response.raw_output_contents.append(write_binary(array))
        else:
            write_contents(output.contents, array, datatype)
    content: bytes = response.SerializeToString()
    return content


def _inputs(tensors: Sequence[Any], raw: Sequence[bytes], signature: Signature, left: int) -> Mapping[str, np.ndarray]:
    if raw and len(raw) != len(tensors):
        message = f"there are {len(raw)} raw_input_contents for {len(tensors)} inputs; send one for each"
        raise ServingError(ErrorCode.INVALID_REQUEST, message)
    specs = signature.input_specs
    feeds: dict[str, np.ndarray] = {}
    for index, tensor in enumerate(tensors):
        name = tensor.name
        spec = specs.get(name)
        if spec is None:
            names = ", ".join(map(repr, specs))[:300]
            raise invalid_tensor(f"input {name[:100]!r} is unknown; the model takes [{names}]")
        if name in feeds:
            raise invalid_tensor(f"input {name!r} is there twice; send it once")
        feeds[name] = array = _tensor(tensor, spec, raw[index] if raw else None)
        size = held_bytes(array)
        if size > left:
            raise too_large(spec, size, left)
        left -= size
    if not signature.required <= feeds.keys():
        missing = next(spec for spec in signature.inputs if not spec.optional and spec.name not in feeds)
        raise invalid_tensor(f"input {str(missing)!r} is missing; the request has {sorted(feeds)}")
    return feeds


def _tensor(tensor: Any, spec: TensorSpec, raw: bytes | None) -> np.ndarray:  # noqa: ANN401
    if tensor.parameters:
        refuse_shared_memory(_parameters(tensor.parameters, f'input "{spec.name}"'), f'input "{spec.name}"')
    shape = tuple(tensor.shape)
    count = check_tensor(spec, tensor.datatype, shape)
    if raw is None:
        return read_contents(tensor.contents, spec, shape, count)
    if tensor.HasField("contents"):
        message = f'input "{spec.name}" has contents beside raw_input_contents; send one of them'
        raise ServingError(ErrorCode.INVALID_REQUEST, message)
    return read_binary(memoryview(raw), spec, shape, count)


def _wanted(outputs: Sequence[Any], signature: Signature) -> list[Wanted]:
    if not outputs:
        return []
    wanted: dict[str, Wanted] = {}
    known = signature.output_specs
    for output in outputs:
        name = output.name
        if name not in known:
            names = ", ".join(map(repr, known))[:300]
            raise invalid_tensor(f"output {name[:100]!r} is unknown; the model gives [{names}]")
        if name in wanted:
            raise invalid_tensor(f"output {name!r} is asked for twice; ask once")
        wanted[name] = Wanted(name, classification=_classes(output, f'output "{name}"'))
    return list(wanted.values())


def _classes(output: Any, place: str) -> int:  # noqa: ANN401
    if not output.parameters:
        return 0
    parameters = _parameters(output.parameters, place)
    refuse_shared_memory(parameters, place)
    if "classification" not in parameters:
        return 0
    classes = parameters["classification"]
    if type(classes) is not int or classes < 1:
        raise invalid_tensor(f"{place}: classification is {classes!r}; it is a number of classes, at least 1")
    return classes


def _classified(
    name: str, array: np.ndarray, reply: InferenceReply, request: InferenceRequest, signature: Signature
) -> tuple[str, str, np.ndarray]:
    datatype = reply.datatypes[name]
    count = next((output.classification for output in request.outputs if output.name == name), 0)
    if not count:
        return name, datatype, array
    return name, CLASSIFIED, classify(array, datatype, count, signature.output_specs[name])


def _parameters(found: Mapping[str, Any], place: str) -> dict[str, Parameter]:
    if not found:
        return {}
    if len(found) > _MAX_PARAMETERS:
        message = f"{place} has {len(found)} parameters; send {_MAX_PARAMETERS} at most"
        raise ServingError(ErrorCode.INVALID_REQUEST, message)
    parameters: dict[str, Parameter] = {}
    for name, parameter in found.items():
        choice = parameter.WhichOneof("parameter_choice")
        if choice is not None:
            parameters[name] = getattr(parameter, choice)
    return parameters


def _set_parameter(parameter: Any, value: Parameter) -> None:  # noqa: ANN401
    if isinstance(value, bool):
        parameter.bool_param = value
    elif isinstance(value, int):
        parameter.int64_param = value
    elif isinstance(value, float):
        parameter.double_param = value
    else:
        parameter.string_param = value
