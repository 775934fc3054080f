"""Show a set of files all at once or not at all, as the kubelet does for ConfigMaps and Secrets.

`FOLDER/..data` is a symlink to the current version, and each file is a symlink through it; replacing `..data`
replaces all.
Source: pkg/volume/util/atomic_writer.go.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_LINK = "..data"


@dataclass(frozen=True, slots=True)
class File:
    """Content and permission bits."""

    content: bytes
    mode: int


def write_files(folder: Path, files: Mapping[str, File]) -> bool:
    """Make the folder show exactly these files, by relative path.

    Returns:
        Whether anything had to change.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if _read_files(folder) == files:
        return False
    link = folder / _LINK
    old = link.readlink() if link.is_symlink() else None
    version = Path(tempfile.mkdtemp(prefix="..", dir=folder))
    version.chmod(0o755)
    for name, file in files.items():
        path = version / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(file.mode)
    _replace_link(link, version.name)
    _show_names(folder, {name.partition("/")[0] for name in files})
    if old is not None:
        shutil.rmtree(folder / old, ignore_errors=True)
    return True


def _show_names(folder: Path, names: set[str]) -> None:
    for name in names:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"{_LINK}/{name}")
    for entry in folder.iterdir():
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in names:
            entry.unlink()


def _replace_link(link: Path, target: str) -> None:
    temporary = link.with_name("..data_tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


def _read_files(folder: Path) -> dict[str, File] | None:
    current = folder / _LINK
    if not current.is_symlink() or not current.is_dir():
        return None
    found = {}
    for root, _, names in os.walk(current):
        for name in names:
            path = Path(root, name)
            found[str(path.relative_to(current))] = File(path.read_bytes(), path.stat().st_mode & 0o777)
    return found
