"""Data frames of other libraries, which packaging reads and does not need: in an environment of their own."""

import subprocess

from benchmarks.common.environments import environment
from kingmaker_laptop.binary import cache_folder
from support.goprogram import PROGRAMS

FOLDER = PROGRAMS / "frames"


def test_the_same_rows_give_the_same_baseline_in_every_form() -> None:
    python = environment("frames", FOLDER / "requirements.lock", cache_folder() / "python") / "python"
    done = subprocess.run([str(python), str(FOLDER / "frames.py")], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(lines) == 14
    assert all(line.endswith("as the first: True") for line in lines)
