"""Programs that tests need and that install from the Go module proxy: built once, static, into the user's cache."""

import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from kingmaker_laptop.binary import cache_folder
from kingmaker_laptop.locks import locked
from kingmaker_laptop.progress import Progress
from kingmaker_laptop.toolchain import find_toolchain


def ensure_program(package: str, version: str) -> Path:
    """Give the program of a Go package, a minute or two the first time.

    Args:
        package: Path of its main package; its last part is the program's name.
        version: Pinned, such as `v1.2.3`; the Go checksum database vouches for it.
    """
    name = package.rpartition("/")[2]
    folder = cache_folder() / "bin"
    binary = folder / f"{name}-{version}-{platform.machine()}"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "build.lock"):
        if not binary.exists():
            with Progress(sys.stderr, name) as progress:
                _build(f"{package}@{version}", name, binary, progress)
                progress.finish(f"built {binary}")
    return binary


def _build(package: str, name: str, binary: Path, progress: Progress) -> None:
    toolchain = find_toolchain(cache_folder() / "toolchain", progress)
    progress.show("building, once")
    with tempfile.TemporaryDirectory(dir=binary.parent) as scratch:
        environment = toolchain.environment | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
        # As a dependency of an empty module: `go install` refuses programs whose own go.mod replaces something.
        Path(scratch, "go.mod").write_text("module build\n")
        path = package.partition("@")[0]
        for step in (["get", package], ["build", "-trimpath", "-ldflags", "-s -w", "-o", name, path]):
            command = [str(toolchain.go), *step]
            done = subprocess.run(command, env=environment, cwd=scratch, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-3000:]}"
        shutil.move(Path(scratch, name), binary)
