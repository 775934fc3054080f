import base64
from pathlib import Path
from typing import Any

import pytest

from kingmaker_laptop.node.atomicdir import File, write_files
from kingmaker_laptop.node.fields import PodFacts
from kingmaker_laptop.node.projection import VolumeError, token_requests, volume_files, volume_sources
from kingmaker_laptop.node.volumes import remove_tree
from support.pods import a_pod

FACTS = PodFacts("127.9.0.1", "127.0.0.1", {})
SOURCES = {
    ("configmaps", "cm"): {"data": {"a": "1", "b": "2"}, "binaryData": {"c": base64.b64encode(b"\xff").decode()}},
    ("secrets", "s"): {"data": {"k": base64.b64encode(b"v").decode()}},
    ("configmaps", "gone"): None,
}


def files(volume: dict[str, Any]) -> dict[str, bytes]:
    pod = a_pod(meta={"labels": {"x": "1", "a": "2"}})
    found = volume_files(volume, pod=pod, facts=FACTS, sources=SOURCES, tokens={"token": "jwt"})
    assert all(file.mode & 0o222 == 0 for file in found.values())
    return {path: file.content for path, file in found.items()}


def test_each_kind_of_volume_shows_its_files() -> None:
    assert files({"name": "v", "configMap": {"name": "cm"}}) == {"a": b"1", "b": b"2", "c": b"\xff"}
    assert files({"name": "v", "configMap": {"name": "cm", "items": [{"key": "a", "path": "x/y"}]}}) == {"x/y": b"1"}
    assert files({"name": "v", "secret": {"secretName": "s"}}) == {"k": b"v"}
    labels = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    assert files({"name": "v", "downwardAPI": {"items": [labels]}}) == {"labels": b'a="2"\nx="1"'}


def test_a_projected_volume_is_all_of_them() -> None:
    parts = [
        {"serviceAccountToken": {"path": "token"}},
        {"configMap": {"name": "cm", "items": [{"key": "a", "path": "ca"}]}},
    ]
    volume = {"name": "v", "projected": {"sources": [*parts, {"secret": {"name": "s"}}]}}
    assert files(volume) == {"token": b"jwt", "ca": b"1", "k": b"v"}
    assert volume_sources(volume) == {("configmaps", "cm"), ("secrets", "s")}
    assert token_requests(volume) == [{"path": "token"}]


def test_what_is_missing_is_named_unless_optional() -> None:
    with pytest.raises(VolumeError, match='configmap "gone" not found'):
        files({"name": "v", "configMap": {"name": "gone"}})
    with pytest.raises(VolumeError, match="has no key z"):
        files({"name": "v", "configMap": {"name": "cm", "items": [{"key": "z", "path": "z"}]}})
    assert files({"name": "v", "configMap": {"name": "gone", "optional": True}}) == {}


def test_files_are_replaced_all_at_once(tmp_path: Path) -> None:
    assert write_files(tmp_path, {"a": File(b"1", 0o444), "d/b": File(b"2", 0o444)})
    before = (tmp_path / "..data").readlink()
    assert not write_files(tmp_path, {"a": File(b"1", 0o444), "d/b": File(b"2", 0o444)})
    assert write_files(tmp_path, {"a": File(b"3", 0o444)})
    assert (tmp_path / "a").read_bytes() == b"3"
    assert (tmp_path / "..data").readlink() != before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(
        ["..data", "a", str((tmp_path / "..data").readlink())]
    )


def test_folders_without_write_permission_are_removed(tmp_path: Path) -> None:
    inner = tmp_path / "pod" / "volume" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").write_text("x")
    inner.chmod(0o500)
    inner.parent.chmod(0o500)
    remove_tree(tmp_path / "pod")
    assert not (tmp_path / "pod").exists()
