"""Whom copies go to, and how answers are compared."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import DataObject, data, floats, lists

from kingmaker_serving.counts.profile import Identity, Profile
from kingmaker_serving.engine.job import Job
from kingmaker_serving.httpclient import Client
from kingmaker_serving.labels.targets import Target, TargetsFile
from kingmaker_serving.protocol.signature import Task, TaskType
from kingmaker_serving.protocol.values import InferenceRequest
from kingmaker_serving.shadow.compare import DISTANCE_EDGES, UnusableError, agreement, distances
from kingmaker_serving.shadow.copies import Copy, copy_run
from kingmaker_serving.shadow.lane import LATENCY_PAIRS, MAX_COPIES, Lane

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
    lane = Lane(TARGET, Client(), path="/infer", datatypes={"x": "FP32"}, task=task, profile=profile, pairs=None)
    return lane, profile


def a_copy(*answers: Any, requests: int = 1, **fields: Any) -> Copy:
    parts = tuple((b"", len(answers) // requests) for _ in range(requests))
    outputs = {"label": np.array(answers)}
    defaults = {
        "decision": "12",
        "parts": parts,
        "inputs": {},
        "outputs": outputs,
        "rows": len(answers),
        "seconds": 1.0,
    }
    return Copy(**(defaults | fields))


def test_a_full_queue_drops_and_counts_requests() -> None:
    lane, profile = a_lane()
    for _ in range(MAX_COPIES):
        lane.offer(a_copy(0))
    lane.offer(a_copy(0, 1, 2, requests=3))
    assert lane.depth == MAX_COPIES
    assert dict(profile.failures.counts) == {("churn-2", "12", "dropped"): 3}


@pytest.mark.parametrize(
    "array", [np.zeros(10 * 1024**2, np.uint8), np.array(["x" * 10 * 1024**2], object)], ids=["numbers", "text"]
)
def test_large_copies_fill_the_queue_by_all_that_they_hold(array: np.ndarray) -> None:
    lane, profile = a_lane()
    for _ in range(5):
        lane.offer(a_copy(0, inputs={"x": array}))
    assert (lane.depth, profile.failures.sum(side="dropped")) == (3, 2)


def a_job(rows: np.ndarray, labels: list[int], seconds: float) -> Job:
    job = Job(InferenceRequest({"x": rows}), ["label"], decision="7", began=0, deadline=0, on_done=lambda _: None)
    job.succeed({"label": np.array(labels), "more": np.zeros(len(labels))}, seconds)
    job.answers = list(labels)
    return job


def test_what_ran_together_is_copied_together() -> None:
    first, second = np.ones((1, 2), np.float32), np.zeros((2, 2), np.float32)
    copy = copy_run([a_job(first, [5], 0.25), a_job(second, [6, 7], 0.5)], "12", ["label"])
    assert (copy.rows, copy.requests, copy.seconds) == (3, 2, 0.75)
    assert [rows for _, rows in copy.parts] == [1, 2]
    assert copy.inputs["x"].tolist() == [[1, 1], [0, 0], [0, 0]]
    assert copy.outputs["label"].tolist() == [5, 6, 7]
    assert list(copy.outputs) == ["label"]


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        (np.array([0, 1, 1]), np.array([0, 0, 1]), [True, False, True]),
        (np.array([0, 1]), np.array([0.0, 1.0]), [True, True]),
        (np.array(["a", "b"], object), np.array(["a", "c"], object), [True, False]),
        (np.array([0, 1]), np.array(["0", "1"], object), [False, False]),
    ],
)
def test_classes_agree_when_they_are_equal(mine: np.ndarray, theirs: np.ndarray, expected: list[bool]) -> None:
    assert agreement(CLASSES, {"label": mine}, {"label": theirs}, len(mine)).tolist() == expected


def test_numbers_agree_within_the_tolerance() -> None:
    task = Task(TaskType.REGRESSION, "y", error_tolerance="0.5")
    mine, theirs = {"y": np.array([[1.0], [1], [np.nan], [1]])}, {"y": np.array([1.5, 1.6, 1, np.inf])}
    assert agreement(task, mine, theirs, 4).tolist() == [True, False, False, False]


@pytest.mark.parametrize("outputs", [{}, {"label": np.array([0])}], ids=["no label", "another number of rows"])
def test_an_answer_without_the_rows_is_unusable(outputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(UnusableError, match="has no output 'label' of 2 rows"):
        agreement(CLASSES, {"label": np.array([0, 1])}, outputs, 2)


@pytest.mark.parametrize(
    ("y", "t", "expected"),
    [
        ([1.00005, np.nan], ["a", "b"], True),
        ([1.01, np.nan], ["a", "b"], False),
        ([1, 2], ["a", "b"], False),
        ([1.0, np.nan], ["a", "c"], False),
        ([1.0], ["a", "b"], False),
        (None, ["a", "b"], False),
    ],
)
def test_without_a_task_all_outputs_are_compared(y: list[float] | None, t: list[str], expected: bool) -> None:
    mine = {"y": np.array([1, np.nan], np.float32), "t": np.array(["a", "b"], object)}
    theirs = {"t": np.array(t, object)} | ({} if y is None else {"y": np.array(y, np.float32)})
    assert agreement(None, mine, theirs, 2).tolist() == [expected] * 2


def test_distances_are_of_numbers_or_of_scores() -> None:
    regression = Task(TaskType.REGRESSION, "y", error_tolerance="1")
    counts = distances(regression, {"y": np.array([1.0, 1, np.nan])}, {"y": np.array([1.0, 1.3, 1])})
    assert {DISTANCE_EDGES[i] if i < len(DISTANCE_EDGES) else "open": n for i, n in enumerate(counts) if n} == {
        0.0: 1, 0.5: 1, "open": 1
    }  # fmt: skip
    scored = Task(TaskType.CLASSIFICATION, "label", "p")
    mine, theirs = {"p": np.array([[0.9, 0.1], [0.5, 0.5]])}, {"p": np.array([[0.6, 0.4], [0.5, 0.5]])}
    assert distances(scored, mine, theirs).sum() == 2
    assert distances(CLASSES, mine, theirs).sum() == 0


@given(data())
def test_every_row_is_at_one_distance(drawn: DataObject) -> None:
    numbers = lists(floats(width=32), min_size=1, max_size=20)
    left = drawn.draw(numbers)
    right = drawn.draw(lists(floats(width=32), min_size=len(left), max_size=len(left)))
    task = Task(TaskType.REGRESSION, "y", error_tolerance="1")
    mine, theirs = {"y": np.array(left)}, {"y": np.array(right)}
    assert distances(task, mine, theirs).sum() == len(left)
    assert distances(task, mine, theirs).tolist() == distances(task, theirs, mine).tolist()
    assert agreement(task, mine, theirs, len(left)).tolist() == agreement(task, theirs, mine, len(left)).tolist()


@pytest.mark.parametrize(
    ("champion", "challenger", "expected"),
    [(1.0, 1.26, "challenger"), (1.26, 1.0, "champion"), (1.0, 1.25, None), (1.0, float("nan"), None)],
)
def test_the_slower_side_of_some_runs_is_counted(champion: float, challenger: float, expected: str | None) -> None:
    lane, profile = a_lane()
    for _ in range(LATENCY_PAIRS):
        lane._count_times("12", champion, challenger)
    assert dict(profile.slower.counts) == ({("churn-2", "12", expected): 1} if expected else {})
