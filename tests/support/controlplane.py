"""A real control plane for tests: etcd, API server, controllers and scheduler, without node and operator."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from kingmaker_laptop.binary import ensure_binary

KINGMAKER = [sys.executable, "-m", "kingmaker.cli"]
CRDS = Path(__file__).parents[2] / "crds"

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


@dataclass(frozen=True)
class ControlPlane:
    """A running control plane; everybody who has its kubeconfig is its administrator."""

    folder: Path

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def url(self) -> str:
        """Base URL of the API server."""
        return self._document()["clusters"][0]["cluster"]["server"]

    @property
    def token(self) -> str:
        """The administrator's bearer token."""
        return self._document()["users"][0]["user"]["token"]

    @property
    def authority(self) -> Path:
        """Certificate of the API server's authority."""
        return self.folder / "credentials" / "ca.crt"

    def kubectl(
        self,
        *arguments: str,
        input: str | None = None,  # noqa: A002  # as in subprocess.run
        check: bool = True,
        timeout: float = 60,
    ) -> "subprocess.CompletedProcess[str]":
        """Run kubectl as administrator; a failure raises with what kubectl said, unless `check` is false."""
        command = [str(ensure_binary()), "kubectl", "--kubeconfig", str(self.kubeconfig), *arguments]
        result = subprocess.run(command, input=input, capture_output=True, text=True, timeout=timeout, check=False)
        if check and result.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {result.returncode}\n{result.stdout}{result.stderr}")
        return result

    def _document(self) -> dict:
        return yaml.safe_load(self.kubeconfig.read_text())


@contextmanager
def running_control_plane(folder: Path, *flags: str, without: str = "crds,node,operator") -> Iterator[ControlPlane]:
    """Run a control plane in `folder` while the block runs; afterwards the folder is gone.

    Args:
        folder: May exist.
        flags: More flags of `kingmaker up`.
        without: Its parts that are left out.
    """
    command = [*KINGMAKER, "up", "--foreground", "--no-fsync", "--dir", str(folder), "--without", without, *flags]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "up.log").open("w+") as errors:
        # When the tests are killed, the kernel tells the control plane to end.
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  # it makes one system call and takes no lock
        )
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                process.wait()
                errors.seek(0)
                raise AssertionError(f"the control plane did not start:\n{errors.read()}")
            yield ControlPlane(folder)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=120)
            process.stdout.close()
    if not os.environ.get("KEEP_CONTROL_PLANE"):
        shutil.rmtree(folder)


def with_crds(plane: ControlPlane) -> ControlPlane:
    """Have the project's CRDs served."""
    plane.kubectl("apply", "--server-side", "-f", str(CRDS))
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS))
    return plane


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
