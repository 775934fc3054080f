"""Helm against any cluster: `$KINGMAKER_HELM`, the one on the PATH, or one that is built once into the user's cache."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from support.goprogram import ensure_program

CHART = Path(__file__).parents[2] / "charts" / "kingmaker"
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
    return ensure_program("helm")
