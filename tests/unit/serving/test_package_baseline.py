"""What a packaged baseline says beside counts: held-out rows, importance, times, and what it is not good for."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from kingmaker.core.counts.baseline import Baseline, Feature
from kingmaker.core.counts.baseline import read_baseline as read_as_operator
from kingmaker_serving.__main__ import main
from kingmaker_serving.digest import MAX_DOCUMENT_BYTES, sha256
from kingmaker_serving.errors import VerbError
from kingmaker_serving.package import document as documents
from kingmaker_serving.package.bundle import PackageResult, package
from support.onnx_models import a_classifier, adding, echo, regression, two_inputs

NAMES = ["age", "income", "visits"]
MONDAY = 1_763_942_400


@pytest.fixture(scope="module")
def classifier() -> tuple[bytes, np.ndarray, np.ndarray]:
    return a_classifier(seed=3)


def packaged(out: Path, **fields: Any) -> tuple[PackageResult, Baseline]:
    made = package(**({"name": "churn-2", "family": "churn", "version": "2", "out": out} | fields))
    raw = (out / "baseline.json").read_bytes()
    return made, read_as_operator(raw, digest=sha256(raw))


def a_package(out: Path, classifier: tuple[bytes, np.ndarray, np.ndarray], **fields: Any) -> Any:
    onnx, rows, labels = classifier
    return packaged(out, onnx=onnx, rows=rows, labels=labels, feature_names=NAMES, **fields)


def output(column: Feature | None) -> Feature:
    assert column is not None
    return column


def test_without_held_out_rows_nothing_is_said_to_be_held_out(tmp_path: Path, classifier: Any) -> None:
    made, baseline = a_package(tmp_path, classifier)
    assert not output(baseline.score).held_out
    assert not output(baseline.prediction).held_out
    assert any("no rows are said to be held out" in warning for warning in made.warnings)


MARKS = np.arange(400) % 4 == 0


@pytest.mark.parametrize(
    ("holdout", "places"),
    [
        (0.25, np.arange(300, 400)),
        (MARKS, np.flatnonzero(MARKS)),
        (list(MARKS), np.flatnonzero(MARKS)),
        (MARKS.astype(int), np.flatnonzero(MARKS)),
    ],
    ids=["a share", "marks", "a list of marks", "marks that are numbers"],
)
def test_predictions_and_scores_are_of_held_out_rows_alone(
    tmp_path: Path, classifier: Any, holdout: Any, places: np.ndarray
) -> None:
    made, baseline = a_package(tmp_path / "marked", classifier, holdout=holdout)
    onnx, rows, labels = classifier
    _, alone = packaged(
        tmp_path / "alone", onnx=onnx, rows=rows[places], labels=labels[places], feature_names=NAMES, holdout=0.999999
    )
    assert output(baseline.prediction).rows == output(baseline.score).rows == len(places)
    assert output(baseline.prediction).held_out
    assert output(baseline.score).held_out
    assert all(feature.rows == 400 for feature in baseline.features)
    assert baseline.score == alone.score
    assert baseline.prediction == alone.prediction
    assert not any("held out" in warning for warning in made.warnings)
    assert any(warning.startswith("of 100 held-out rows") for warning in made.warnings)


def test_held_out_rows_may_come_by_themselves(tmp_path: Path, classifier: Any) -> None:
    onnx, rows, labels = classifier
    form = {"onnx": onnx, "rows": rows[:300], "labels": labels[:300], "feature_names": NAMES}
    _, apart = packaged(tmp_path / "a", **form, holdout=rows[300:], holdout_labels=labels[300:])
    _, share = a_package(tmp_path / "b", classifier, holdout=0.25)
    assert apart.score == share.score
    assert apart.rows == 300
    frame = dict(zip(NAMES, rows[300:].T, strict=True))
    made, unlabelled = packaged(tmp_path / "c", **form, holdout=frame)
    assert output(unlabelled.score).held_out
    assert output(unlabelled.score).cells[1].wrong is None
    assert any("the held-out rows have no labels" in warning for warning in made.warnings)


def test_score_cells_know_wrong_answers_and_true_classes(tmp_path: Path, classifier: Any) -> None:
    onnx, rows, labels = classifier
    noisy = np.where(np.arange(400) % 10 == 0, 1 - labels, labels)
    _, baseline = a_package(tmp_path, (onnx, rows, noisy), holdout=0.5)
    score, prediction = output(baseline.score), output(baseline.prediction)
    ordinary = [cell for cell in score.cells if not cell.rare]
    assert sum(cell.wrong or 0 for cell in ordinary) == sum(cell.wrong or 0 for cell in prediction.cells)
    assert [sum(cell.classes.values()) for cell in ordinary] == [cell.count for cell in ordinary]
    assert sum(cell.classes.get("1", 0) for cell in ordinary) == int(noisy[200:].sum())
    assert 0.5 in [cell.upper for cell in ordinary]
    for cell in ordinary:
        says_yes = cell.upper is not None and cell.upper > 0.5
        assert cell.wrong == cell.classes.get("0" if says_yes else "1", 0)
    assert [cell.value for cell in prediction.cells if not cell.rare] == [0, 1]


def test_a_regression_knows_its_errors_per_cell(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    task = {"type": "Regression", "label": "price", "errorTolerance": "0.5"}
    plain, _ = packaged(tmp_path / "a", onnx=regression(), rows=rows, task=task)
    labels = rows.sum(axis=1) + np.where(np.arange(500) % 2 == 0, 3, 0)
    _, baseline = packaged(tmp_path / "b", onnx=regression(), rows=rows, labels=labels, task=task, holdout=0.4)
    cells = [cell for cell in output(baseline.prediction).cells if not cell.rare and cell.count]
    absolute = sum((cell.absolute_error or 0) * cell.count for cell in cells) / 200
    squared = sum((cell.squared_error or 0) * cell.count for cell in cells) / 200
    assert (absolute, squared) == (pytest.approx(1.5, rel=1e-4), pytest.approx(4.5, rel=1e-4))
    assert sum(cell.wrong or 0 for cell in cells) == 100
    assert "absoluteError" not in (plain.folder / "baseline.json").read_text()


def test_an_answer_that_is_no_number_is_wrong(tmp_path: Path) -> None:
    rows = np.zeros((50, 3), np.float32)
    rows[:5] = np.nan
    task = {"type": "Regression", "label": "price", "errorTolerance": "0.5"}
    _, baseline = packaged(tmp_path, onnx=regression(), rows=rows, labels=np.zeros(50), task=task, holdout=0.9999)
    prediction = output(baseline.prediction)
    assert {cell.name: cell.count for cell in prediction.cells}["missing"] == 5
    assert sum(cell.wrong or 0 for cell in prediction.cells) == 0
    assert all(cell.absolute_error in {None, 0} for cell in prediction.cells)


def test_importance_needs_no_labels_and_sums_to_one(tmp_path: Path, classifier: Any) -> None:
    onnx, rows, _ = classifier
    _, baseline = packaged(tmp_path / "a", onnx=onnx, rows=rows, feature_names=NAMES)
    parts = [feature.importance or 0 for feature in baseline.features]
    assert sum(parts) == pytest.approx(1, abs=1e-5)
    assert parts[0] > parts[1] > parts[2]
    _, without = packaged(tmp_path / "b", onnx=onnx, rows=rows, feature_names=NAMES, importance_rows=0)
    assert [feature.importance for feature in without.features] == [None] * 3
    _, untasked = packaged(tmp_path / "c", onnx=two_inputs(), rows={"a": np.zeros(9), "b": np.zeros(9), "t": ["x"] * 9})
    assert [feature.importance for feature in untasked.features] == [None] * 3


def test_times_bring_dispersion_and_season(tmp_path: Path, classifier: Any) -> None:
    onnx, rows, labels = classifier
    many, lots = np.tile(rows, (50, 1)), np.tile(labels, 50)
    times = MONDAY + np.arange(20_000) * 3600 * 24 * 15 / 20_000
    form = {"onnx": onnx, "rows": many, "labels": lots, "feature_names": NAMES, "times": times}
    made, baseline = packaged(tmp_path, **form, holdout=0.5)
    age = baseline.features[0]
    assert set(age.dispersion) == {timedelta(hours=1), timedelta(hours=24)}
    assert baseline.season is not None
    assert baseline.season.buckets == 24
    assert baseline.season.columns.tolist() == [True] * 5
    width = len(age.cells)
    assert baseline.season.counts[:, :width].sum(axis=0).tolist() == list(age.counts)
    assert made.warnings == ()


def test_too_short_times_are_told(tmp_path: Path, classifier: Any) -> None:
    made, baseline = a_package(tmp_path, classifier, times=MONDAY + np.arange(400.0))
    assert baseline.season is None
    assert baseline.features[0].dispersion == {}
    assert sum("the times span 0.0 days" in warning for warning in made.warnings) == 2


def wide(features: int) -> dict[str, Any]:
    rows = np.random.default_rng(0).normal(size=(9600, features)).astype(np.float32)
    times = MONDAY + np.arange(9600) * 3600 * 48 / 9600
    return {"onnx": echo(TensorProto.FLOAT, shape=["n", features]), "rows": rows, "times": times}


def test_a_wide_baseline_gets_a_coarser_season_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    form = wide(20)
    _, full = packaged(tmp_path / "full", **form)
    monkeypatch.setattr(documents, "MAX_DOCUMENT_BYTES", 25_000)
    made, baseline = packaged(tmp_path / "cut", **form)
    assert full.season is not None
    assert baseline.season is not None
    assert baseline.season.buckets < full.season.buckets == 24
    kept = full.season.counts.reshape(baseline.season.buckets, -1, full.season.counts.shape[1]).sum(axis=1)
    assert np.array_equal(baseline.season.counts, kept)
    assert any("parts of the day, not 24: with 20 features" in warning for warning in made.warnings)
    monkeypatch.setattr(documents, "MAX_DOCUMENT_BYTES", 1000)
    with pytest.raises(VerbError, match="at most 1000 are read; leave out features"):
        packaged(tmp_path / "none", **form)


def test_the_widest_baseline_is_read_by_everybody(tmp_path: Path) -> None:
    form = wide(1000)
    _, baseline = packaged(tmp_path, **form)
    assert len(baseline.features) == 1000
    assert baseline.season is not None
    assert (tmp_path / "baseline.json").stat().st_size <= MAX_DOCUMENT_BYTES


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"holdout": 0}, "holdout is 0; expected a share between 0 and 1"),
        ({"holdout": 1.5}, "holdout is 1.5"),
        ({"holdout": float("nan")}, "holdout is nan"),
        ({"holdout": np.zeros(5, bool)}, "no row of 5 was held out"),
        ({"holdout": np.ones(4, bool)}, "4 rows are marked as held out or not, of 5"),
        ({"holdout": np.zeros((2, 9))}, "has shape [2, 9]"),
        ({"times": [1, 2]}, "2 times for 5 rows; give one per row"),
        ({"categorical": ["plan"]}, "['plan'] are said to be categorical, but the features are ['x_0', 'x_1', 'x_2']"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(VerbError) as caught:
        packaged(tmp_path, onnx=adding(), rows=np.zeros((5, 3)), **fields)
    assert words in caught.value.message


def test_the_command_says_what_a_reference_is_not_good_for(
    tmp_path: Path, classifier: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx, rows, labels = classifier
    (tmp_path / "model.onnx").write_bytes(onnx)
    lines = [",".join([*NAMES, "churned", "at", "test"])]
    for i, (row, label) in enumerate(zip(rows.tolist(), labels.tolist(), strict=True)):
        lines.append(
            ",".join([*map(repr, row), str(label), f"2026-11-{i // 40 + 1:02d}T{i % 24:02d}:00:00", str(i % 2)])
        )
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    arguments = ["package", "--onnx", str(tmp_path / "model.onnx"), "--data", str(tmp_path / "rows.csv")]
    arguments += ["--label", "churned", "--time", "at", "--name", "churn-2", "--family", "churn", "--version", "2"]
    assert main([*arguments, "--holdout-column", "test", "--out", str(tmp_path / "marked")]) == 0
    said = capsys.readouterr()
    assert set(json.loads(said.out)) == {"artifact", "baseline", "examples", "task", "trainingData", "framework"}
    assert "warning: of 400 reference rows a shift below 0.3 standard deviations" in said.err
    assert "warning: the times span 10.0 days" in said.err
    assert "no rows are said to be held out" not in said.err
    raw = (tmp_path / "marked" / "baseline.json").read_bytes()
    baseline = read_as_operator(raw, digest=sha256(raw))
    assert (output(baseline.score).rows, [feature.name for feature in baseline.features]) == (200, NAMES)
    same = [*arguments, "--holdout", str(tmp_path / "rows.csv"), "--out", str(tmp_path / "apart")]
    (tmp_path / "plain.csv").write_text("\n".join(line.rsplit(",", 1)[0] for line in lines))
    same = [str(tmp_path / "plain.csv") if part == str(tmp_path / "rows.csv") else part for part in same]
    assert main(same) == 0
    raw = (tmp_path / "apart" / "baseline.json").read_bytes()
    assert output(read_as_operator(raw, digest=sha256(raw)).score).rows == 400


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--holdout", "none.csv"], "--holdout is 'none.csv', which is neither a file nor a share such as 0.2"),
        (["--holdout", "0.2", "--holdout-column", "d"], "name them by one of the two"),
        (["--holdout-column", "z"], "there is no column 'z', only ['a', 'b', 'c', 'd']"),
        (["--time", "d"], "the time of row 0 is 'soon'"),
        (["--holdout-column", "d"], "'soon' is neither true nor false"),
    ],
)
def test_a_command_that_can_not_be_meant_is_told(
    tmp_path: Path, more: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.onnx").write_bytes(adding())
    (tmp_path / "rows.csv").write_text("a,b,c,d\n0,1,2,soon\n")
    arguments = ["package", "--onnx", str(tmp_path / "model.onnx"), "--data", str(tmp_path / "rows.csv")]
    arguments += ["--name", "m", "--family", "m", "--version", "1", "--out", str(tmp_path / "out"), *more]
    assert main(arguments) == 1
    assert words in capsys.readouterr().err
