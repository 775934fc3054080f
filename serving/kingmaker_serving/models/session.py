"""One ONNX model in ONNX Runtime: loaded from verified bytes, its signature discovered, run with a way to stop it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import onnxruntime

from kingmaker_serving.errors import Reason, ServingError, VerbError
from kingmaker_serving.models.carriers import Carrier, Half, Value, carrier_of
from kingmaker_serving.models.external import embed, offer
from kingmaker_serving.models.onnxfile import OnnxFile, inspect, no_model
from kingmaker_serving.models.plain import Classes, Plain, make_plain
from kingmaker_serving.models.refusals import out_of_time, refused_load, refused_run
from kingmaker_serving.models.texts import put_back, stand_in
from kingmaker_serving.models.wire import edited
from kingmaker_serving.protocol.signature import Signature, TensorSpec

_FATAL_ONLY: Final = 4
_NO_FILES: Final[Mapping[str, bytes]] = {}


class Stop:
    """Ends a run from another thread, whether it has begun or not."""

    __slots__ = ("is_asked", "options")

    def __init__(self) -> None:
        """Begin as not stopped."""
        self.is_asked = False
        """Whether the run is to end."""
        self.options = onnxruntime.RunOptions()
        # ONNX Runtime would write a line per failed run to stderr; who asked gets the error, and the log one line.
        self.options.log_severity_level = _FATAL_ONLY

    def ask(self) -> None:
        """Make the run end at its next operator."""
        self.is_asked = True
        self.options.terminate = True


# Not frozen: that would cost a microsecond per request.
@dataclass(slots=True)
class Execution:
    """What a run gave: outputs by name, and the seconds that the model alone took."""

    outputs: dict[str, np.ndarray]
    """Those that were asked for, in that order, apart from optional ones that have no value."""
    seconds: float


class ModelSession:
    """A loaded model. `run` may be called from several threads at once."""

    def __init__(self, content: bytes, *, files: Mapping[str, bytes] = _NO_FILES, threads: int = 1) -> None:
        """Load a model from its bytes.

        Args:
            content: The file, digest already compared.
            files: Those that hold its external data, by path relative to it, likewise. Needed while it loads only.
            threads: Threads that one run may use, >= 1.

        Raises:
            VerbError: InvalidModel, with what ONNX Runtime says or which tensor the protocol can't carry.
        """
        self.file: OnnxFile = inspect(content, files)
        plain, self._replaced = _prepare(content, self.file, files)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # What is wrong comes as an exception, which says it once and in one line.
        options.log_severity_level = _FATAL_ONLY
        # Spinning workers burn a core that a neighbour on the node could use.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            offer(options, self.file, files)
            session = onnxruntime.InferenceSession(plain.content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base of their own
            raise refused_load(error) from error
        self._session = session
        takes = [_carried("input", node) for node in session.get_inputs()]
        # What a file gives a value for, and lets a request give another.
        takes += [_optional(_carried("input", node)) for node in session.get_overridable_initializers()]
        gives = [_carried("output", node) for node in session.get_outputs()]
        self._readers = [value for value in takes if not isinstance(value, TensorSpec)]
        self._writers = {value.name: value for value in gives if not isinstance(value, TensorSpec)}
        self._sources = {spec.name: value.name for value in gives for spec in _specs(value)}
        self.signature = Signature(
            inputs=tuple(spec for value in takes for spec in _specs(value)),
            outputs=tuple(_named(spec, plain.classes) for value in gives for spec in _specs(value)),
        )
        may_lack = any(spec.optional for spec in self.signature.outputs)
        self._is_plain = not self._readers and not self._writers and not may_lack
        self._outputs = [spec.name for spec in self.signature.outputs]
        self._texts = {spec.name for spec in self.signature.outputs if spec.datatype == "BYTES"}
        _check_names(self.signature)

    def run(self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str], stop: Stop) -> Execution:
        """Run the model once.

        Args:
            feeds: One array per input that is not optional, of the input's dtype.
            outputs: Names of the outputs to compute; none means all.
            stop: Ends the run from another thread.

        Raises:
            ServingError: INVALID_TENSOR when the model refuses the inputs, DEADLINE when stopped, else MODEL_FAILED.
        """
        names = list(outputs) or self._outputs
        if stop.is_asked:
            raise out_of_time()
        begin = time.perf_counter()
        try:
            if self._is_plain:
                found = dict(zip(names, self._session.run(names, feeds, stop.options), strict=True))
            else:
                found = self._run_carried(feeds, names, stop)
        except ServingError:
            raise
        except Exception as error:
            if stop.is_asked:
                raise out_of_time() from error
            raise refused_run(error, feeds, self.signature) from error
        if self._replaced:
            found |= {name: put_back(found[name], self._replaced) for name in self._texts.intersection(found)}
        return Execution(found, time.perf_counter() - begin)

    def _run_carried(self, feeds: Mapping[str, np.ndarray], names: Sequence[str], stop: Stop) -> dict[str, np.ndarray]:
        """Run a model that takes or gives something else than tensors."""
        given: dict[str, Value] = dict(feeds)
        for reader in self._readers:
            value = reader.read(feeds)
            for spec in reader.specs:
                given.pop(spec.name, None)
            given[reader.name] = value
        sources = list(dict.fromkeys(self._sources[name] for name in names))
        found: dict[str, np.ndarray] = {}
        for source, value in zip(sources, self._compute(given, sources, stop), strict=True):
            writer = self._writers.get(source)
            if writer is not None:
                found |= writer.write(value)
            elif value is not None:
                found[source] = value
        return {name: found[name] for name in names if name in found}

    def _compute(self, given: Mapping[str, Value], sources: Sequence[str], stop: Stop) -> Sequence[Value]:
        halves = {source for source in sources if isinstance(self._writers.get(source), Half)}
        if not halves:
            return list(self._session.run(sources, given, stop.options))
        make = onnxruntime.OrtValue.ortvalue_from_numpy
        values = {name: make(value) if isinstance(value, np.ndarray) else value for name, value in given.items()}
        answers = self._session.run_with_ort_values(sources, values, stop.options)
        return [value if source in halves else value.numpy() for source, value in zip(sources, answers, strict=True)]


def _prepare(content: bytes, found: OnnxFile, files: Mapping[str, bytes]) -> tuple[Plain, dict[str, bytes]]:
    """Change a file in memory so that ONNX Runtime opens no other one, and answers with what the protocol carries."""
    try:
        edits, replaced = stand_in(content, found.odd_texts)
        edits |= embed(content, found, files)
        return make_plain(edited(content, edits) if edits else content), replaced
    except (ValueError, IndexError) as error:
        raise no_model(error) from error


def _carried(side: str, node: Any) -> Carrier | TensorSpec:  # noqa: ANN401  # ONNX Runtime has no types
    # A size below 0 is how some exporters write: any.
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in node.shape)
    return carrier_of(side, node.name, node.type, shape)


def _specs(value: Carrier | TensorSpec) -> tuple[TensorSpec, ...]:
    return (value,) if isinstance(value, TensorSpec) else value.specs


def _optional(value: Carrier | TensorSpec) -> Carrier | TensorSpec:
    return msgspec.structs.replace(value, optional=True) if isinstance(value, TensorSpec) else value


def _named(spec: TensorSpec, classes: Mapping[str, Classes]) -> TensorSpec:
    """Say what the columns of probabilities are; their number follows, where the file leaves it open."""
    names = classes.get(spec.name, ())
    if not names:
        return spec
    shape = (-1, len(names)) if spec.shape in {(), (-1, -1)} else spec.shape
    return msgspec.structs.replace(spec, shape=shape, classes=names)


def _check_names(signature: Signature) -> None:
    for side, specs in (("input", signature.inputs), ("output", signature.outputs)):
        names = [spec.name for spec in specs]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            message = f"two {side}s of the model come to the same names {twice}; rename one of them"
            raise VerbError(Reason.INVALID_MODEL, message)
