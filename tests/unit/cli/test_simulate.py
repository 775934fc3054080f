"""`kingmaker simulate` on small histories: what it reads, what it says, and what it says of files that it can't use."""

import csv
import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import yaml

from kingmaker.cli import main
from kingmaker.cli.recorded import read_exported
from kingmaker.core.counts.baseline import read_baseline
from kingmaker.core.counts.cells import CellCounts, widths_of
from kingmaker.core.counts.data_monitor import DataMonitor
from kingmaker.core.counts.ledger import Ledger
from kingmaker.core.counts.storage import dump_ledger
from kingmaker.core.counts.windows import Windows, advance

START = datetime(2026, 10, 1, tzinfo=UTC)
STAGES = [
    {"name": "canary", "weight": 5, "minDuration": "2h", "minRequests": 50},
    {"name": "half", "weight": 50, "minDuration": "2h", "minRequests": 100},
]
RETRAINING = {
    "triggers": ["Drift"],
    "persistence": {"of": 3, "needed": 2},
    "output": {"uriPrefix": "s3://models/"},
    "template": {"image": "trainer", "command": ["train"]},
}
CELLS = [{"name": str(n), "upper": float(n), "count": 100} for n in range(10)]
RARE = [{"name": name, "count": 0, "rare": True} for name in ("above", "missing", "infinite")]
BASELINE = {
    "format": "kingmaker.dev/baseline/v1",
    "rows": 1000,
    "features": [
        {
            "name": "x",
            "input": "f",
            "kind": "Numeric",
            "cells": [{"name": "below", "upper": -1.0, "count": 0, "rare": True}, *CELLS, *RARE],
        }
    ],
}


def write(path: Path, header: str, rows: Iterable[Iterable[Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split())
        writer.writerows(rows)
    return path


@pytest.fixture
def deployment(tmp_path: Path) -> Path:
    spec = {
        "championRef": {"name": "one"},
        "challengers": [{"name": "second", "modelRef": {"name": "two"}}],
        "contest": {"stages": STAGES},
        "retraining": RETRAINING,
    }
    body = {"apiVersion": "kingmaker.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "churn"}}
    path = tmp_path / "churn.yaml"
    path.write_text(yaml.safe_dump({**body, "spec": spec}))
    return path


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Two models' labels by class, hourly for three days; the second errs half as often."""
    rows = []
    for hour in range(72):
        until = (START + timedelta(hours=hour + 1)).isoformat()
        for model, wrong in (("one", 60), ("two", 30)):
            cells = (
                ("no", "no", 300 - wrong),
                ("yes", "yes", 300),
                ("yes", "no", wrong // 2),
                ("no", "yes", wrong // 2),
            )
            rows += [(until, model, *cell) for cell in cells]
    return write(tmp_path / "classes.csv", "time model predicted true count", rows)


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["simulate", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["simulate", *map(str, arguments)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def test_the_table_says_how_often_when_and_why(
    deployment: Path, classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = told(capsys, deployment, "--counts", classes)
    assert "0 retrainings, 1 promotion, 0 rollbacks; two holds the seat" in " ".join(text.split())
    assert "two won: " in text
    assert max(map(len, text.splitlines())) <= 80


def test_other_settings_stand_side_by_side(deployment: Path, classes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    what_if = ("--what-if", "contest.promotion=Never", "--what-if", "contest.stages.half.minRequests=100000")
    text = told(capsys, deployment, "--counts", classes, *what_if, "-o", "json")
    found = {one["whatIf"]: one for one in json.loads(text)["scenarios"]}
    assert found[""]["summary"]["promotions"] == 1
    assert found["contest.promotion=Never"]["summary"]["promotions"] == 0
    assert found["contest.stages.half.minRequests=100000"]["champion"] == "one"
    actions = [d["action"] for d in found[""]["decisions"]]
    assert actions == ["Deploy", "StartStage", "StartStage", "Promote", "Retire"]
    text = told(capsys, deployment, "--counts", classes, *what_if)
    assert "SETTINGS" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", ["a.svg", "a.html"])
def test_a_plot_names_what_was_decided(
    deployment: Path, classes: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told(capsys, deployment, "--counts", classes, "--plot", tmp_path / name)
    text = (tmp_path / name).read_text()
    svg = ET.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    titles = [element.text or "" for element in svg.iter("{http://www.w3.org/2000/svg}title")]
    assert any(title.startswith("4. Promote: two won") for title in titles)


def test_rows_are_counted_into_the_baseline_and_drift_retrains(
    deployment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(5)
    hours = np.repeat(np.arange(24 * 10), 60)
    values = random.uniform(-1, 9, len(hours)) + np.where(hours > 120, 1.5, 0)
    truth = random.integers(0, 2, len(hours))
    said = np.where(random.random(len(hours)) < 0.1, 1 - truth, truth)
    at = np.array([(START + timedelta(hours=int(h))).timestamp() + 60 for h in hours])
    path = tmp_path / "rows.npz"
    np.savez(path, f=values.astype(np.float32), at=at, truth=truth, said=said)
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps(BASELINE))
    columns = ("--time", "at", "--label", "truth", "--prediction", "one=said", "--baseline", baseline)
    text = told(capsys, deployment, "--rows", path, *columns, "-o", "json")
    (played,) = json.loads(text)["scenarios"]
    assert played["summary"]["retrainings"] >= 1
    first = next(d for d in played["decisions"] if d["action"] == "Retrain")
    assert first["at"] > (START + timedelta(hours=120)).isoformat()[:19]
    assert abs(played["wrong"] - 0.1) < 0.03


@pytest.mark.parametrize("is_wrapped", [True, False], ids=["config-map", "text"])
def test_an_exported_ledger_is_a_short_history(
    deployment: Path, tmp_path: Path, is_wrapped: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps(BASELINE))
    read = read_baseline(baseline.read_bytes(), digest=f"sha256:{hashlib.sha256(baseline.read_bytes()).hexdigest()}")
    digest = "sha256:" + "1" * 64
    lengths = [timedelta(hours=24), timedelta(hours=1)]
    windows = Windows.for_baseline(None, model=digest, baseline=read, scales=lengths, now=START)
    for hour in range(1, 33):
        delta = CellCounts(np.array([0] + [90 + hour % 3] * 10 + [0] * 3), widths_of(read))
        windows = advance(windows, now=START + timedelta(hours=hour), delta=delta, complete=True)
    text = dump_ledger(Ledger(watch=DataMonitor(windows=windows)))
    path = tmp_path / "ledger.json"
    path.write_text(json.dumps({"kind": "ConfigMap", "data": {"ledger.json": text}}) if is_wrapped else text)
    arguments = (deployment, "--ledger", path, "--baseline", baseline)
    assert "the ledger has no windows of one" in refusal(capsys, *arguments)
    artifact = {"format": "ONNX", "uri": "file:///m", "digest": digest}
    spec = {"family": "churn", "version": "1", "artifact": artifact}
    head = {"apiVersion": "kingmaker.dev/v1alpha1", "kind": "Model", "metadata": {"name": "one"}}
    deployment.write_text(f"{deployment.read_text()}---\n{yaml.safe_dump({**head, 'spec': spec})}")
    assert "0 retrainings" in told(capsys, *arguments)
    history = read_exported(path, digest, {})
    assert sum(i.requests for i in history.intervals) == sum((90 + hour % 3) * 10 for hour in range(8, 33))
    assert history.step == timedelta(hours=8)


def test_counts_of_cells_drift_and_retrain(
    deployment: Path, classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    for hour in range(24 * 10):
        until = (START + timedelta(hours=hour + 1)).isoformat()
        rows += [(until, "x", str(n), 20 + (17 * n if hour > 120 else 76)) for n in range(10)]
    cells = write(tmp_path / "cells.csv", "time feature cell count", rows)
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps(BASELINE))
    requests = write(
        tmp_path / "requests.csv",
        "time requests",
        [((START + timedelta(hours=hour + 1)).isoformat(), 960) for hour in range(24 * 10)],
    )
    files = ("--counts", cells, "--counts", requests, "--counts", classes, "--baseline", baseline)
    (played,) = json.loads(told(capsys, deployment, *files, "-o", "json"))["scenarios"]
    states = [interval["drift"] for interval in played["intervals"]]
    assert "Drift" not in states[:120]
    assert "Drift" in states[120:]
    assert played["summary"]["retrainings"] >= 1
    wrong = write(tmp_path / "wrong.csv", "time feature cell count", [("2026-10-01", "x", "10", 3)])
    assert "no cell '10' of 'x'" in refusal(capsys, deployment, "--counts", wrong, "--baseline", baseline)


def test_files_that_can_not_be_used_say_what_was_expected(
    deployment: Path, classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = write(tmp_path / "odd.csv", "time speed", [("2026-10-01", 3)])
    assert "expected time with requests" in refusal(capsys, deployment, "--counts", odd)
    late = write(tmp_path / "late.csv", "time requests", [("yesterday", 3)])
    assert "'yesterday' is no time: expected ISO 8601" in refusal(capsys, deployment, "--counts", late)
    half = write(tmp_path / "half.csv", "time requests", [("2026-10-01", 3.5)])
    assert "requests is '3.5', expected a whole number" in refusal(capsys, deployment, "--counts", half)
    more = write(tmp_path / "more.csv", "time requests correct wrong", [("2026-10-01", 3, 3, 3)])
    assert "has 6 labels for 3 requests" in refusal(capsys, deployment, "--counts", more)
    cells = write(tmp_path / "cells.csv", "time feature cell count", [("2026-10-01", "x", "0", 3)])
    assert "give the champion's with --baseline" in refusal(capsys, deployment, "--counts", cells)
    none = write(tmp_path / "none.csv", "time requests", [])
    assert "no rows" in refusal(capsys, deployment, "--counts", none)
    assert "expected a file that ends in" in refusal(capsys, deployment, "--counts", tmp_path / "a.xlsx")
    assert "found 0 ModelDeployments" in refusal(capsys, classes, "--counts", classes)
    assert "expected key.path=value" in refusal(capsys, deployment, "--counts", classes, "--what-if", "margin")
    wrong = ("--what-if", "contest.verdict.margin=2")
    assert "margin" in refusal(capsys, deployment, "--counts", classes, *wrong)
    unknown = ("--what-if", "contest.verdict.margn=0.1")
    assert "no field spec.contest.verdict.margn" in refusal(capsys, deployment, "--counts", classes, *unknown)
    stage = ("--what-if", "contest.stages.third.weight=3")
    assert "there are canary, half" in refusal(capsys, deployment, "--counts", classes, *stage)
    assert "ends in .svg or .html" in refusal(capsys, deployment, "--counts", classes, "--plot", "a.png")
    assert "is no exported ledger" in refusal(capsys, deployment, "--ledger", classes)
