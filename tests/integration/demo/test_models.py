"""The demo's models and rows: clearly apart in every world, trained and judged on rows that never mix."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from kingmaker_laptop.demo.population import Population, World, read_pool
from kingmaker_laptop.demo.traffic import ARRIVED, LABEL

EXAMPLE = Path(__file__).parents[3] / "examples" / "breast_cancer"


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(EXAMPLE)
    import dataset

    return dataset


@pytest.fixture
def models(dataset: ModuleType) -> ModuleType:
    import models

    return models


def rows_seen_in(world: World, dataset: ModuleType, folder: Path, *, recorded: bool, seed: int = 0) -> object:
    """Draw the rows of 400 requests as they arrive in a world."""
    parts = dataset.load_parts()
    for name in ("recorded", "judged"):
        dataset.write_csv(folder / f"{name}.csv", parts.names, getattr(parts, name))
    pools = (read_pool(folder / f"{name}.csv", dataset.LABEL) for name in ("recorded", "judged"))
    population = Population(*pools, seed=seed)
    drawn = [d for d in (population.draw(world) for _ in range(800)) if d.is_recorded == recorded]
    features = np.concatenate([d.features for d in drawn]).astype(np.float32)
    return dataset.Rows(features, np.concatenate([d.labels for d in drawn]))


def test_the_three_parts_share_no_row(dataset: ModuleType) -> None:
    parts = dataset.load_parts()
    every = np.concatenate([parts.training.features, parts.recorded.features, parts.judged.features])
    assert len(every) == 569
    assert len(np.unique(every, axis=0)) == 569


def test_the_names_of_columns_are_those_that_the_traffic_writes(dataset: ModuleType) -> None:
    assert (dataset.LABEL, dataset.ARRIVED) == (LABEL, ARRIVED)


def test_the_models_are_clearly_apart(dataset: ModuleType, models: ModuleType, tmp_path: Path) -> None:
    parts = dataset.load_parts()
    weak = models.weak(parts.names, parts.training)
    good = models.good(parts.training)
    harmful = models.harmful(parts.names, parts.training)
    normal = rows_seen_in(World.NORMAL, dataset, tmp_path, recorded=False)
    shifted = rows_seen_in(World.SHIFTED, dataset, tmp_path, recorded=False)
    retrained = models.good(rows_seen_in(World.SHIFTED, dataset, tmp_path, recorded=True, seed=1))
    assert 0.15 < models.error_rate(weak, normal) < 0.30
    assert models.error_rate(good, normal) < 0.06
    assert models.error_rate(harmful, normal) > models.error_rate(good, normal) + 0.10
    assert models.error_rate(good, shifted) > 0.20
    assert models.error_rate(retrained, shifted) < 0.06
    ruled = rows_seen_in(World.NEW_RULE, dataset, tmp_path, recorded=False)
    relearnt = models.good(rows_seen_in(World.NEW_RULE, dataset, tmp_path, recorded=True, seed=2))
    assert (ruled.features == shifted.features).all()
    assert models.error_rate(retrained, ruled) > 0.20
    assert models.error_rate(relearnt, ruled) < 0.10


def test_fresh_rows_are_read_from_a_moment_on(dataset: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "fresh.csv"
    path.write_text(f"a,b,{LABEL},{ARRIVED}\n1,2,0,100.0\n3,4,1,200.0\n")
    names, rows = dataset.read_csv(path, since=150.0)
    assert names == ("a", "b")
    assert rows.features.tolist() == [[3.0, 4.0]]
    assert rows.labels.tolist() == [1]


def run_trainer(folder: Path, data: Path, **environment: str) -> tuple[int, dict[str, str]]:
    log = folder / "termination-log"
    done = subprocess.run(
        [
            *(sys.executable, str(EXAMPLE / "train.py"), "--data", str(data), "--termination-log", str(log)),
            *("--min-rows", "5", "--wait", "5"),
        ],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(log.read_text())


def test_a_run_without_an_output_says_what_is_missing(tmp_path: Path) -> None:
    code, message = run_trainer(tmp_path, tmp_path / "none.csv", KINGMAKER_OUTPUT_URI="")
    assert code == 1
    assert message["reason"] == "TrainingError"
    assert "KINGMAKER_OUTPUT_URI" in message["message"]


def test_rows_from_before_the_run_are_not_enough(tmp_path: Path) -> None:
    data = tmp_path / "fresh.csv"
    line = f"1,0,{time.time() - 60:.0f}\n"
    data.write_text(f"a,{LABEL},{ARRIVED}\n" + 10 * line)
    environment = {"KINGMAKER_OUTPUT_URI": tmp_path.as_uri(), "KINGMAKER_DEPLOYMENT": "screening"}
    code, message = run_trainer(tmp_path, data, **environment)
    assert code == 1
    assert "has 0 rows since the start, 5 were needed" in message["message"]


def test_a_run_writes_a_model_and_reports_its_digests(dataset: ModuleType, models: ModuleType, tmp_path: Path) -> None:
    parts = dataset.load_parts()
    data = tmp_path / "fresh.csv"
    dataset.write_csv(data, parts.names, parts.recorded)
    head, *lines = data.read_text().splitlines()
    arrived = time.time() + 60
    data.write_text("\n".join([f"{head},{ARRIVED}", *(f"{line},{arrived:.0f}" for line in lines)]) + "\n")
    output = tmp_path / "retrained" / "run-1"
    environment = {"KINGMAKER_OUTPUT_URI": f"{output.as_uri()}/", "KINGMAKER_DEPLOYMENT": "screening"}
    code, message = run_trainer(tmp_path, data, **environment)
    assert code == 0, message
    for part, file in (("artifact", "model.onnx"), ("baseline", "baseline.json"), ("examples", "examples.json")):
        assert message[part]["uri"] == (output / file).as_uri()
        assert (output / file).is_file()
