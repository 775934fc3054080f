"""The benchmark of the server, a second of each step and without peers: every step works. No time is judged."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.serving.__main__ import PEERS, STEPS
from benchmarks.serving.figures import LEAST, MOST

ROOT = Path(__file__).parents[3]
DEADLINE = 300
OF_PEERS = {name for step in PEERS if step in STEPS for name in STEPS[step][1]}
OF_PEERS |= {f"requests/s ÷ {peer}" for peer in ("MLServer", "KServe", "BentoML")}


@pytest.mark.timeout(DEADLINE + 20)
def test_every_step_that_needs_no_peer_gives_its_figures(tmp_path: Path) -> None:
    output = tmp_path / "serving.json"
    command = [sys.executable, "-m", "benchmarks.serving", "--quick", f"--output={output}"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}, timeout=DEADLINE, check=False
    )
    figures = json.loads(output.read_text())["figures"]
    given = {begin for begin in (*LEAST, *MOST) if any(name.startswith(begin) for name in figures)}
    assert given == {*LEAST, *MOST} - OF_PEERS
    without = {name: figure["note"] for name, figure in figures.items() if figure["value"] is None}
    expected = ("not chosen", *(f"not measured: {why}" for why in ("nothing was refused",)))
    assert all(note.startswith(expected) for note in without.values()), without
    assert done.returncode == (0 if all(figure["holds"] for figure in figures.values()) else 1)
