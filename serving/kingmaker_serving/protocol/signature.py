"""What a model takes and gives, and which output means what. Read from arguments, written to replies."""

from enum import StrEnum
from typing import Final

import msgspec
import numpy as np
from typing_extensions import override

from kingmaker_serving.errors import Reason, VerbError

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
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(object),
}
"""Element types that have a JSON form, and how they are held. BYTES are `str` objects."""

FLOATS: Final = frozenset({"FP32", "FP64"})


class TensorSpec(msgspec.Struct, frozen=True):
    """One input or output; -1 in `shape` is any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @override
    def __str__(self) -> str:
        """Write it as errors and logs do: `features FP32 [-1, 30]`."""
        return f"{self.name} {self.datatype} {list(self.shape)}"


class Signature(msgspec.Struct, frozen=True):
    """The tensors of a model, in its order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def input(self, name: str) -> TensorSpec | None:
        """Find an input by name."""
        return next((spec for spec in self.inputs if spec.name == name), None)

    def output(self, name: str) -> TensorSpec | None:
        """Find an output by name."""
        return next((spec for spec in self.outputs if spec.name == name), None)


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
    except (msgspec.MsgspecError, ValueError) as error:
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
    except msgspec.MsgspecError as error:
        message = f"signature can't be read: {error}; expected inputs and outputs with name, datatype and shape"
        raise VerbError(Reason.SIGNATURE_MISMATCH, message) from error


def check_signature(wanted: Signature, found: Signature) -> None:
    """Compare what a Model promises with what its file has; names, datatypes and shapes must be equal, order may not.

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
            elif other != spec:
                wrong.append(f"{side} {spec.name!r} is {other.datatype} {list(other.shape)} in the file, not {spec}")
        wrong += [f"{side} {name!r} of the file is not in the signature" for name in have if name not in promised]
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
