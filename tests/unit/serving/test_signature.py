"""What a model takes and gives: shapes that fit, promises that hold, and numbers of sixteen bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kingmaker_serving.errors import VerbError
from kingmaker_serving.protocol.bfloat16 import from_float32, to_float32
from kingmaker_serving.protocol.signature import Signature, TensorSpec, check_signature

X = TensorSpec("x", "FP32", (-1, 3))


@pytest.mark.parametrize(
    ("wanted", "shape", "reason"),
    [
        ((-1, 3), (5, 3), ""),
        ((-1, 3), (0, 3), ""),
        ((0,), (0,), ""),
        ((0,), (1,), "dimension 0 must be 0, got 1"),
        ((-1, 3), (5, 4), "dimension 1 must be 3, got 4"),
        ((-1, 3), (5,), "2 dimensions expected, got 1"),
        ((-1, 3), (), "2 dimensions expected, got 0"),
        ((-1,), (-1,), "no dimension may be negative"),
        ((), (), ""),
        ((), (2, 3), ""),
        ((), (2, -3), "no dimension may be negative"),
    ],
)
def test_a_shape_fits_as_onnx_runtime_takes_it(wanted: tuple[int, ...], shape: tuple[int, ...], reason: str) -> None:
    assert TensorSpec("x", "FP32", wanted).mismatch(shape) == reason


def test_an_input_that_may_be_left_out_needs_no_promise() -> None:
    extra = TensorSpec("mask", "BOOL", (-1,), optional=True)
    check_signature(Signature((X,), (X,)), Signature((X, extra), (X,)))
    with pytest.raises(VerbError, match="output 'mask' of the file is not in the signature"):
        check_signature(Signature((X,), (X,)), Signature((X,), (X, extra)))


def test_class_names_are_no_part_of_a_promise() -> None:
    named = TensorSpec("x", "FP32", (-1, 3), classes=("a", "b", "c"))
    check_signature(Signature((X,), (X,)), Signature((X,), (named,)))


def test_required_are_the_inputs_without_which_nothing_runs() -> None:
    signature = Signature((X, TensorSpec("mask", "BOOL", (-1,), optional=True)), (X,))
    assert signature.required == {"x"}
    assert signature.input("mask") is not None


@given(hnp.arrays(np.uint16, st.integers(0, 50)))
def test_sixteen_bits_are_read_and_written_again_as_they_were(bits: np.ndarray) -> None:
    numbers = to_float32(bits)
    is_number = ~np.isnan(numbers)
    assert (from_float32(numbers)[is_number] == bits[is_number]).all()
    assert np.isnan(to_float32(from_float32(numbers)[~is_number])).all()


@given(hnp.arrays(np.float32, st.integers(0, 50), elements=st.floats(width=32, allow_nan=False)))
def test_a_number_becomes_the_nearest_of_sixteen_bits(numbers: np.ndarray) -> None:
    bits = from_float32(numbers)
    near = to_float32(bits).astype(np.float64)
    for step in (-1, 1):
        neighbours = to_float32((bits.astype(np.int32) + step).astype(np.uint16))
        other = np.where(np.isnan(neighbours), np.float32(0), neighbours).astype(np.float64)
        both = ~np.isnan(neighbours) & np.isfinite(near) & np.isfinite(other)
        assert (np.abs(near[both] - numbers[both]) <= np.abs(other[both] - numbers[both])).all()


def test_a_number_beyond_the_largest_is_infinite() -> None:
    assert to_float32(from_float32(np.array([3.4e38, -3.4e38, 1.0], np.float32))).tolist() == [np.inf, -np.inf, 1.0]
