"""The benchmark at scale, with few deployments: every step works, and what no number of deployments excuses holds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.scale.figures import MUST
from kingmaker_laptop.binary import ensure_binary

ROOT = Path(__file__).parents[3]
DEADLINE = 400


@pytest.mark.timeout(DEADLINE + 20)
def test_every_figure_of_the_benchmark_is_measured(tmp_path: Path) -> None:
    ensure_binary()
    output = tmp_path / "scale.json"
    command = [sys.executable, "-m", "benchmarks.scale", "--quick", f"--output={output}"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}, timeout=DEADLINE, check=False
    )
    figures = json.loads(output.read_text())["figures"]
    measured = {begin for begin in MUST if any(name.startswith(begin) for name in figures)}
    assert measured == set(MUST)
    assert done.returncode == (0 if all(figure["holds"] for figure in figures.values()) else 1)
    assert figures["idle 60 s: writes"]["value"] == 0
