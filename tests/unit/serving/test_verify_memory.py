"""How much memory a file gets while it is verified, and what is said when that was too little."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from kingmaker_serving.verify import _failure, memory_for

GIB = 1024**3


@pytest.mark.parametrize(
    ("size", "most", "bytes_"),
    [
        (0, 8 * GIB, 2 * GIB),
        (GIB, 8 * GIB, 5 * GIB),
        (2 * GIB, 8 * GIB, 8 * GIB),
        (2 * GIB, 4 * GIB, 4 * GIB),
    ],
)
def test_memory_follows_from_the_files_size(tmp_path: Path, size: int, most: int, bytes_: int) -> None:
    path = tmp_path / "model.onnx"
    path.touch()
    os.truncate(path, size)
    assert memory_for(tmp_path, most) == bytes_


def test_all_files_of_a_model_count_and_links_do_not(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("model.onnx", "below/weights.bin"):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, GIB // 2)
    (tmp_path / "link").symlink_to(tmp_path / "model.onnx")
    assert memory_for(tmp_path, 8 * GIB) == 5 * GIB


def test_a_file_that_is_not_there_gets_what_a_small_one_gets(tmp_path: Path) -> None:
    assert memory_for(tmp_path / "none", 8 * GIB) == 2 * GIB


@pytest.mark.parametrize(
    ("code", "stderr", "words"),
    [
        (-signal.SIGKILL, b"", "was killed, as happens to what needs more memory than there is"),
        (-signal.SIGSEGV, b"", "died of SIGSEGV"),
        (1, b"InvalidModel: can't load: std::bad_alloc", "needs more memory than 3072 MiB"),
    ],
)
def test_want_of_memory_is_told_as_that(code: int, stderr: bytes, words: str) -> None:
    assert words in _failure(subprocess.CompletedProcess([], code, b"", stderr), 3 * GIB).message
