"""Atheris, in an environment of its own: coverage-guided fuzzing of what reads bytes of others."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.environments import environment
from kingmaker_laptop.binary import cache_folder
from support.goprogram import PROGRAMS

FOLDER = PROGRAMS / "atheris"


def fuzz(target: str, seeds: Sequence[bytes], folder: Path, *, seconds: int, runs: int) -> subprocess.CompletedProcess:
    """Fuzz a target until it was run often enough, or the time is over.

    Args:
        target: One of `fuzz.py`.
        seeds: Inputs that are good.
        folder: For the corpus, and for what was found.
        seconds: Of fuzzing.
        runs: Likewise.
    """
    python = environment("atheris", FOLDER / "requirements.lock", cache_folder() / "python") / "python"
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", f"-runs={runs}", "-seed=1", f"-artifact_prefix={folder}/", str(corpus)]
    command = [str(python), str(FOLDER / "fuzz.py"), target, *options]
    # Ours, and what it needs, as it is installed here.
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(command, env=variables, cwd=folder, capture_output=True, text=True, check=False)
