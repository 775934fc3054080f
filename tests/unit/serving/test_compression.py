"""Bodies packed and unpacked."""

import gzip
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.protocol.compression import MIN_BYTES, choose, pack, unpack

TEXT = b"0.25," * 1000
PACKED = gzip.compress(TEXT, mtime=0)


def bare(body: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(body) + deflate.flush()


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        (b"", TEXT),
        (b" Identity ", TEXT),
        (b"gzip", PACKED),
        (b"X-GZIP", PACKED),
        (b"deflate", zlib.compress(TEXT)),
        (b"deflate", bare(TEXT)),
    ],
    ids=["nothing", "identity", "gzip", "x-gzip", "deflate", "deflate without zlib's wrapper"],
)
def test_a_body_is_unpacked(encoding: bytes, packed: bytes) -> None:
    assert unpack(packed, encoding, len(TEXT)) == TEXT


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_deflate_is_read_with_and_without_wrapper(body: bytes) -> None:
    assert unpack(bare(body), b"deflate", 200) == body
    assert unpack(zlib.compress(body, 1), b"deflate", 200) == body


@pytest.mark.parametrize(
    ("body", "encoding", "code", "words"),
    [
        (gzip.compress(bytes(10**7), mtime=0), b"gzip", ErrorCode.TOO_LARGE, "more than 5000 bytes once unpacked"),
        (zlib.compress(bytes(10**7)), b"deflate", ErrorCode.TOO_LARGE, "more than 5000 bytes"),
        (bare(bytes(10**7)), b"deflate", ErrorCode.TOO_LARGE, "more than 5000 bytes"),
        (PACKED[:-3], b"gzip", ErrorCode.INVALID_REQUEST, "gzip body is cut off"),
        (PACKED * 2, b"gzip", ErrorCode.INVALID_REQUEST, "something after its end"),
        (zlib.compress(TEXT)[:-3], b"deflate", ErrorCode.INVALID_REQUEST, "deflate body is cut off"),
        (b"{}", b"gzip", ErrorCode.INVALID_REQUEST, "not gzip, which content-encoding says"),
        (b'{"inputs": []}', b"deflate", ErrorCode.INVALID_REQUEST, "deflate"),
        (b"", b"gzip", ErrorCode.INVALID_REQUEST, "cut off"),
        (b"", b"deflate", ErrorCode.INVALID_REQUEST, "cut off"),
        (b"{}", b"br", ErrorCode.UNSUPPORTED_MEDIA, "'br' is not read; use gzip, deflate or none"),
        (b"{}", b"gzip, gzip", ErrorCode.UNSUPPORTED_MEDIA, "is not read"),
    ],
)
def test_what_can_not_be_unpacked_is_refused(body: bytes, encoding: bytes, code: ErrorCode, words: str) -> None:
    with pytest.raises(ServingError) as caught:
        unpack(body, encoding, 5000)
    assert caught.value.code is code
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        (b"", b""),
        (b"gzip", b"gzip"),
        (b"deflate", b"deflate"),
        (b"gzip, deflate, br, zstd", b"gzip"),
        (b"deflate, gzip;q=0.5", b"deflate"),
        (b"GZIP;q=0.5 , deflate ; q=0.9", b"deflate"),
        (b"gzip;q=0", b""),
        (b"gzip;q=0, *", b"deflate"),
        (b"*", b"gzip"),
        (b"*;q=0", b""),
        (b"br", b""),
        (b"identity", b""),
        (b"identity, gzip;q=0.5", b""),
        (b"gzip;q=nan", b""),
        (b"gzip;q=1e9", b""),
        (b"gzip;level=1", b"gzip"),
    ],
)
def test_the_client_chooses(accepted: bytes, chosen: bytes) -> None:
    assert choose(accepted) == chosen


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate"])
def test_an_answer_is_packed_when_it_is_asked_for_and_worth_it(encoding: bytes) -> None:
    packed, header = pack(TEXT, encoding)
    assert header == encoding
    assert len(packed) < len(TEXT) / 10
    assert unpack(packed, header, len(TEXT)) == TEXT
    assert pack(TEXT, b"br") == (TEXT, b"")
    small = TEXT[: MIN_BYTES - 1]
    assert pack(small, encoding) == (small, b"")
