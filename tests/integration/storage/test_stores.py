"""Google's, Azure's and the Hub's protocols over real connections: the whole file, or a reason and nothing left behind.

`support.stores` says which run.
"""

import hashlib

import pytest

from support.faultproxy import FaultProxy, Faults
from support.stores import ASKED, against

PROMPT_SECONDS = 30
"""Of a deadline of 600: on a busy machine a process takes seconds to start."""
SHORT = ("--deadline", "4")
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def uri(store) -> str:
    return f"{store.bucket}/churn/1/model.onnx"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_a_file_comes_whole(taken, uri: str) -> None:
    done = taken(uri)
    assert (done.code, done.files) == (0, ["model.onnx"]), done.stderr


@pytest.mark.parametrize("part", [0.0, 0.7])
def test_a_connection_cut_once_is_tried_again(taken, way: FaultProxy, uri: str, part: float) -> None:
    way.faults = Faults(cut_at=part, cuts=1)
    done = taken(uri)
    assert (done.code, done.files) == (0, ["model.onnx"]), done.stderr
    assert way.faults.cuts == 0


@against(*ASKED)
def test_a_connection_that_is_always_cut_leaves_nothing(taken, way: FaultProxy, uri: str) -> None:
    way.faults = Faults(cut_at=0.5)
    taken(uri, *SHORT).assert_refused("DownloadFailed", "bytes came")


@against(*ASKED)
def test_a_server_that_says_nothing_ends_in_time(taken, way: FaultProxy, uri: str) -> None:
    way.faults = Faults(silent=True)
    done = taken(uri, *SHORT)
    done.assert_refused("DownloadFailed", "bytes came before the time was up")
    assert done.seconds < PROMPT_SECONDS


@against(*ASKED)
def test_a_server_at_a_kilobyte_a_second_ends_with_what_came(taken, way: FaultProxy, uri: str) -> None:
    way.faults = Faults(bytes_per_second=1000)
    done = taken(uri, "--deadline", "10")
    done.assert_refused("DownloadFailed", "of 1048576 bytes came before the time was up")
    assert done.seconds < PROMPT_SECONDS


@against(*ASKED)
def test_a_server_that_is_away_ends_in_time(taken, store, uri: str) -> None:
    done = taken(uri, *SHORT, **store.credentials("http://127.0.0.1:9"))
    done.assert_refused("DownloadFailed", "the time ")
    assert done.seconds < PROMPT_SECONDS


@against(*ASKED)
def test_a_busy_server_is_asked_again(taken, way: FaultProxy, uri: str) -> None:
    way.faults = Faults(statuses=[503, 0, 500])
    done = taken(uri)
    assert (done.code, done.files) == (0, ["model.onnx"]), done.stderr


@against(*ASKED)
@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_will_not_pass_is_said_at_once(taken, way: FaultProxy, uri: str, status: int) -> None:
    way.is_object = lambda _: True
    way.faults = Faults(statuses=[status] * 1000)
    done = taken(uri)
    done.assert_refused("DownloadFailed", "check")
    assert done.seconds < PROMPT_SECONDS


@pytest.mark.parametrize("key", ["churn/1/nothing.onnx", "nothing/model.onnx", "churn/1"])
def test_what_is_not_there_is_said_at_once(taken, store, key: str) -> None:
    done = taken(f"{store.bucket}/{key}")
    done.assert_refused("DownloadFailed", "it is a folder" if key == "churn/1" else "check")
    assert done.seconds < PROMPT_SECONDS


def test_a_bucket_that_is_not_there_is_said_at_once(taken, store) -> None:
    done = taken(store.missing)
    done.assert_refused("DownloadFailed", "check")
    assert done.seconds < PROMPT_SECONDS


@against(*ASKED)
@pytest.mark.parametrize("told", [lambda length: length + 1000, lambda length: length // 2])
def test_a_wrong_length_gives_no_file(taken, way: FaultProxy, uri: str, told) -> None:
    way.faults = Faults(length=told)
    done = taken(uri, *SHORT)
    assert done.reason in ("DigestMismatch", "DownloadFailed"), done.stderr
    done.assert_refused(done.reason, "")


@against(*ASKED)
def test_other_bytes_than_were_asked_for_are_not_the_file(taken, way: FaultProxy, store, content: bytes) -> None:
    uri = store.put("lopsided/model.onnx", content[1:])
    way.faults = Faults(wrong_range=True)
    taken(uri, digest=_digest(content[1:])).assert_refused("DigestMismatch", "the file is not the one of the Model")


@against("hub", "gs", "hf")
def test_a_store_that_ignores_ranges_sends_the_whole_file(taken, way: FaultProxy, uri: str) -> None:
    """S3 and Azure can't be made to: what is asked for is part of the signature."""
    way.faults = Faults(ignores_ranges=True)
    done = taken(uri)
    assert (done.code, done.files) == (0, ["model.onnx"]), done.stderr


@pytest.mark.parametrize("ending", [0, 1000, -1000])
def test_a_file_replaced_while_it_is_read_is_never_a_mixture(
    taken, way: FaultProxy, store, content: bytes, ending: int
) -> None:
    """What comes is one or the other, also when that is longer or shorter; here it is the other that was wanted."""
    replacement = (content[::-1] + content)[: len(content) + ending]
    uri = store.put(f"replaced{ending}/model.onnx", content)
    way.faults = Faults(between=lambda: store.put(f"replaced{ending}/model.onnx", replacement) and None)
    done = taken(uri, digest=_digest(replacement))
    assert (done.code, done.files) == (0, ["model.onnx"]), done.stderr


def test_a_file_replaced_by_another_is_refused_by_its_own_digest(taken, way, store, content: bytes) -> None:
    uri = store.put("swapped/model.onnx", content)
    way.faults = Faults(between=lambda: store.put("swapped/model.onnx", content[::-1]) and None)
    taken(uri).assert_refused("DigestMismatch", _digest(content[::-1]))


def test_what_is_larger_than_allowed_is_refused_before_it_comes(taken, uri: str) -> None:
    taken(uri, "--max-bytes", "1000").assert_refused("TooLarge", "has 1048576 bytes, at most 1000 are accepted")
