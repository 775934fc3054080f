"""The folder of keys, and how it is followed."""

from pathlib import Path

import pytest

from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.labels.keys import SETTLE_SECONDS, Keys


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Folder:
    """A folder of keys as Kubernetes shows a Secret: all its files are replaced by one link."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self._versions = 0

    def hold(self, **keys: bytes) -> None:
        self._versions += 1
        version = self.path / f"..version-{self._versions}"
        version.mkdir()
        for name, content in keys.items():
            (version / name).write_bytes(content)
        link = self.path / "..new"
        link.symlink_to(version.name)
        link.replace(self.path / "..data")
        for old in self.path.iterdir():
            if not old.name.startswith(".."):
                old.unlink()
        for name in keys:
            (self.path / name).symlink_to(Path("..data") / name)

    def keys(self) -> Keys:
        return Keys(self.path, clock=self.clock)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


A, B, C = b"a" * 32, b"b" * 32, b"c" * 40


def test_the_newest_by_name_makes_ids_and_all_of_them_read(folder: Folder) -> None:
    folder.hold(k2=A, k10=B, k1=C)
    keys = folder.keys()
    assert keys.current.name == "k2"
    folder.hold(k2=A)
    assert keys.find(folder.keys().current.fingerprint) is not None


def test_a_key_that_appears_reads_at_once_and_makes_ids_when_the_others_have_it(folder: Folder) -> None:
    folder.hold(k1=A)
    keys = folder.keys()
    folder.hold(k1=A, k2=B)
    other = folder.keys().current
    assert keys.refresh()
    assert keys.find(other.fingerprint) is not None
    assert keys.current.name == "k1"
    folder.clock.now = SETTLE_SECONDS - 1
    assert not keys.refresh()
    folder.clock.now = SETTLE_SECONDS
    assert keys.refresh()
    assert keys.current.name == "k2"
    assert not keys.refresh()


def test_an_old_key_reads_until_it_is_taken_away(folder: Folder) -> None:
    folder.hold(k1=A, k2=B)
    keys = folder.keys()
    folder.hold(k1=A)
    old = folder.keys().current.fingerprint
    folder.hold(k1=A, k2=B)
    assert keys.find(old) is not None
    folder.hold(k2=B)
    keys.refresh()
    assert keys.find(old) is None
    assert keys.current.name == "k2"


def test_when_the_key_that_makes_ids_is_taken_away_the_newest_follows_at_once(folder: Folder) -> None:
    folder.hold(k1=A)
    keys = folder.keys()
    folder.hold(k2=B)
    keys.refresh()
    assert keys.current.name == "k2"


def test_a_new_key_that_is_taken_away_again_never_makes_ids(folder: Folder) -> None:
    folder.hold(k1=A)
    keys = folder.keys()
    folder.hold(k1=A, k2=B)
    keys.refresh()
    folder.hold(k1=A)
    keys.refresh()
    folder.clock.now = 10 * SETTLE_SECONDS
    keys.refresh()
    assert keys.current.name == "k1"


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 31])
def test_a_key_that_is_too_short_is_left_out(folder: Folder, content: bytes) -> None:
    folder.hold(k1=A, k2=content)
    assert folder.keys().current.name == "k1"


def test_a_folder_without_a_key_is_refused_at_the_start(folder: Folder) -> None:
    with pytest.raises(VerbError, match="holds no key") as caught:
        folder.keys()
    assert caught.value.reason is Reason.INTERNAL


def test_keys_that_vanish_stay_in_force(folder: Folder) -> None:
    folder.hold(k1=A)
    keys = folder.keys()
    folder.hold()
    assert not keys.refresh()
    assert keys.current.name == "k1"
    folder.hold(k1=A, k2=B)
    assert keys.refresh()


def test_without_a_folder_nobody_else_reads_the_ids() -> None:
    assert Keys(None).current.fingerprint != Keys(None).current.fingerprint
    assert not Keys(None).refresh()
