"""What a model takes and gives, and which output means what. Read from arguments, written to replies."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Final

import msgspec
import numpy as np
from typing_extensions import override

from kingmaker_serving.errors import NOT_JSON, Reason, VerbError

NUMPY: Final[dict[str, np.dtype]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "BF16": np.dtype(np.uint16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(object),
}
"""The protocol's element types, and how they are held. BYTES are `str` objects; in outputs those that are not UTF-8 are
`bytes`. BF16 is held as its bits, since numpy has no such type: `protocol.bfloat16` reads them as numbers."""

FLOATS: Final = frozenset({"FP16", "BF16", "FP32", "FP64"})


class TensorSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """One input or output.

    -1 in `shape` is any size. A `shape` without dimensions is any shape, as ONNX Runtime takes it: for a scalar, and
    for a tensor of which the file tells no shape.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    optional: bool = False
    """A request may leave this input out; a reply may lack this output."""
    classes: tuple[int | str, ...] = ()
    """What the columns of a classifier's probabilities stand for, in their order; empty where the file does not say."""

    def mismatch(self, shape: Sequence[int]) -> str:
        """Say why a tensor of this shape is none of these; empty when it is one.

        >>> TensorSpec("x", "FP32", (-1, 30)).mismatch([0, 29])
        'dimension 1 must be 30, got 29'
        """
        wanted = self.shape
        if min(shape, default=0) < 0:
            return "no dimension may be negative"
        if wanted and len(shape) != len(wanted):
            return f"{len(wanted)} dimensions expected, got {len(shape)}"
        for index, want in enumerate(wanted):
            if want != -1 and want != shape[index]:  # not `in`: this is asked of every request
                return f"dimension {index} must be {want}, got {shape[index]}"
        return ""

    @override
    def __str__(self) -> str:
        """Write it as errors and logs do: `features FP32 [-1, 30]`."""
        return f"{self.name} {self.datatype} {list(self.shape)}"


class Signature(msgspec.Struct, frozen=True, dict=True):
    """The tensors of a model, in its order. A request has no more inputs and asks for no more outputs than these."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @cached_property
    def input_specs(self) -> Mapping[str, TensorSpec]:
        """Inputs by name."""
        return {spec.name: spec for spec in self.inputs}

    @cached_property
    def output_specs(self) -> Mapping[str, TensorSpec]:
        """Outputs by name."""
        return {spec.name: spec for spec in self.outputs}

    @cached_property
    def required(self) -> frozenset[str]:
        """Names of the inputs that every request must have."""
        return frozenset(spec.name for spec in self.inputs if not spec.optional)

    def input(self, name: str) -> TensorSpec | None:
        """Find an input by name."""
        return self.input_specs.get(name)

    def output(self, name: str) -> TensorSpec | None:
        """Find an output by name."""
        return self.output_specs.get(name)


class TaskType(StrEnum):
    """What kind of answer a model gives."""

    CLASSIFICATION = "Classification"
    REGRESSION = "Regression"


class Task(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """Which output holds the answer and which the probabilities; from what error on a regression is wrong."""

    type: TaskType
    label: str
    score: str | None = None
    error_tolerance: str | None = None

    @property
    def tolerance(self) -> float:
        """Largest absolute error of a right answer; 0 for a classification."""
        return float(self.error_tolerance or 0)


def read_task(text: str) -> Task:
    """Read `--task`.

    Raises:
        VerbError: Not a task; the message says what is wrong with it.
    """
    try:
        task = msgspec.json.decode(text, type=Task)
        if task.type is TaskType.REGRESSION and not (task.error_tolerance and 0 <= task.tolerance < float("inf")):
            raise ValueError("a Regression needs errorTolerance, a decimal of at least 0 as a string")
    except (*NOT_JSON, ValueError) as error:
        message = f'task {text[:200]} can\'t be read: {error}; expected {{"type": "Classification", "label": "..."}}'
        raise VerbError(Reason.SIGNATURE_MISMATCH, message) from error
    return task


def read_signature(text: str) -> Signature:
    """Read `--signature`.

    Raises:
        VerbError: Not a signature.
    """
    try:
        return msgspec.json.decode(text, type=Signature)
    except NOT_JSON as error:
        message = f"signature can't be read: {error}; expected inputs and outputs with name, datatype and shape"
        raise VerbError(Reason.SIGNATURE_MISMATCH, message) from error


def check_signature(wanted: Signature, found: Signature) -> None:
    """Compare what a Model promises with what its file has; names, datatypes and shapes must be equal, order may not.

    Inputs that a request may leave out need no promise.

    Raises:
        VerbError: SignatureMismatch, naming every tensor that differs.
    """
    wrong: list[str] = []
    for side, left, right in (("input", wanted.inputs, found.inputs), ("output", wanted.outputs, found.outputs)):
        have = {spec.name: spec for spec in right}
        promised = {spec.name for spec in left}
        for spec in left:
            other = have.get(spec.name)
            if other is None:
                wrong.append(f"{side} {spec.name!r} is not in the file, which has {sorted(have)}")
            elif (other.datatype, other.shape) != (spec.datatype, spec.shape):
                wrong.append(f"{side} {spec.name!r} is {other.datatype} {list(other.shape)} in the file, not {spec}")
        lacking = (spec.name for spec in right if spec.name not in promised and not (side == "input" and spec.optional))
        wrong += [f"{side} {name!r} of the file is not in the signature" for name in lacking]
    if wrong:
        message = "; ".join(wrong) + ". Correct spec.signature, or leave it out to have it discovered"
        raise VerbError(Reason.SIGNATURE_MISMATCH, message)


def check_task(task: Task, signature: Signature) -> None:
    """Check that the outputs that a task names exist and can be judged.

    Raises:
        VerbError: SignatureMismatch.
    """
    names = [spec.name for spec in signature.outputs]
    for role, name in (("label", task.label), ("score", task.score)):
        if name is not None and name not in names:
            message = f"task.{role} is {name!r}, but the model's outputs are {names}; name one of these"
            raise VerbError(Reason.SIGNATURE_MISMATCH, message)
    label = signature.output(task.label)
    if task.type is TaskType.REGRESSION and label is not None and label.datatype in {"BYTES", "BOOL"}:
        message = f"task.label is {label}, but a Regression needs a numeric output"
        raise VerbError(Reason.SIGNATURE_MISMATCH, message)
