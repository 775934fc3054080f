"""How long a model takes, and whether several requests may run as one: measured when it is loaded."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from statistics import median
from typing import Final

import numpy as np

from kingmaker_serving.errors import ServingError
from kingmaker_serving.models.session import ModelSession, Stop
from kingmaker_serving.protocol.signature import NUMPY, Signature, TensorSpec

ROWS: Final = 16
"""Rows of the run that is compared with as many runs of one."""
_RUNS: Final = 9
_PATIENCE_SECONDS: Final = 0.25
"""A model that takes this long for one row needs no more measuring."""
_LIMIT_SECONDS: Final = 2.0
"""Of all measuring."""
_GAIN: Final = 0.9
_CLOSE: Final = 1e-5
"""Relative and absolute: kernels for more rows add up in another order."""
_LARGEST_ELEMENTS: Final = 2**22
Feeds = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of a run of one row and of each further row; whether rows of several requests may run together."""

    first: float
    further: float
    is_batchable: bool

    def seconds(self, rows: int) -> float:
        """Estimate a run."""
        return self.first + self.further * (rows - 1)


UNKNOWN: Final = Pace(float("inf"), float("inf"), is_batchable=False)
"""Of a model that could not be asked anything without knowing more of it."""


def measure(session: ModelSession, samples: Sequence[Feeds]) -> Pace:
    """Run a loaded model a few times. Warms it up, too.

    Args:
        session: The model.
        samples: Requests that it is known to answer; without any they are made up from the signature.
    """
    stop = Stop()
    limit = threading.Timer(_LIMIT_SECONDS, stop.ask)
    limit.start()
    try:
        return _measure(session, samples, stop)
    except (ServingError, ValueError):
        return UNKNOWN
    finally:
        limit.cancel()


def _measure(session: ModelSession, samples: Sequence[Feeds], stop: Stop) -> Pace:
    signature = session.signature
    rows = _rows(samples, signature) if _is_free(signature) else []
    if not rows:
        feeds = samples[0] if samples else made_up(signature, 0)
        return Pace(_time(session, feeds, stop), 0.0, is_batchable=False)
    first = _time(session, rows[0], stop)
    if first > _PATIENCE_SECONDS:
        return Pace(first, first, is_batchable=False)
    together = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    many = _time(session, together, stop)
    is_batchable = many < _GAIN * first * ROWS and _is_rowwise(session, rows, together, stop)
    return Pace(first, max(0.0, (many - first) / (ROWS - 1)), is_batchable)


def _time(session: ModelSession, feeds: Feeds, stop: Stop) -> float:
    names = [spec.name for spec in session.signature.outputs]
    times: list[float] = []
    end = time.perf_counter() + _PATIENCE_SECONDS
    for _ in range(_RUNS):
        times.append(session.run(feeds, names, stop).seconds)
        if time.perf_counter() > end:
            break
    return median(times)


def _is_free(signature: Signature) -> bool:
    """Whether every tensor's first dimension, and no other one, is the number of rows as far as the signature tells."""
    inputs, outputs = signature.inputs, signature.outputs
    return bool(inputs) and all(spec.shape and spec.shape[0] == -1 for spec in (*inputs, *outputs))


def _rows(samples: Sequence[Feeds], signature: Signature) -> list[Feeds]:
    """Give `ROWS` requests of one row, as different from each other as there are."""
    known = [
        {name: array[row : row + 1] for name, array in feeds.items()} for feeds in samples for row in _count(feeds)
    ]
    if not known:
        try:
            known = [made_up(signature, row) for row in range(ROWS)]
        except ValueError:
            return []
    forms = [{name: array.shape for name, array in row.items()} for row in known]
    alike = [row for row, form in zip(known, forms, strict=True) if form == forms[0]]
    return [alike[index % len(alike)] for index in range(ROWS)]


def _count(feeds: Feeds) -> range:
    lengths = {len(array) if array.ndim else 0 for array in feeds.values()}
    return range(min(lengths.pop(), ROWS)) if len(lengths) == 1 else range(0)


def made_up(signature: Signature, row: int) -> dict[str, np.ndarray]:
    """Make a request of one row from the signature alone; optional inputs are left out.

    Args:
        signature: Of the model.
        row: Which one of several that differ.

    Raises:
        ValueError: An input is too large.
    """
    return {spec.name: _values(spec, row) for spec in signature.inputs if not spec.optional}


def _values(spec: TensorSpec, row: int) -> np.ndarray:
    """Make up values that differ from row to row."""
    shape = tuple(1 if size == -1 else size for size in spec.shape)
    count = prod(shape)
    if count > _LARGEST_ELEMENTS:
        message = f"{spec} is too large to be made up"
        raise ValueError(message)
    if spec.datatype == "BYTES":
        array = np.empty(shape, dtype=object)
        array[...] = f"a{row}"
        return array
    # Sines of large steps: spread as if drawn, without the 2 MiB of a generator.
    numbers: np.ndarray = np.sin(12.9898 * (np.arange(count) + 1) * (row + 1)).reshape(shape)
    dtype = NUMPY[spec.datatype]
    return numbers.astype(dtype) if dtype.kind == "f" else (numbers > 0).astype(dtype)


def _is_rowwise(session: ModelSession, rows: Sequence[Feeds], together: Feeds, stop: Stop) -> bool:
    """Whether a row's answer is the same alone and among others."""
    names = [spec.name for spec in session.signature.outputs]
    many = session.run(together, names, stop).outputs
    if any(not array.ndim or len(array) != ROWS for array in many.values()):
        return False
    for index, row in enumerate(rows):
        alone = session.run(row, names, stop).outputs
        for name, array in alone.items():
            if not _same(array, many[name][index : index + 1]):
                return False
    return True


def _same(left: np.ndarray, right: np.ndarray) -> bool:
    if left.shape != right.shape:
        return False
    if left.dtype.kind == "f":
        return bool(np.allclose(left, right, rtol=_CLOSE, atol=_CLOSE, equal_nan=True))
    return bool((left == right).all())
