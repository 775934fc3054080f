"""ONNX's own backend cases, and ONNX Runtime's answers to them."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

KINDS: Final = ("node", "simple", "pytorch-operator", "pytorch-converted")


@dataclass(frozen=True)
class Case:
    """A model with one set of inputs, as ONNX Runtime takes them, and what ONNX expects."""

    name: str
    content: bytes
    inputs: list[Any]
    outputs: list[Any]


def cases(kind: str) -> Iterator[Case]:
    """Give all cases of a kind."""
    with warnings.catch_warnings():
        # Some of them divide by zero to know what comes of it.
        warnings.simplefilter("ignore")
        found = load_model_tests(kind=kind)
    for case in sorted(found, key=lambda case: case.name):
        content = case.model.SerializeToString() if case.model else Path(case.model_dir, "model.onnx").read_bytes()
        for inputs, outputs in case.data_sets or _stored(case, content):
            yield Case(case.name, content, list(map(_plain, inputs)), list(map(_plain, outputs)))


def _plain(value: Any) -> Any:
    """Give an array, a list of arrays, or None, in whichever form a case has them."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value if value is None else np.asarray(value)


def _stored(case: TestCase, content: bytes) -> Iterator[tuple[list[Any], list[Any]]]:
    graph = onnx.load_from_string(content).graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    for folder in sorted(Path(case.model_dir).glob("test_data_set_*")):
        yield (
            [_read(folder / f"input_{n}.pb", value) for n, value in enumerate(inputs)],
            [_read(folder / f"output_{n}.pb", value) for n, value in enumerate(graph.output)],
        )


def _read(path: Path, value: onnx.ValueInfoProto) -> Any:
    if not path.is_file():
        return None
    if value.type.HasField("sequence_type"):
        return numpy_helper.to_list(onnx.SequenceProto.FromString(path.read_bytes()))
    return numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


def ask_onnx_runtime(case: Case) -> dict[str, Any] | str:
    """Give what ONNX Runtime answers by its own Python, by output; or why it does not."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    quiet = onnxruntime.RunOptions()
    quiet.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(case.content, options, providers=["CPUExecutionProvider"])
        names = [value.name for value in session.get_inputs()]
        given = dict(zip(names, case.inputs, strict=False))
        answers = session.run(None, given, quiet)
    except Exception as error:  # noqa: BLE001  # they share no base
        return str(error)[:200]
    return dict(zip([value.name for value in session.get_outputs()], answers, strict=True))
