"""The demo's own models and population, played as recorded rows through `kingmaker simulate`."""

import csv
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import yaml

from kingmaker.cli import main
from kingmaker_laptop.demo.population import Population, World, read_pool
from kingmaker_laptop.demo.traffic import LABEL

EXAMPLE = Path(__file__).parents[3] / "examples" / "breast_cancer"
MODELS = ("screening-1", "screening-2")
START = datetime(2026, 11, 1, tzinfo=UTC)
NORMAL, SHIFTED = timedelta(days=3), timedelta(days=3)
REQUESTS = 30
"""Per hour: what the demo has in a second."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of the demo, trained and packaged as it does it."""
    out = tmp_path_factory.mktemp("bundle")
    command = [sys.executable, str(EXAMPLE / "build.py"), "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return out


def record(bundle: Path, path: Path) -> None:
    """Write three days of the demo's rows and three of the shifted world, with what both models say of them."""
    pools = [read_pool(bundle / f"{name}.csv", LABEL) for name in ("recorded", "judged")]
    population = Population(*pools, seed=10_000)
    sessions = [onnxruntime.InferenceSession(bundle / name / "model.onnx") for name in MODELS]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["at", *population.names, LABEL, *MODELS])
        hours = int((NORMAL + SHIFTED) / timedelta(hours=1))
        for hour in range(hours):
            world = World.NORMAL if timedelta(hours=hour) < NORMAL else World.SHIFTED
            drawn = [population.draw(world, most_rows=4) for _ in range(REQUESTS)]
            features = np.concatenate([d.features for d in drawn]).astype(np.float32)
            truth = np.concatenate([d.labels for d in drawn])
            said = [s.run(["label"], {s.get_inputs()[0].name: features})[0].ravel() for s in sessions]
            at = (START + timedelta(hours=hour, minutes=30)).isoformat()
            for row in zip(features.tolist(), truth.tolist(), *(s.tolist() for s in said), strict=True):
                writer.writerow([at, *row[0], *row[1:]])


def policy(bundle: Path, path: Path) -> None:
    """Write the demo's own spec with times of production: hours where the demo has seconds."""
    text = (EXAMPLE / "deployment.yaml.in").read_text()
    body = yaml.safe_load(text.replace("${output}", "file:///out"))
    spec = body["spec"]
    for stage in spec["contest"]["stages"]:
        stage["minDuration"] = "2h"
    spec["contest"] |= {"deadline": "14d", "rollbackWindow": "4h"}
    spec["monitoring"]["drift"] |= {"windows": ["12h"], "falseAlarmInterval": "26w"}
    spec["retraining"] |= {"cooldown": "24h", "budget": {"runs": 4, "per": "30d"}}
    models = [yaml.safe_load((bundle / name / "model.yaml").read_text()) for name in MODELS]
    path.write_text(yaml.safe_dump_all([body, *models]))


@pytest.mark.timeout(300)
def test_the_policy_of_the_demo_over_its_own_rows(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, spec = tmp_path / "rows.csv", tmp_path / "screening.yaml"
    record(bundle, rows)
    policy(bundle, spec)
    baselines = [f"--baseline={name}={bundle / name / 'baseline.json'}" for name in MODELS]
    predictions = [f"--prediction={name}={name}" for name in MODELS]
    arguments = ["simulate", str(spec), f"--rows={rows}", "--time=at", f"--label={LABEL}", *baselines, *predictions]
    assert main([*arguments, "-o", "json"]) == 0
    (played,) = json.loads(capsys.readouterr().out)["scenarios"]
    first = {}
    for decision in played["decisions"]:
        first.setdefault(decision["action"], decision)
    shifted_at = (START + NORMAL).strftime("%Y-%m-%dT%H:%M:%SZ")
    # The better challenger wins in the world that both were made for; retraining begins once that has moved.
    assert first["Promote"]["to"]["name"] == "screening-2"
    assert first["Promote"]["at"] < shifted_at
    assert first["Retrain"]["at"] > shifted_at
    assert played["summary"]["rollbacks"] == 0
