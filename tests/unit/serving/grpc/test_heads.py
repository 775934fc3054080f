"""What the head of a call says."""

import pytest

from kingmaker_serving.grpc.heads import CallHead, read_head
from kingmaker_serving.grpc.http2.hpack import Field

CALL = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/inference.GRPCInferenceService/ModelInfer"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
]


def a_head(*more: Field) -> CallHead:
    return read_head([*CALL, *more])


def test_a_plain_call() -> None:
    assert a_head() == CallHead(
        path=b"/inference.GRPCInferenceService/ModelInfer",
        refusal=0,
        seconds=None,
        encoding=b"identity",
        takes=frozenset({b""}),
        decision=None,
        bucket=None,
        is_shadow=False,
        length=None,
    )


def test_what_routers_and_champions_add() -> None:
    head = a_head((b"kingmaker-decision", b"7"), (b"kingmaker-bucket", b"199"), (b"kingmaker-shadow", b"1"))
    assert (head.decision, head.bucket, head.is_shadow) == (b"7", b"199", True)


def test_packings() -> None:
    head = a_head((b"grpc-encoding", b"gzip"), (b"grpc-accept-encoding", b"identity, deflate,gzip"))
    assert (head.encoding, head.takes) == (b"gzip", {b"identity", b"deflate", b"gzip"})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1H", 3600), ("2M", 120), ("3S", 3), ("250m", 0.25), ("1000u", 0.001), ("5n", 5e-9), ("99999999S", 99999999)],
)
def test_deadlines(text: str, seconds: float) -> None:
    assert a_head((b"grpc-timeout", text.encode())).seconds == pytest.approx(seconds)


def test_the_nearer_deadline_counts() -> None:
    router = (b"x-envoy-expected-rq-timeout-ms", b"1500")
    assert a_head((b"grpc-timeout", b"1S"), router).seconds == 1
    assert a_head((b"grpc-timeout", b"2S"), router).seconds == 1.5
    assert a_head(router).seconds == 1.5


@pytest.mark.parametrize("text", [b"", b"1", b"S", b"-1S", b"123456789S", b"1.5S", b"1X"])
def test_deadlines_that_are_none(text: bytes) -> None:
    with pytest.raises(ValueError, match="grpc-timeout"):
        a_head((b"grpc-timeout", text))


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ([(b":method", b"GET"), *CALL[1:]], 405),
        ([*CALL[:4], (b"content-type", b"application/json")], 415),
        (CALL[:4], 415),
        ([*CALL[:4], (b"content-type", b"application/grpc+proto")], 0),
    ],
)
def test_what_is_no_call_is_refused(fields: list[Field], refusal: int) -> None:
    assert read_head(fields).refusal == refusal


@pytest.mark.parametrize(
    "fields",
    [
        CALL[1:],
        [CALL[0], *CALL[2:]],
        [*CALL[:2], *CALL[3:]],
        [*CALL, (b":path", b"/again")],
        [*CALL, (b":late", b"x")],
        [CALL[0], *CALL],
        [(b":unknown", b"x"), *CALL],
        [*CALL[:2], (b":path", b""), *CALL[3:]],
        [*CALL, (b"Upper", b"x")],
        [*CALL, (b"", b"x")],
        [*CALL, (b"name:", b"x")],
        [*CALL, (b"sp ace", b"x")],
        [*CALL, (b"x", b"a\nb")],
        [*CALL, (b"x", b"a\x00b")],
        [*CALL, (b"connection", b"close")],
        [*CALL, (b"transfer-encoding", b"chunked")],
        [*CALL, (b"te", b"gzip")],
        [*CALL, (b"content-length", b"-1")],
        [*CALL, (b"content-length", b"1" * 30)],
    ],
)
def test_heads_that_http2_does_not_allow(fields: list[Field]) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_head(fields)
