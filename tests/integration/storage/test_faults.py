"""Whatever a store or the way to it does: the whole file, or a reason and nothing left behind."""

import hashlib

import pytest

from support.faultproxy import FaultProxy, Faults
from support.s3server import S3Server

TENTHS = [tenth / 10 for tenth in range(11)]
SHORT = ("--deadline", "4")
ENOUGH = ("--deadline", "60")


@pytest.mark.parametrize("part", TENTHS)
def test_a_connection_cut_once_is_tried_again(harmed, proxy: FaultProxy, uri: str, part: float) -> None:
    proxy.faults = Faults(cut_at=part, cuts=1)
    done = harmed(uri)
    assert (done.code, done.files) == (0, ["model.onnx"]), done.stderr
    assert proxy.faults.cuts == 0


@pytest.mark.parametrize("part", TENTHS[:-1])
def test_a_connection_that_is_always_cut_leaves_nothing(harmed, proxy: FaultProxy, uri: str, part: float) -> None:
    proxy.faults = Faults(cut_at=part)
    done = harmed(uri, "--deadline", "1")
    done.assert_refused("DownloadFailed", "bytes came")
    assert done.seconds < 30


def test_a_server_at_a_kilobyte_a_second_ends_with_what_came(harmed, proxy: FaultProxy, uri: str) -> None:
    proxy.faults = Faults(bytes_per_second=1000)
    done = harmed(uri, *SHORT)
    done.assert_refused("DownloadFailed", "of 1048576 bytes came before the time was up")
    assert 4 <= done.seconds < 30


def test_a_server_that_says_nothing_ends_in_time(harmed, proxy: FaultProxy, uri: str) -> None:
    proxy.faults = Faults(silent=True)
    done = harmed(uri, *SHORT)
    done.assert_refused("DownloadFailed", "0 bytes came before the time was up")
    assert done.seconds < 30


@pytest.mark.parametrize("statuses", [[500], [503, 503], [429, 0, 502], [500, 0, 503, 0]])
def test_a_busy_server_is_asked_again(harmed, proxy: FaultProxy, uri: str, statuses: list[int]) -> None:
    proxy.faults = Faults(statuses=statuses)
    done = harmed(uri)
    assert (done.code, done.files) == (0, ["model.onnx"]), done.stderr


def test_a_server_that_stays_broken_is_a_reason(harmed, proxy: FaultProxy, uri: str) -> None:
    proxy.faults = Faults(statuses=[500] * 1000)
    harmed(uri, *SHORT).assert_refused("DownloadFailed", "500")


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_will_not_pass_is_said_at_once(harmed, proxy: FaultProxy, uri: str, status: int) -> None:
    proxy.faults = Faults(statuses=[status] * 1000)
    done = harmed(uri)
    done.assert_refused("DownloadFailed", "check")
    assert done.seconds < 30


def test_a_length_that_is_too_long_is_not_believed(harmed, proxy: FaultProxy, uri: str) -> None:
    proxy.faults = Faults(length=lambda length: length + 1000)
    harmed(uri, *SHORT).assert_refused("DownloadFailed", "")


def test_a_length_that_is_too_short_gives_no_half_file(harmed, proxy: FaultProxy, uri: str) -> None:
    proxy.faults = Faults(length=lambda length: length // 2)
    done = harmed(uri, *SHORT)
    assert done.reason in ("DigestMismatch", "DownloadFailed"), done.stderr
    done.assert_refused(done.reason, "")


def test_other_bytes_than_were_asked_for_are_not_the_file(harmed, proxy: FaultProxy, s3_uri: str) -> None:
    proxy.faults = Faults(wrong_range=True)
    harmed(s3_uri, *ENOUGH).assert_refused("DigestMismatch", "the file is not the one of the Model")


def test_a_redirect_to_elsewhere_is_not_followed(harmed, proxy: FaultProxy, uri: str) -> None:
    proxy.faults = Faults(location="http://127.0.0.1:9/model.onnx")
    done = harmed(uri, *ENOUGH)
    done.assert_refused("DownloadFailed", "redirects to")
    assert done.seconds < 30


def test_an_object_replaced_while_it_is_read_is_never_a_mixture(
    harmed, proxy: FaultProxy, s3: S3Server, content: bytes
) -> None:
    key = "replaced/model.onnx"
    uri = s3.put(key, content)
    proxy.faults = Faults(between=lambda: s3.put(key, content[::-1]) and None)
    done = harmed(uri, *ENOUGH)
    done.assert_refused("DigestMismatch", hashlib.sha256(content[::-1]).hexdigest())


def test_an_object_replaced_after_it_was_verified_is_refused(fetch, s3: S3Server, content: bytes) -> None:
    uri = s3.put("swapped/model.onnx", content)
    assert fetch(uri).code == 0
    s3.put("swapped/model.onnx", content + b"x")
    fetch(uri).assert_refused("DigestMismatch", "the file is not the one of the Model")
