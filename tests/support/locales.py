"""The locale that text models ask for, also where the system has it not."""

from pathlib import Path

import pytest


def with_locale(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str = "en_US.UTF-8") -> None:
    """Let the C library find `C.UTF-8`, which every system has, under another name, as the images do."""
    source = next(path for path in (Path("/usr/lib/locale") / name for name in ("C.utf8", "C.UTF-8")) if path.is_dir())
    (folder / name).symlink_to(source)
    monkeypatch.setenv("LOCPATH", str(folder))


def without_locale(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the C library find no locale at all."""
    monkeypatch.setenv("LOCPATH", str(folder))
