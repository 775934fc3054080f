"""An environment that is not whole is not taken for one."""

import os
from pathlib import Path

import pytest

import install


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Something like an environment: made in this place, with a Python that runs and finds what is installed."""
    folder = tmp_path / ".venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text("#!/bin/sh\nexit 0\n")
    (folder / "bin" / "python").chmod(0o755)
    (folder / "pyvenv.cfg").write_text(f"home = /usr/bin\ncommand = /usr/bin/python3 -m venv --clear {folder}\n")
    (folder / install.STAMP).touch()
    return folder


def test_a_whole_environment_is_left_alone(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install.main(whole) is None
    assert capsys.readouterr().out == ""


def test_one_that_was_moved_is_not_usable(whole: Path) -> None:
    assert install.is_usable(whole)
    moved = whole.rename(whole.with_name("moved"))
    assert not install.is_usable(moved)


def test_one_whose_python_is_gone_is_not_usable(whole: Path) -> None:
    (whole / "bin" / "python").unlink()
    (whole / "bin" / "python").symlink_to("/usr/bin/python3.0")
    assert not install.is_usable(whole)


def test_one_whose_python_finds_nothing_any_more_is_not_usable(whole: Path) -> None:
    (whole / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    assert not install.is_usable(whole)


@pytest.mark.parametrize("how", ["unfinished", "outdated"])
def test_what_is_in_the_way_is_said_before_anything_is_touched(
    how: str, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "unfinished":
        (whole / install.STAMP).unlink()
    else:
        os.utime(whole / install.STAMP, (0, 0))
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    monkeypatch.setattr("preflight.NEEDED_BYTES", 10**18)
    assert "free some space" in str(install.main(whole))
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def test_nothing_is_resolved_and_nothing_is_fetched_for_a_build() -> None:
    locked, checkout = install.commands(Path("python"))
    assert {"--no-deps", "--require-hashes", "--only-binary=:all:"} <= set(locked)
    assert {"--no-deps", "--no-index", "--no-build-isolation"} <= set(checkout)
