"""Whom copies go to, and how answers are compared."""

from math import inf, nan
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from kingmaker_serving.counts.profile import Identity, Profile
from kingmaker_serving.labels.targets import Target, TargetsFile
from kingmaker_serving.protocol.signature import Signature, Task, TaskType
from kingmaker_serving.shadow.lane import LATENCY_PAIRS, MAX_COPIES, Copy, FailedError, Lane

TARGET = Target("churn-2", "sha256:a", "http://127.0.0.1:1", 100)
CLASSES = Task(TaskType.CLASSIFICATION, "label")


def content(**fields: Any) -> bytes:
    targets = [{"model": "churn-2", "digest": "sha256:a", "url": "http://10.0.0.1:8080", "percent": 50}]
    return msgspec.json.encode({"decision": 12, "champion": "churn-1", "targets": targets} | fields)


def write(path: Path, raw: bytes) -> None:
    """Replace a file as Kubernetes does: another inode under the same name."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(raw)
    partial.replace(path)


def test_targets_follow_the_file(tmp_path: Path) -> None:
    path = tmp_path / "targets.json"
    file = TargetsFile(path)
    assert not file.refresh()
    write(path, content())
    assert file.refresh()
    assert file.current is not None
    assert (file.current.label, file.current.champion) == ("12", "churn-1")
    assert not file.refresh()
    write(path, content(targets=[]))
    assert file.refresh()
    path.unlink()
    assert file.refresh()
    assert file.current is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        content(decision=-1),
        content(decision="12"),
        content(targets=[{"model": "x"}]),
        content(targets=[msgspec.to_builtins(TARGET) | {"percent": 101}]),
        content(targets=[msgspec.to_builtins(TARGET) | {"url": "file:///etc/passwd"}]),
        content(targets=[msgspec.to_builtins(TARGET)] * 9),
    ],
)
def test_a_file_that_can_not_be_read_keeps_the_last_good_one(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "targets.json"
    write(path, content())
    file = TargetsFile(path)
    file.refresh()
    good = file.current
    write(path, raw)
    assert not file.refresh()
    assert file.current == good


def test_a_link_that_is_swapped_is_seen(tmp_path: Path) -> None:
    for version, percent in (("..1", 10), ("..2", 20)):
        (tmp_path / version).mkdir()
        targets = [msgspec.to_builtins(TARGET) | {"percent": percent}]
        (tmp_path / version / "targets.json").write_bytes(content(targets=targets))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "targets.json").symlink_to("..data/targets.json")
    file = TargetsFile(tmp_path / "targets.json")
    file.refresh()
    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    assert file.refresh()
    assert file.current is not None
    assert file.current.targets[0].percent == 20


def a_lane(task: Task | None = CLASSES) -> tuple[Lane, Profile]:
    profile = Profile(Identity("churn-1", "d", "", "p", 0))
    return Lane(TARGET, path="/infer", signature=Signature((), ()), task=task, profile=profile, pairs=None), profile


def a_copy(*answers: Any, **fields: Any) -> Copy:
    defaults = {"nonce": b"1", "decision": "12", "inputs": {}, "outputs": {}, "rows": len(answers), "seconds": 1.0}
    return Copy(answers=list(answers), **(defaults | fields))


def test_a_full_queue_drops_and_counts() -> None:
    lane, profile = a_lane()
    for _ in range(MAX_COPIES + 3):
        lane.offer(a_copy(0))
    assert lane.depth == MAX_COPIES
    assert dict(profile.failures.counts) == {("churn-2", "12", "dropped"): 3}


def test_large_copies_fill_the_queue_by_their_bytes() -> None:
    lane, profile = a_lane()
    for _ in range(5):
        lane.offer(a_copy(0, inputs={"x": np.zeros(10 * 1024**2, np.uint8)}))
    assert (lane.depth, profile.failures.sum(side="dropped")) == (3, 2)


def test_rows_are_compared_by_the_label() -> None:
    lane, _ = a_lane()
    assert lane._compare(a_copy(0, 1, 1), {"label": np.array([0, 0, 1]), "other": np.array([])}) == [True, False, True]


@pytest.mark.parametrize("outputs", [{}, {"label": np.array([0])}], ids=["no label", "another number of rows"])
def test_an_answer_without_the_rows_is_a_failure(outputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(FailedError, match="has no output 'label' of 2 rows"):
        a_lane()[0]._compare(a_copy(0, 1), outputs)


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ({"y": [1.00005, nan, inf], "t": ["a", "b"]}, True),
        ({"y": [1.01, nan, inf], "t": ["a", "b"]}, False),
        ({"y": [1, 2, inf], "t": ["a", "b"]}, False),
        ({"y": [1, nan, -inf], "t": ["a", "b"]}, False),
        ({"y": [1.0, nan, inf], "t": ["a", "c"]}, False),
        ({"y": [1.0], "t": ["a", "b"]}, False),
        ({"y": ["1.0", "nan", "inf"], "t": ["a", "b"]}, False),
        ({"y": [1.0, nan, inf]}, False),
    ],
)
def test_without_a_task_all_outputs_are_compared(theirs: dict[str, list[Any]], expected: bool) -> None:
    lane, _ = a_lane(task=None)
    outputs = {"y": np.array([1, nan, inf], np.float32), "t": np.array(["a", "b"], object)}
    given = {name: np.array(values, object if isinstance(values[0], str) else None) for name, values in theirs.items()}
    assert lane._compare(a_copy(outputs=outputs, rows=2), given) == [expected] * 2


@pytest.mark.parametrize(
    ("champion", "challenger", "expected"),
    [(1.0, 1.26, "challenger"), (1.26, 1.0, "champion"), (1.0, 1.25, None), (1.0, float("nan"), None)],
)
def test_the_slower_side_of_a_batch_is_counted(champion: float, challenger: float, expected: str | None) -> None:
    lane, profile = a_lane()
    for _ in range(LATENCY_PAIRS):
        lane._count_times("12", champion, challenger)
    assert dict(profile.slower.counts) == ({("churn-2", "12", expected): 1} if expected else {})
