"""An installation takes what is locked, whatever was released since, with the oldest pip and with the newest."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import install
import preflight

from .conftest import NEWER, Pip

OLDEST_PIP = "pip==23.0.1 --hash=sha256:236bcb61156d76c4b8a05821b988c7b8c35bf0da28a4b614e8d6ab5212c25c6f"
"""Debian 12's."""
NEWEST_PIP = "pip==26.3 --hash=sha256:f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
BUILT_WITH = ("editables", "hatchling", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers")
SOME = ("coverage", "pytest-cov", *BUILT_WITH)
"""With what broke once: pytest-cov needs `coverage[toml]>=7.10.6`, which pip took for the newest."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def some(tmp_path: Path) -> Path:
    """A lock of a few of the locked packages."""
    lock = tmp_path / "some.lock"
    lock.write_text("".join(preflight.find_entry(install.LOCK.read_text(), name) for name in SOME))
    return lock


def installed(pip: Pip, python: Path) -> dict[str, str]:
    """Give the versions of everything that is installed, by name, but for the installers."""
    listed = pip([str(python), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"])
    # As locks write names: PEP 503.
    versions = {re.sub("[-_.]+", "-", entry["name"]).lower(): entry["version"] for entry in json.loads(listed.stdout)}
    return {name: version for name, version in versions.items() if name not in {"pip", "setuptools"}}


def pinned(lock: Path) -> set[tuple[str, str]]:
    """Give every name and version of a lock."""
    return set(re.findall(r"^([a-z0-9-]+)==(\S+)", lock.read_text(), re.MULTILINE))


def test_the_whole_lock_with_the_oldest_pip(pip: Pip, environment_with: Callable[[str], Path]) -> None:
    python = environment_with(OLDEST_PIP)
    for command in install.commands(python):
        done = pip(command)
        assert done.returncode == 0, done.stdout + done.stderr
    versions = installed(pip, python)
    versions.pop("kingmaker")
    assert versions.items() <= pinned(install.LOCK)
    check = pip([str(python), "-m", "pip", "check", "--disable-pip-version-check"])
    assert check.stdout.strip() == "No broken requirements found."
    helped = pip([str(python.parent / "kingmaker"), "--help"])
    assert helped.returncode == 0, helped.stderr


def test_a_part_of_the_lock_with_the_newest_pip(some: Path, pip: Pip, environment_with: Callable[[str], Path]) -> None:
    python = environment_with(NEWEST_PIP)
    for command in install.commands(python, some):
        done = pip(command)
        assert done.returncode == 0, done.stdout + done.stderr
    versions = installed(pip, python)
    assert versions.pop("kingmaker")
    assert set(versions.items()) == pinned(some)


def test_newer_releases_are_really_on_offer(some: Path, pip: Pip, environment_with: Callable[[str], Path]) -> None:
    python = environment_with(NEWEST_PIP)
    bare = [str(python), "-m", "pip", "install", "--dry-run"]
    newest = pip([*bare, *SOME])
    assert f"coverage-{NEWER}" in newest.stdout, newest.stdout + newest.stderr
    resolved = pip([*bare, "--require-hashes", "-r", str(some)])
    assert resolved.returncode, "pip resolves: this is what `--no-deps` keeps from happening"
    assert "must have their versions pinned" in resolved.stderr
    built = pip([*bare, "--no-deps", str(install.ROOT)])
    assert built.returncode, "pip fetches what builds: this is what `--no-build-isolation` keeps from happening"
