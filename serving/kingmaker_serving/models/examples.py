"""The examples document `kingmaker.dev/examples/v1`: inputs with expected outputs, run before a model serves."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from kingmaker_serving.errors import NOT_JSON, ErrorCode, Reason, ServingError, VerbError
from kingmaker_serving.models.session import ModelSession, Stop
from kingmaker_serving.protocol.bfloat16 import to_float32
from kingmaker_serving.protocol.inputs import Inputs
from kingmaker_serving.protocol.jsonwrite import write_json
from kingmaker_serving.protocol.messages import InputTensor
from kingmaker_serving.protocol.signature import FLOATS, TensorSpec

FORMAT: Final = "kingmaker.dev/examples/v1"
MAX_EXAMPLES: Final = 100
TOLERANCE: Final = 1e-4
"""Relative and absolute, for numbers: processors round differently."""
_ROUNDING: Final = {"FP16": 2.0**-9, "BF16": 2.0**-6}
"""A unit or two in the last place, where that is more than the tolerance."""
_MAX_BYTES: Final = 64 * 1024**2
"""Of the tensors of one request or answer, once decoded; a document has 4 MiB."""


class Example(msgspec.Struct):
    """One request and the answer that it must get, as JSON tensors. Here FP16 and BF16 have a JSON form, too."""

    inputs: list[InputTensor]
    outputs: list[InputTensor]


class Examples(msgspec.Struct):
    """The whole document."""

    format: str
    examples: list[Example]
    tolerance: float = TOLERANCE


def read_examples(content: bytes) -> Examples:
    """Read an examples document.

    Raises:
        VerbError: InvalidExamples.
    """
    try:
        document = msgspec.json.decode(content, type=Examples)
    except NOT_JSON as error:
        message = f"examples can't be read: {error}; build them with `kingmaker-serving package`"
        raise VerbError(Reason.INVALID_EXAMPLES, message) from error
    if document.format != FORMAT or len(document.examples) > MAX_EXAMPLES or not 0 <= document.tolerance < 1:
        message = (
            f"examples have format {document.format!r}, {len(document.examples)} entries and tolerance "
            f"{document.tolerance}; expected {FORMAT!r}, at most {MAX_EXAMPLES} and a tolerance from 0 to 1"
        )
        raise VerbError(Reason.INVALID_EXAMPLES, message)
    return document


def run_examples(session: ModelSession, document: Examples) -> list[dict[str, np.ndarray]]:
    """Run every example and compare; warms the model up, too.

    Returns:
        The inputs of each.

    Raises:
        VerbError: InvalidExamples when an input does not fit the model, ExampleMismatch naming the first difference.
    """
    reader = Inputs(session.signature, max_bytes=_MAX_BYTES, halves_in_json=True)
    samples = []
    for number, example in enumerate(document.examples):
        try:
            feeds = reader.read(example.inputs, memoryview(b""))
            given = session.run(feeds, [], Stop()).outputs
        except ServingError as error:
            raise _failure(f"example {number}", error) from error
        for tensor in example.outputs:
            spec = session.signature.output(tensor.name)
            if spec is None:
                message = f"example {number} expects output {tensor.name!r}; the model gives {sorted(given)}"
                raise VerbError(Reason.INVALID_EXAMPLES, message)
            expected = _read_expected(f"example {number}", tensor, spec, reader)
            place = f"example {number}, output {tensor.name!r}"
            if tensor.name not in given:
                raise VerbError(Reason.EXAMPLE_MISMATCH, f"{place}: the model gave none; it is optional")
            _compare(place, expected, given[tensor.name], spec.datatype, document.tolerance)
        samples.append(feeds)
    return samples


def write_examples(session: ModelSession, requests: Sequence[Mapping[str, np.ndarray]]) -> bytes:
    """Run requests and write them with their answers as a document."""
    signature = session.signature
    entries = []
    for feeds in requests:
        outputs = session.run(feeds, [], Stop()).outputs
        entries.append({"inputs": _write(signature.inputs, feeds), "outputs": _write(signature.outputs, outputs)})
    return msgspec.json.encode({"format": FORMAT, "examples": entries, "tolerance": TOLERANCE})


def _write(specs: Sequence[TensorSpec], arrays: Mapping[str, np.ndarray]) -> list[dict[str, object]]:
    return [
        {
            "name": spec.name,
            "datatype": spec.datatype,
            "shape": arrays[spec.name].shape,
            "data": msgspec.Raw(write_json(arrays[spec.name], spec.datatype, max_bytes=_MAX_BYTES)),
        }
        for spec in specs
        if spec.name in arrays
    ]


def _failure(place: str, error: ServingError) -> VerbError:
    """Tell a request that does not fit from a model that breaks on one that does."""
    if error.code is ErrorCode.MODEL_FAILED:
        return VerbError(Reason.INVALID_MODEL, f"{place}: the model failed: {str(error.__cause__)[:1000]}")
    return VerbError(Reason.INVALID_EXAMPLES, f"{place}: {error.message}")


def _read_expected(place: str, tensor: InputTensor, spec: TensorSpec, reader: Inputs) -> np.ndarray:
    try:
        return reader.read_one(tensor, spec, limit=_MAX_BYTES)
    except ServingError as error:
        message = f"{place}, expected output: {error.message.replace('input ', 'tensor ', 1)}"
        raise VerbError(Reason.INVALID_EXAMPLES, message) from error


def _compare(place: str, expected: np.ndarray, found: np.ndarray, datatype: str, tolerance: float) -> None:
    if found.shape != expected.shape:
        message = f"{place}: shape {list(found.shape)}, expected {list(expected.shape)}"
        raise VerbError(Reason.EXAMPLE_MISMATCH, message)
    expected, found = _comparable(expected, datatype), _comparable(found, datatype)
    if datatype in FLOATS:
        tolerance = max(tolerance, _ROUNDING.get(datatype, 0.0))
        close = np.isclose(found, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
    else:
        close = np.asarray(found == expected)
    if not close.all():
        where = int(np.flatnonzero(~close.ravel())[0])
        left, right = found.ravel()[where], expected.ravel()[where]
        message = f"{place}: element {where} is {left}, expected {right} (tolerance {tolerance:g})"
        raise VerbError(Reason.EXAMPLE_MISMATCH, message)


def _comparable(array: np.ndarray, datatype: str) -> np.ndarray:
    """Give numbers as numbers, and texts as JSON has them."""
    if datatype == "BF16":
        return to_float32(array)
    if datatype == "BYTES":
        texts = [text.decode("utf-8", "replace") if isinstance(text, bytes) else text for text in array.ravel()]
        return np.array(texts, dtype=object).reshape(array.shape)
    return array
