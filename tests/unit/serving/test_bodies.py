"""What a body may be, packed and unpacked."""

import gzip
import zlib

import pytest

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.server.bodies import json_length, unpacked


def read(body: bytes, **headers: str) -> bytes:
    named = {key.replace("_", "-").encode(): value.encode() for key, value in headers.items()}
    return bytes(unpacked(body, named, max_bytes=100))


def test_a_body_is_taken_as_it_came() -> None:
    assert read(b"abc", content_type="application/json; charset=utf-8") == b"abc"
    assert read(b"abc") == b"abc"


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"hello", mtime=0)),
        ("x-gzip", gzip.compress(b"hello", mtime=0)),
        ("Deflate", zlib.compress(b"hello")),
    ],
)
def test_a_packed_body_is_unpacked(encoding: str, packed: bytes) -> None:
    assert read(packed, content_encoding=encoding) == b"hello"


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (gzip.compress(bytes(10**6), mtime=0), {"content_encoding": "gzip"}, ErrorCode.TOO_LARGE),
        (zlib.compress(bytes(10**6)), {"content_encoding": "deflate"}, ErrorCode.TOO_LARGE),
        (gzip.compress(b"hello", mtime=0)[:-3], {"content_encoding": "gzip"}, ErrorCode.INVALID_REQUEST),
        (gzip.compress(b"hello", mtime=0) + b"more", {"content_encoding": "gzip"}, ErrorCode.INVALID_REQUEST),
        (b"hello", {"content_encoding": "gzip"}, ErrorCode.INVALID_REQUEST),
        (b"hello", {"content_encoding": "br"}, ErrorCode.UNSUPPORTED_MEDIA),
        (b"hello", {"content_type": "text/plain"}, ErrorCode.UNSUPPORTED_MEDIA),
    ],
)
def test_a_body_out_of_bounds_is_refused(body: bytes, headers: dict[str, str], code: ErrorCode) -> None:
    with pytest.raises(ServingError) as caught:
        read(body, **headers)
    assert caught.value.code is code


@pytest.mark.parametrize("text", [b"", b"-1", b"1.5", b"9" * 11, b"x"])
def test_a_length_that_is_no_number_is_refused(text: bytes) -> None:
    with pytest.raises(ServingError, match="inference-header-content-length"):
        json_length({b"inference-header-content-length": text})


def test_the_length_of_the_json_is_read() -> None:
    assert json_length({b"inference-header-content-length": b"12"}) == 12
    assert json_length({}) is None


def test_a_body_of_json_is_not_read_as_a_tensor() -> None:
    assert json_length({b"inference-header-content-length": b"0"}) == 0
    with pytest.raises(ServingError, match="content-type says JSON"):
        json_length({b"inference-header-content-length": b"0", b"content-type": b"Application/JSON; charset=utf-8"})
