"""The programs that the benchmark needs: load generators, and the peers in environments of their own."""

import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

import kingmaker_serving
from benchmarks.common import environments
from benchmarks.serving.process import BenchError
from kingmaker_laptop.binary import cache_folder
from kingmaker_laptop.locks import locked
from kingmaker_laptop.progress import Progress
from kingmaker_laptop.toolchain import find_toolchain
from support.goprogram import ensure_program

HERE: Final = Path(__file__).parent
PEERS: Final = HERE / "peers"
_LOADER: Final = HERE / "loader"


def wrk() -> str | None:
    """Give wrk where it is installed."""
    return shutil.which("wrk")


@cache
def serve_has(option: str) -> bool:
    """Whether `kingmaker-serving serve` has an option."""
    command = [sys.executable, "-m", "kingmaker_serving", "serve", "--help"]
    return option in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@cache
def compile_ours() -> None:
    """Compile our modules, as the image holds them; the peers' were compiled when they were installed."""
    package = Path(kingmaker_serving.__file__).parent
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(package)], check=True)


@cache
def ghz() -> Path:
    """Give ghz, built the first time."""
    return ensure_program("ghz")


@cache
def loader() -> Path:
    """Give our own loader, built the first time."""
    sources = [*sorted(_LOADER.glob("*.go")), _LOADER / "go.mod"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    folder = cache_folder() / "bin"
    binary = folder / f"loader-{digest}-{platform.machine()}"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "build.lock"):
        if not binary.exists():
            _build(binary)
    return binary


def _build(binary: Path) -> None:
    with Progress(sys.stderr, "loader") as progress:
        toolchain = find_toolchain(cache_folder() / "toolchain", progress)
        with tempfile.TemporaryDirectory(dir=binary.parent) as scratch:
            made = Path(scratch, "loader")
            command = [str(toolchain.go), "build", "-trimpath", "-o", str(made), "."]
            _run(command, cwd=_LOADER, env=toolchain.environment)
            shutil.move(made, binary)
        progress.finish(f"built {binary}")


def environment(peer: str, folder: Path) -> Path:
    """Give the folder of programs of a peer's environment, installed below `folder` the first time, minutes."""
    try:
        return environments.environment(peer, PEERS / peer / "requirements.lock", folder)
    except environments.EnvironmentFailedError as error:
        raise BenchError(str(error)) from error


def _run(command: list[str], **options: object) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise BenchError(f"{' '.join(command)}: {done.stderr[-3000:]}")
