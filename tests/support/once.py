"""Do something once for all workers of a run."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def once(factory: pytest.TempPathFactory, name: str, do: Callable[[Path], object]) -> Path:
    """Do what has this name in a folder of the run and give the folder.

    When another worker has done it, it is not done again; while another one is about it, this one waits.
    """
    own = factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = Path(shared, f"once-{name}")
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir()
            try:
                do(folder)
            except BaseException:
                folder.rename(Path(shared, f"failed-{name}-{os.getpid()}"))
                raise
    return folder
