"""One ONNX model in ONNX Runtime: loaded from verified bytes, its signature discovered, run with a way to stop it."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnxruntime

from kingmaker_serving.errors import ErrorCode, Reason, ServingError, VerbError
from kingmaker_serving.models.onnxfile import OnnxFile, inspect
from kingmaker_serving.protocol.signature import Signature, TensorSpec

logger = logging.getLogger(__name__)

_DATATYPES: Final = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
_ERRORS_ONLY: Final = 3
_FATAL_ONLY: Final = 4


class Stop:
    """Ends a run from another thread, whether it has begun or not."""

    def __init__(self) -> None:
        """Begin as not stopped."""
        self.options = onnxruntime.RunOptions()
        # ONNX Runtime would write a line per failed run to stderr; who asked gets the error, and the log one line.
        self.options.log_severity_level = _FATAL_ONLY
        self._asked = threading.Event()

    def ask(self) -> None:
        """Make the run end at its next operator."""
        self._asked.set()
        self.options.terminate = True

    @property
    def is_asked(self) -> bool:
        """Whether the run is to end."""
        return self._asked.is_set()


@dataclass(frozen=True, slots=True)
class Execution:
    """What a run gave: outputs by name, and the seconds that the model alone took."""

    outputs: dict[str, np.ndarray]
    seconds: float


class ModelSession:
    """A loaded model. `run` may be called from several threads at once."""

    def __init__(self, content: bytes, *, threads: int = 1) -> None:
        """Load a model from its bytes.

        Args:
            content: The file, digest already compared.
            threads: Threads that one run may use, >= 1.

        Raises:
            VerbError: InvalidModel, with what ONNX Runtime says or which tensor the protocol can't carry.
        """
        self.file: OnnxFile = inspect(content)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        # Spinning workers burn a core that a neighbour on the node could use.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base of their own
            message = f"ONNX Runtime {onnxruntime.__version__} can't load the model: {str(error)[:1500]}"
            raise VerbError(Reason.INVALID_MODEL, message) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self.signature = Signature(
            inputs=tuple(_spec("input", node.name, node.type, node.shape) for node in inputs),
            outputs=tuple(_spec("output", node.name, node.type, node.shape) for node in outputs),
        )
        self.symbols = {
            node.name: tuple(size if isinstance(size, str) else "" for size in node.shape) for node in inputs
        }
        """Names of the free dimensions per input, empty where the file gives none; equal names mean equal sizes."""

    def run(self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str], stop: Stop) -> Execution:
        """Run the model once.

        Args:
            feeds: One array per input, of the input's dtype.
            outputs: Names of the outputs to compute; none means all.
            stop: Ends the run from another thread.

        Raises:
            ServingError: INVALID_TENSOR when the model refuses the inputs, DEADLINE when stopped, else MODEL_FAILED.
        """
        names = list(outputs) or [spec.name for spec in self.signature.outputs]
        if stop.is_asked:
            raise _out_of_time()
        begin = time.perf_counter()
        try:
            values = self._session.run(names, dict(feeds), stop.options)
        except Exception as error:
            raise _refusal(error, feeds, stop) from error
        seconds = time.perf_counter() - begin
        return Execution(dict(zip(names, values, strict=True)), seconds)


def _spec(side: str, name: str, kind: str, shape: Sequence[int | str | None]) -> TensorSpec:
    if kind.startswith("seq(map("):
        message = (
            f"{side} {name!r} is a sequence of maps, which the protocol can't carry; "
            "convert with options={id(model): {'zipmap': False}} so that probabilities are one FP32 tensor"
        )
        raise VerbError(Reason.INVALID_MODEL, message)
    datatype = _DATATYPES.get(kind)
    if datatype is None:
        message = f"{side} {name!r} is a {kind}, which the protocol can't carry; export it as a plain tensor"
        raise VerbError(Reason.INVALID_MODEL, message)
    return TensorSpec(name, datatype, tuple(size if isinstance(size, int) and size >= 0 else -1 for size in shape))


def _refusal(error: Exception, feeds: Mapping[str, np.ndarray], stop: Stop) -> ServingError:
    if stop.is_asked:
        return _out_of_time()
    rows = {array.shape[0] for array in feeds.values() if array.ndim}
    if type(error).__name__ == "InvalidArgument" or len(rows) > 1:
        shapes = ", ".join(f"{name!r} {list(array.shape)}" for name, array in feeds.items())
        message = f"the model refuses inputs of these shapes: {shapes}; expected the same number of rows in each"
        return ServingError(ErrorCode.INVALID_TENSOR, message)
    logger.error("the model failed", extra={"error": str(error)[:500]})
    return ServingError(ErrorCode.MODEL_FAILED, "the model failed on these inputs; the server's log says why")


def _out_of_time() -> ServingError:
    return ServingError(ErrorCode.DEADLINE, "the model did not answer in time; send fewer rows, or allow more time")
