"""Building a Go module: what is left behind, and what is said."""

import io
import shutil
import subprocess
from pathlib import Path

import pytest

from kingmaker_laptop.errors import LocalError
from kingmaker_laptop.gobuild import build
from kingmaker_laptop.progress import Progress
from kingmaker_laptop.toolchain import find_toolchain

pytestmark = pytest.mark.skipif(not shutil.which("go"), reason="needs Go on the PATH")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "go.mod").write_text("module tiny\n\ngo 1.26.0\n")
    (folder / "main.go").write_text('package main\n\nfunc main() { print("built") }\n')
    return folder


def test_a_module_becomes_a_program_and_the_progress_counts_packages(source: Path, tmp_path: Path) -> None:
    said = io.StringIO()
    progress = Progress(said, "build")
    build(
        source,
        tmp_path / "out",
        version="v1.2.3",
        toolchain=find_toolchain(tmp_path / "go", progress),
        progress=progress,
    )
    assert subprocess.run([tmp_path / "out"], capture_output=True, text=True, check=True).stderr == "built"
    assert "downloading modules" in said.getvalue()


def test_a_failure_shows_what_go_said(source: Path, tmp_path: Path) -> None:
    (source / "main.go").write_text("package main\n\nfunc main() { nothing() }\n")
    progress = Progress(io.StringIO(), "build")
    toolchain = find_toolchain(tmp_path / "go", progress)
    with pytest.raises(LocalError, match="undefined: nothing"):
        build(source, tmp_path / "out", version="v1.2.3", toolchain=toolchain, progress=progress)
    assert not (tmp_path / "out").exists()
