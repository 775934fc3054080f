"""Programs of others that tests need, from the Go module proxy: built once, static, into the user's cache.

`tests/programs/NAME/go.mod` names the program's main package (`tool`) and every module that it is built of, `go.sum`
the checksum of each. A newer version: `go get -tool PACKAGE@VERSION` there.
"""

import hashlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from kingmaker_laptop.binary import cache_folder
from kingmaker_laptop.locks import locked
from kingmaker_laptop.progress import Progress
from kingmaker_laptop.toolchain import find_toolchain

PROGRAMS = Path(__file__).parents[1] / "programs"


def ensure_program(name: str) -> Path:
    """Give the program that a folder of `tests/programs` is called after, a minute or two the first time."""
    source = PROGRAMS / name
    folder = cache_folder() / "bin"
    binary = folder / f"{name}-{_digest(source)}-{platform.machine()}"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "build.lock"):
        if not binary.exists():
            with Progress(sys.stderr, name) as progress:
                _build(source, binary, progress)
                progress.finish(f"built {binary}")
    return binary


def find_package(source: Path) -> str:
    """Read which main package a folder builds."""
    (package,) = re.findall(r"^tool (\S+)$", (source / "go.mod").read_text(), re.MULTILINE)
    return str(package)


def _digest(source: Path) -> str:
    return hashlib.sha256((source / "go.mod").read_bytes() + (source / "go.sum").read_bytes()).hexdigest()[:12]


def _build(source: Path, binary: Path, progress: Progress) -> None:
    toolchain = find_toolchain(cache_folder() / "toolchain", progress)
    progress.show("building, once")
    with tempfile.TemporaryDirectory(dir=binary.parent) as scratch:
        built = Path(scratch, source.name)
        # The toolchain's own flags have it change neither go.mod nor go.sum, and fetch no other toolchain.
        command = [str(toolchain.go), "build", "-trimpath", "-ldflags", "-s -w", "-o", str(built), find_package(source)]
        done = subprocess.run(
            command, env=toolchain.environment, cwd=source, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-3000:]}"
        shutil.move(built, binary)
