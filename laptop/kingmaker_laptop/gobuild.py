"""Build the control plane's binary from its Go module, and show how far it is."""

import contextlib
import re
import subprocess
import threading
from collections import deque
from pathlib import Path
from typing import IO, Final

from kingmaker_laptop.errors import LocalError
from kingmaker_laptop.progress import Progress
from kingmaker_laptop.toolchain import Toolchain

_HEARTBEAT_SECONDS: Final = 1.0

_STAMPED: Final = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
"""Packages that hold a version of their own; unstamped, kubectl complains and `version` says v0.0.0."""


def build(source: Path, target: Path, *, version: str, toolchain: Toolchain, progress: Progress) -> None:
    """Build `source` into the file `target`, stamped with Kubernetes' version.

    Raises:
        LocalError: Go failed; the message has its last lines and what to do.
    """
    progress.show("downloading modules")
    total = len(_run([str(toolchain.go), "list", "-deps", "."], source, toolchain, _Downloads(progress)))
    command = [str(toolchain.go), "build", "-v", "-trimpath", "-ldflags", linker_flags(version)]
    _run([*command, "-o", str(target), "."], source, toolchain, _Packages(progress, total))


def read_version(source: Path) -> str:
    """Read which Kubernetes the module builds, e.g. `v1.36.4`."""
    text = (source / "go.mod").read_text()
    match = re.search(r"^\s*k8s\.io/kubernetes (v\d+\.\d+\.\d+)$", text, re.MULTILINE)
    if not match:
        raise LocalError(f"{source / 'go.mod'} requires no release of k8s.io/kubernetes; restore the file")
    return match[1]


def linker_flags(version: str) -> str:
    """Give the linker flags that strip the binary and stamp it with a version.

    >>> linker_flags("v1.36.4").split()[3]
    'k8s.io/component-base/version.gitVersion=v1.36.4'
    """
    major, minor, _ = version.removeprefix("v").split(".")
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return "-s -w " + " ".join(f"-X {package}.{name}={value}" for package in _STAMPED for name, value in stamps.items())


class _Downloads:
    """Counts the modules that Go downloads."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._count = 0

    def line(self, text: str) -> None:
        self._count += text.startswith("go: downloading")

    def beat(self) -> None:
        self._progress.show(f"{self._count} modules downloaded")


class _Packages:
    """Counts the packages that Go compiles; those in its cache are not mentioned and need no time."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._count = 0

    def line(self, text: str) -> None:
        self._count += not text.startswith(("go:", "#", " ", "\t"))

    def beat(self) -> None:
        # The last package is the program itself: from then on the linker works.
        left = "" if self._count < self._total - 1 else ", linking"
        self._progress.show(f"{self._count} of {self._total} packages compiled{left}")


def _run(command: list[str], source: Path, toolchain: Toolchain, counter: _Downloads | _Packages) -> list[str]:
    """Run Go to its end and give the lines of its stdout, while its stderr moves the progress."""
    last: deque[str] = deque(maxlen=15)
    output: list[str] = []
    with subprocess.Popen(
        command, cwd=source, env=toolchain.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        readers = [
            threading.Thread(target=_follow, args=(process.stderr, counter, last), daemon=True),
            threading.Thread(target=output.extend, args=(process.stdout,), daemon=True),
        ]
        try:
            for reader in readers:
                reader.start()
            _wait(process, counter)
        finally:
            # Also after Ctrl-C: a compiler that goes on in the background would surprise.
            process.kill()
            for reader in readers:
                reader.join()
    if process.returncode:
        raise LocalError(explain_failure(list(last)))
    return output


def _wait(process: "subprocess.Popen[str]", counter: _Downloads | _Packages) -> None:
    while process.poll() is None:
        counter.beat()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_HEARTBEAT_SECONDS)


def _follow(stream: IO[str], counter: _Downloads | _Packages, last: deque[str]) -> None:
    for line in stream:
        last.append(line.rstrip())
        counter.line(line)


def explain_failure(lines: list[str]) -> str:
    """Say in one message what Go said last and what to do about it."""
    text = "\n".join(lines)
    if "no space left on device" in text:
        advice = (
            "the disk is full; the build needs about 5 GB in Go's caches and $TMPDIR: free some space and try again"
        )
    elif re.search(r"dial tcp|lookup |i/o timeout|proxyconnect|connection refused|TLS handshake|unreachable", text):
        advice = "the modules could not be downloaded; check the network, or set GOPROXY to a proxy you can reach"
    elif "signal: killed" in text:
        advice = (
            "the compiler was killed, most likely for want of memory; it needs about 2 GB, try again with GOFLAGS=-p=1"
        )
    else:
        advice = "this should not happen with the released files; compare controlplane/ with the repository"
    return f"building the control plane failed:\n{text}\n{advice}"
