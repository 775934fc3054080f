"""Request ids that carry what a label needs."""

import base64
import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kingmaker_serving.counts.baseline import Cell, Column, Kind
from kingmaker_serving.counts.cells import CellCounts
from kingmaker_serving.labels.ids import MOST_TEXT, Answered, Ids, looks_like_an_id
from kingmaker_serving.labels.keys import Keys
from kingmaker_serving.labels.scores import ScoreCells
from kingmaker_serving.protocol.signature import Task, TaskType

CLASSES = Task(TaskType.CLASSIFICATION, "label")
PRICES = Task(TaskType.REGRESSION, "price", error_tolerance="0.25")
DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    (folder / "2026").write_bytes(bytes(range(32)))
    return Keys(folder)


def a_pod(keys: Keys, **fields: object) -> Ids:
    known: dict[str, object] = {"deployment": "churn", "model": "churn-2", "digest": DIGEST, "task": CLASSES}
    return Ids(keys, **(known | {"address": "10.0.0.7", "clock": lambda: 1_800_000_000.9} | fields))  # type: ignore[arg-type]


def read(pod: Ids, text: str) -> Answered:
    found = pod.read(text)
    assert found is not None
    return found


@given(
    st.none() | st.integers(0, 999_999_999),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=32),
    st.text(string.ascii_lowercase + string.digits + "-.", min_size=1, max_size=253),
    st.ip_addresses(),
    st.booleans(),
    st.none() | st.integers(0, 9_999),
)
@example(decision=1, values=[2**63 - 1] * 32, model="m" * 253, address="fd00::1", is_copied=True, bucket=9_999)
def test_another_pod_reads_what_a_label_needs(
    keys: Keys,
    decision: int | None,
    values: list[int],
    model: str,
    address: object,
    is_copied: bool,
    bucket: int | None,
) -> None:
    pod = a_pod(keys, model=model, address=str(address))
    made = pod.make(decision, np.array(values), bucket=bucket, is_copied=is_copied)
    found = read(a_pod(keys, model="churn-1", task=PRICES), made.text)
    assert len(made.text) <= MOST_TEXT
    assert (found.nonce, found.decision, found.seconds) == (made.nonce, decision, 1_800_000_000)
    assert (found.model, found.digest) == (model[:63], "0123456789abcdef")
    assert (found.tolerance, found.cell, found.bucket) == (None, None, bucket)
    if made.is_wide:
        assert (found.answers, found.address, found.is_wide) == ([], str(address), True)
        assert len(values) > 24
    else:
        assert (found.answers, found.is_wide) == (values, False)
        assert found.address == (str(address) if is_copied else "")


def test_a_regression_brings_its_own_tolerance(keys: Keys) -> None:
    made = a_pod(keys, task=PRICES).make(3, np.array([1.5, np.nan], dtype=np.float32))
    found = read(a_pod(keys), made.text)
    assert found.tolerance == 0.25
    assert found.answers[0] == 1.5
    assert np.isnan(found.answers[1])  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("rows", "dtype", "is_wide"),
    [(256, "i8", False), (257, "i8", True), (64, "f4", False), (65, "f4", True), (32, "f8", False), (33, "f8", True)],
)
def test_an_id_carries_256_bytes_of_answers(keys: Keys, rows: int, dtype: str, is_wide: bool) -> None:
    made = a_pod(keys).make(1, np.ones(rows, dtype=dtype))
    assert made.is_wide is is_wide
    assert read(a_pod(keys), made.text).address == ("10.0.0.7" if is_wide else "")
    assert len(made.text) <= MOST_TEXT


def test_an_id_is_a_header_value(keys: Keys) -> None:
    made = a_pod(keys).make(1, np.array(["basic"], dtype=object))
    assert set(made.text) <= set(string.ascii_letters + string.digits + "-_")
    assert looks_like_an_id(made.text)


def test_a_model_without_a_task_makes_ids_that_judge_nothing(keys: Keys) -> None:
    assert read(a_pod(keys), a_pod(keys, task=None).make(1, np.array([1])).text).answers == []
    assert read(a_pod(keys), a_pod(keys).make(1, None).text).answers == []


def test_no_two_ids_have_the_same_nonce(keys: Keys) -> None:
    pods = [a_pod(keys) for _ in range(20)]
    nonces = [pod.make(1, None).nonce for pod in pods for _ in range(50)]
    assert len(set(nonces)) == len(nonces)


def test_a_process_that_made_four_billion_ids_goes_on_with_other_nonces(keys: Keys) -> None:
    pod = a_pod(keys)
    before = pod.make(1, None).nonce
    pod._nonces = (before[:8], iter([2**32 - 1, 2**32]))  # type: ignore[assignment]  # nobody waits that long
    last, first = pod.make(1, None).nonce, pod.make(1, None).nonce
    assert last == before[:8] + b"\xff" * 4
    assert first[:8] != before[:8]
    assert first[8:] == bytes(4)


@given(st.integers(0, 10_000))
def test_an_id_with_one_bit_changed_is_unknown(keys: Keys, bit: int) -> None:
    content = bytearray(base64.urlsafe_b64decode(a_pod(keys).make(5, np.array([1])).text + "=="))
    content[bit // 8 % len(content)] ^= 1 << bit % 8
    assert a_pod(keys).read(base64.urlsafe_b64encode(content).decode().rstrip("=")) is None


@given(st.integers(0, 81))
def test_a_truncated_id_is_unknown(keys: Keys, length: int) -> None:
    assert a_pod(keys).read(a_pod(keys).make(5, np.array([1])).text[:length]) is None


def test_ids_of_another_key_or_deployment_are_unknown(keys: Keys) -> None:
    text = a_pod(keys).make(1, np.array([1])).text
    assert a_pod(Keys(None)).read(text) is None
    assert a_pod(keys, deployment="fraud").read(text) is None


@pytest.mark.parametrize("text", ["", "x", "A" * 50, "!" * 50, "ü" * 20, "A" * 10_000, "AAAA", "AQ" + "A" * 60])
def test_what_is_no_id_is_unknown(keys: Keys, text: str) -> None:
    assert a_pod(keys).read(text) is None


@given(st.text())
def test_no_text_breaks_the_reader(keys: Keys, text: str) -> None:
    assert a_pod(keys).read(text) is None


def test_a_server_of_before_misreads_no_id_with_a_bucket_and_reads_all_others(keys: Keys) -> None:
    # It knew version 1 alone, in which there is no room for a bucket.
    assert versions_of(keys, None) == 1
    assert versions_of(keys, 0) == 2


def versions_of(keys: Keys, bucket: int | None) -> int:
    return base64.urlsafe_b64decode(a_pod(keys).make(5, np.array([1]), bucket=bucket).text + "==")[0]


@given(st.binary(max_size=80), st.sampled_from([b"\x01", b"\x02"]))
def test_whatever_was_sealed_with_the_key_is_an_id_or_none(keys: Keys, inside: bytes, version: bytes) -> None:
    key, nonce = keys.current, b"n" * 12
    raw = version + key.fingerprint + nonce + key.cipher.encrypt(nonce, inside, b"churn")
    found = a_pod(keys).read(base64.urlsafe_b64encode(raw).rstrip(b"=").decode())
    assert found is None or isinstance(found, Answered)


def test_every_row_stands_for_its_request_as_often(keys: Keys) -> None:
    pod = a_pod(keys)
    drawn = [read(pod, pod.make(1, np.zeros(4)).text).drawn for _ in range(4000)]
    counts = np.bincount(drawn, minlength=4)
    # Beyond five standard deviations of a fair draw.
    assert np.all(np.abs(counts - 1000) < 5 * np.sqrt(4000 * 0.25 * 0.75))


def test_the_score_of_the_drawn_row_is_in_the_id(keys: Keys) -> None:
    cells = [Cell("below", 0, upper=0.1), Cell("0", 5, upper=0.5), Cell("1", 5, upper=0.9)]
    column = Column(kind=Kind.NUMERIC, output="p", column=1,
                    cells=[*cells, *(Cell(end, 0) for end in ("above", "missing", "infinite"))])  # fmt: skip
    pod = a_pod(keys, scores=ScoreCells(column, "FP32"))
    scores = np.array([[1, 0.05], [0.5, 0.5], [0, 0.51], [0, 1], [0, np.nan], [0, np.inf]], dtype=np.float32)
    counter = CellCounts([column], {"p": "FP32"})
    for _ in range(50):
        found = read(a_pod(keys), pod.make(1, np.arange(6), scores).text)
        counter.counts[:] = 0
        counter.add({"p": scores[[found.drawn]]})
        assert counter.counts[found.cell] == 1


@given(st.lists(st.floats(width=32), min_size=1, max_size=5), st.booleans())
def test_one_score_lies_where_many_do(values: list[float], is_first_open: bool) -> None:
    first = Cell("below", 0, upper=None if is_first_open else -1.0)
    inner = [Cell("0", 5, upper=0.0), Cell("1", 5, upper=0.25), Cell("2", 5, upper=1e30)]
    column = Column(kind=Kind.NUMERIC, output="p",
                    cells=[first, *inner, *(Cell(end, 0) for end in ("above", "missing", "infinite"))])  # fmt: skip
    scores = np.array(values, dtype=np.float32)
    counter = CellCounts([column], {"p": "FP32"})
    counter.add({"p": scores})
    found = [ScoreCells(column, "FP32").find(scores, row) for row in range(len(values))]
    assert np.bincount(found, minlength=len(column.cells)).tolist() == counter.counts.tolist()


def test_ids_go_on_through_a_change_of_keys(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(b"a" * 32)
    before = a_pod(Keys(tmp_path)).make(1, np.array([1])).text
    (tmp_path / "2").write_bytes(b"b" * 32)
    both = a_pod(Keys(tmp_path))
    after = both.make(1, np.array([1])).text
    assert read(both, before).answers == read(both, after).answers == [1]
    (tmp_path / "1").unlink()
    assert a_pod(Keys(tmp_path)).read(before) is None
