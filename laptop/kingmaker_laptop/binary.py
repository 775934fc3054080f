"""Find the control plane's binary, or build it: one file that is etcd, the API server, its controllers and kubectl."""

import hashlib
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from kingmaker_laptop import assets, gobuild
from kingmaker_laptop.errors import LocalError
from kingmaker_laptop.locks import locked
from kingmaker_laptop.progress import Progress
from kingmaker_laptop.toolchain import find_toolchain

PROGRAMS: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
"""What the binary can be; symbolic links of these names lie beside it."""

_NAME: Final = "kingmaker-controlplane"
_INPUTS: Final = ("go.mod", "go.sum", "main.go")
_MACHINES: Final = ("x86_64", "aarch64", "arm64")


def ensure_binary() -> Path:
    """Give the binary: `$KINGMAKER_CONTROLPLANE`, else the one in the user's cache, else one that is built there now.

    Raises:
        LocalError: This machine can't run it, the variable names no program, or the build failed.
    """
    check_platform(sys.platform, platform.machine())
    if chosen := os.environ.get("KINGMAKER_CONTROLPLANE"):
        if not os.access(chosen, os.X_OK) or not Path(chosen).is_file():
            raise LocalError(f"KINGMAKER_CONTROLPLANE={chosen}: no such program; correct the variable or unset it")
        return Path(chosen).absolute()
    source = assets.control_plane_source()
    binary = cache_folder() / "controlplane" / version_key(source) / _NAME
    if not binary.exists():
        _build_once(source, binary)
    return binary


def check_platform(system: str, machine: str) -> None:
    """Refuse what can't work.

    Raises:
        LocalError: Not Linux (every 127.x.y.z address must be bindable, /proc must tell of processes), or not x86-64
            or arm64.
    """
    if system != "linux":
        raise LocalError(
            f"found {system}; `kingmaker up` needs Linux, where each pod gets a loopback address of its own: "
            "use a Linux machine or virtual machine (WSL 2 is one), or apply charts/kingmaker to a cluster"
        )
    if machine not in _MACHINES:
        raise LocalError(f"found a {machine} processor; `kingmaker up` runs on {' and '.join(_MACHINES[:2])}")


def cache_folder() -> Path:
    """Give the user's cache folder of this project; it may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kingmaker"


def version_key(source: Path) -> str:
    """Name what the source builds: Kubernetes' version and a digest of every file that decides the result."""
    digest = hashlib.sha256()
    for name in _INPUTS:
        digest.update((source / name).read_bytes())
    return f"{gobuild.read_version(source).removeprefix('v')}-{digest.hexdigest()[:12]}"


def _build_once(source: Path, binary: Path) -> None:
    folder = binary.parent.parent
    with Progress(sys.stderr, "control plane") as progress:
        with locked(folder / "build.lock", waiting=lambda: progress.show("another build is running, waiting for it")):
            if binary.exists():
                return
            progress.show("building, once, about 5 minutes")
            _build(source, binary, progress)
        progress.finish(f"built {binary.name}")


def _build(source: Path, binary: Path, progress: Progress) -> None:
    scratch = binary.parent.parent / "build"
    try:
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=binary.parent.parent))
        try:
            toolchain = find_toolchain(scratch, progress)
            version = gobuild.read_version(source)
            gobuild.build(source, new / _NAME, version=version, toolchain=toolchain, progress=progress)
            for program in PROGRAMS:
                (new / program).symlink_to(_NAME)
            new.chmod(0o755)
            # One rename makes it visible: nobody ever finds half a binary.
            new.rename(binary.parent)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    except OSError as error:
        raise LocalError(
            f"building the control plane failed: {error}; free space or permissions are missing"
        ) from error
    # A toolchain that was fetched for this build leaves nothing behind; after a failure it stays for the next try.
    shutil.rmtree(scratch, ignore_errors=True)
