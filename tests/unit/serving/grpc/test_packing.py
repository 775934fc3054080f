"""Messages in their wrapping, and errors in trailers."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.grpc.packing import PREFIX, PREFIX_BYTES, pack, read_prefix, unpack
from kingmaker_serving.grpc.status import STATUSES, Status, trailers


@given(st.binary(max_size=2000), st.sampled_from([b"identity", b"gzip", b"deflate", b"unknown"]))
def test_what_is_packed_is_what_comes_out(message: bytes, encoding: bytes) -> None:
    content = pack(message, encoding)
    is_packed, size = read_prefix(content, max_bytes=3000)
    assert size == len(content) - PREFIX_BYTES
    held = content[PREFIX_BYTES:]
    assert (unpack(held, encoding, max_bytes=2000) if is_packed else held) == message
    assert is_packed == (len(message) >= 256 and encoding in {b"gzip", b"deflate"})


def refused(content: bytes, encoding: bytes = b"gzip") -> ServingError:
    with pytest.raises(ServingError) as caught:
        unpack(content, encoding, max_bytes=1000)
    return caught.value


def test_a_bomb_is_not_unpacked() -> None:
    """A hundred megabytes of nothing in a hundred kilobytes."""
    error = refused(gzip.compress(bytes(100 * 1024**2)))
    assert (error.code, "more than 1000 bytes" in error.message) == (ErrorCode.TOO_LARGE, True)


@pytest.mark.parametrize(
    ("content", "encoding", "code"),
    [
        (b"not gzip", b"gzip", ErrorCode.INVALID_REQUEST),
        (gzip.compress(b"x")[:-1], b"gzip", ErrorCode.INVALID_REQUEST),
        (gzip.compress(b"x") + b"y", b"gzip", ErrorCode.INVALID_REQUEST),
        (zlib.compress(b"x"), b"gzip", ErrorCode.INVALID_REQUEST),
        (b"x", b"snappy", ErrorCode.UNSUPPORTED_MEDIA),
        (b"x", b"identity", ErrorCode.UNSUPPORTED_MEDIA),
    ],
    ids=["no gzip", "cut off", "more after it", "deflate as gzip", "unknown", "packed without a packing"],
)
def test_what_can_not_be_unpacked(content: bytes, encoding: bytes, code: ErrorCode) -> None:
    assert refused(content, encoding).code is code


def test_a_message_over_the_limit_is_refused_by_its_length_alone() -> None:
    with pytest.raises(ServingError, match="4294967295 bytes") as caught:
        read_prefix(PREFIX.pack(0, 2**32 - 1), max_bytes=16)
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_unknown_flags() -> None:
    with pytest.raises(ServingError, match="flag 2"):
        read_prefix(PREFIX.pack(2, 1), max_bytes=16)


def test_every_error_has_a_status() -> None:
    assert set(STATUSES) == set(ErrorCode)
    bugs = {code for code, status in STATUSES.items() if status is Status.INTERNAL}
    assert bugs == {ErrorCode.INTERNAL, ErrorCode.MODEL_FAILED}


def test_errors_are_told_in_ascii() -> None:
    found = trailers(ServingError(ErrorCode.INVALID_TENSOR, "100 % of «ü»\n"))
    assert found == [(b"grpc-status", b"3"), (b"grpc-message", b"100 %25 of %C2%AB%C3%BC%C2%BB%0A")]


def test_who_may_try_again_is_told_when() -> None:
    found = dict(trailers(ServingError(ErrorCode.OVERLOADED, "full", retry_seconds=2)))
    assert (found[b"grpc-status"], found[b"grpc-retry-pushback-ms"]) == (b"14", b"2000")
