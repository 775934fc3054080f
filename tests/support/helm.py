"""Helm against any cluster: `$KINGMAKER_HELM`, the one on the PATH, or one that is built once into the user's cache."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from kingmaker.local.binary import cache_folder
from kingmaker.local.filelock import locked
from kingmaker.local.progress import Progress
from kingmaker.local.toolchain import find_toolchain

CHART = Path(__file__).parents[2] / "charts" / "kingmaker"
MODULE = "helm.sh/helm/v4/cmd/helm@v4.2.4"
Document = dict[str, Any]


class HelmError(Exception):
    """Helm failed; the message is its own."""


@dataclass(frozen=True)
class Helm:
    """Helm, speaking to the cluster of a kubeconfig; without one it only renders."""

    folder: Path
    kubeconfig: Path | None = None

    def run(self, *arguments: str, values: Mapping[str, Any] | None = None, seconds: float = 120) -> str:
        """Run a command of Helm and give its stdout.

        Raises:
            HelmError: It failed.
        """
        command = [str(ensure_helm()), *arguments]
        if values is not None:
            command += ["-f", "-"]
        # Nothing that a person keeps in their own folders has a say here.
        environment = {**os.environ, **{f"HELM_{name}_HOME": str(self.folder) for name in ("CACHE", "CONFIG", "DATA")}}
        environment["KUBECONFIG"] = str(self.kubeconfig or os.devnull)
        done = subprocess.run(
            command,
            input=yaml.safe_dump(dict(values or {})),
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode:
            raise HelmError(f"helm {' '.join(arguments)[:200]}: {done.stderr.strip()[-3000:]}")
        return done.stdout

    def render(self, values: Mapping[str, Any] | None = None, *flags: str, chart: Path = CHART) -> list[Document]:
        """Render the chart as the release `kingmaker` in `kingmaker-system`."""
        text = self.run("template", "kingmaker", str(chart), "-n", "kingmaker-system", *flags, values=values or {})
        return [document for document in yaml.safe_load_all(text) if document]


@cache
def ensure_helm() -> Path:
    """Find Helm, or build it: a minute or two, once."""
    if found := os.environ.get("KINGMAKER_HELM") or shutil.which("helm"):
        return Path(found)
    version = MODULE.rpartition("@")[2]
    binary = cache_folder() / "bin" / f"helm-{version}-{platform.machine()}"
    with locked(cache_folder() / "bin" / "build.lock"):
        if not binary.exists():
            _build(binary)
    return binary


def _build(binary: Path) -> None:
    scratch = binary.parent / "build"
    with Progress(sys.stderr, "helm") as progress:
        toolchain = find_toolchain(scratch, progress)
        progress.show("building, once")
        # A module of one's own is never changed by a build; here there is none yet.
        environment = {**toolchain.environment, "GOBIN": str(scratch), "GOFLAGS": "-buildvcs=false -modcacherw"}
        command = [str(toolchain.go), "install", "-trimpath", "-ldflags", "-s -w", MODULE]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-3000:]}"
        (scratch / "helm").rename(binary)
        shutil.rmtree(scratch, ignore_errors=True)
        progress.finish(f"built {binary}")
