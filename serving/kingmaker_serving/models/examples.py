"""The examples document `kingmaker.dev/examples/v1`: inputs with expected outputs, run before a model serves."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from kingmaker_serving.errors import ErrorCode, Reason, ServingError, VerbError
from kingmaker_serving.models.session import ModelSession, Stop
from kingmaker_serving.protocol.messages import InferRequest, InputTensor
from kingmaker_serving.protocol.signature import Signature
from kingmaker_serving.protocol.tensors import read_inputs, read_tensor, write_outputs

FORMAT: Final = "kingmaker.dev/examples/v1"
MAX_EXAMPLES: Final = 100
TOLERANCE: Final = 1e-4
"""Relative and absolute, for numbers: processors round differently."""
_MAX_OUTPUT_BYTES: Final = 4 * 1024**2


class Example(msgspec.Struct):
    """One request and the answer that it must get."""

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
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
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
    samples = []
    for number, example in enumerate(document.examples):
        try:
            feeds = read_inputs(InferRequest(inputs=example.inputs), session.signature)
            given = session.run(feeds, [], Stop()).outputs
        except ServingError as error:
            raise _failure(f"example {number}", error) from error
        for tensor in example.outputs:
            _compare(f"example {number}", tensor, given, session.signature, document.tolerance)
        samples.append(feeds)
    return samples


def write_examples(session: ModelSession, requests: Sequence[Mapping[str, np.ndarray]]) -> bytes:
    """Run requests and write them with their answers as a document."""
    names = [spec.name for spec in session.signature.outputs]
    entries = []
    for feeds in requests:
        outputs = session.run(feeds, [], Stop()).outputs
        entries.append(
            {
                "inputs": write_outputs(feeds, list(feeds), session.signature.inputs, max_bytes=_MAX_OUTPUT_BYTES),
                "outputs": write_outputs(outputs, names, session.signature.outputs, max_bytes=_MAX_OUTPUT_BYTES),
            }
        )
    return msgspec.json.encode({"format": FORMAT, "examples": entries, "tolerance": TOLERANCE})


def _failure(place: str, error: ServingError) -> VerbError:
    """Tell a request that does not fit from a model that breaks on one that does."""
    if error.code is ErrorCode.MODEL_FAILED:
        return VerbError(Reason.INVALID_MODEL, f"{place}: the model failed: {str(error.__cause__)[:1000]}")
    return VerbError(Reason.INVALID_EXAMPLES, f"{place}: {error.message}")


def _compare(
    place: str, wanted: InputTensor, given: Mapping[str, np.ndarray], signature: Signature, tolerance: float
) -> None:
    spec = signature.output(wanted.name)
    if spec is None:
        message = f"{place} expects output {wanted.name!r}; the model gives {sorted(given)}"
        raise VerbError(Reason.INVALID_EXAMPLES, message)
    found = given[wanted.name]
    try:
        expected = read_tensor(wanted, spec)
    except ServingError as error:
        message = f"{place}, expected output: {error.message.replace('input ', 'tensor ', 1)}"
        raise VerbError(Reason.INVALID_EXAMPLES, message) from error
    place = f"{place}, output {wanted.name!r}"
    if found.shape != expected.shape:
        message = f"{place}: shape {list(found.shape)}, expected {list(expected.shape)}"
        raise VerbError(Reason.EXAMPLE_MISMATCH, message)
    if found.dtype.kind == "f":
        close = np.isclose(found, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
    else:
        close = np.asarray(found == expected)
    if not close.all():
        where = int(np.flatnonzero(~close.ravel())[0])
        left, right = found.ravel()[where], expected.ravel()[where]
        message = f"{place}: element {where} is {left}, expected {right} (tolerance {tolerance:g})"
        raise VerbError(Reason.EXAMPLE_MISMATCH, message)
