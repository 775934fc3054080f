"""A model of several files: the manifest that lists them, and files that are not what it says."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kingmaker_serving.digest import sha256
from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.models.artifact import (
    FORMAT,
    MAX_BYTES,
    MAX_FILES,
    ListedFile,
    is_manifest,
    read_artifact,
    read_manifest,
    write_manifest,
)

SHA = sha256(b"")
FILES = {"model.onnx": b"the model", "weights.bin": b"weights", "below/more.bin": b"more"}


def listed(path: str = "model.onnx", **fields: Any) -> dict[str, Any]:
    return {"path": path, "digest": SHA, "size": 0} | fields


def document(*files: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({"format": FORMAT, "files": list(files)} | fields).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files with their manifest."""
    for path, content in FILES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    files = [ListedFile(path, sha256(content), len(content)) for path, content in FILES.items()]
    (tmp_path / "manifest.json").write_bytes(write_manifest(files))
    return tmp_path


def digest(folder: Path) -> str:
    return sha256((folder / "manifest.json").read_bytes())


def test_every_file_is_read(folder: Path) -> None:
    found = read_artifact(folder, digest(folder))
    assert (found.content, found.files) == (FILES["model.onnx"], {k: FILES[k] for k in list(FILES)[1:]})
    assert found.size_bytes == sum(map(len, FILES.values()))


def test_paths_are_relative_to_the_model(tmp_path: Path) -> None:
    (tmp_path / "onnx" / "data").mkdir(parents=True)
    paths = {"onnx/model.onnx": b"m", "onnx/data/w": b"w", "beside": b"b"}
    for path, content in paths.items():
        (tmp_path / path).write_bytes(content)
    files = [ListedFile(path, sha256(content), 1) for path, content in paths.items()]
    (tmp_path / "manifest.json").write_bytes(write_manifest(files))
    assert read_artifact(tmp_path, digest(tmp_path)).files == {"data/w": b"w", "../beside": b"b"}


def change_bytes(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(b"Weights")


def remove(folder: Path) -> None:
    (folder / "below" / "more.bin").unlink()


def symlink(folder: Path) -> None:
    (folder / "weights.bin").rename(folder / "elsewhere")
    (folder / "weights.bin").symlink_to("elsewhere")


def hardlink(folder: Path) -> None:
    os.link(folder / "weights.bin", folder / "elsewhere")


def linked_folder(folder: Path) -> None:
    (folder / "below").rename(folder / "elsewhere")
    (folder / "below").symlink_to("elsewhere")


def linked_manifest(folder: Path) -> None:
    (folder / "manifest.json").rename(folder / "elsewhere")
    (folder / "manifest.json").symlink_to("elsewhere")


def pipe(folder: Path) -> None:
    (folder / "weights.bin").unlink()
    os.mkfifo(folder / "weights.bin")


def a_folder(folder: Path) -> None:
    (folder / "weights.bin").unlink()
    (folder / "weights.bin").mkdir()


CHANGES = [change_bytes, remove, symlink, hardlink, linked_folder, linked_manifest, pipe, a_folder]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_file_that_is_not_the_listed_one_is_refused(folder: Path, change: Any) -> None:
    wanted = digest(folder)
    change(folder)
    with pytest.raises(VerbError) as caught:
        read_artifact(folder, wanted)
    assert caught.value.reason is Reason.DIGEST_MISMATCH


def test_a_file_of_more_bytes_than_listed_is_not_read(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(b"weights and more")
    with pytest.raises(VerbError) as caught:
        read_artifact(folder, digest(folder))
    assert caught.value.reason is Reason.TOO_LARGE


def test_a_manifest_that_lists_another_size_is_refused(folder: Path) -> None:
    content = document(listed(digest=sha256(FILES["model.onnx"]), size=100))
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(VerbError, match=r"'model\.onnx' has 9 bytes, not 100"):
        read_artifact(folder, sha256(content))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "can't be read"),
        (b"[" * 100_000, "can't be read"),
        (b'{"format": "\xff"}', "can't be read"),
        (document(listed(), format="kingmaker.dev/artifact/v2"), "its format is"),
        (document(), "lists 0 files"),
        (document(*(listed(f"f{n}") for n in range(MAX_FILES + 1))), f"lists {MAX_FILES + 1} files"),
        (document(listed("../model.onnx")), "lists '../model.onnx'"),
        (document(listed("a/../model.onnx")), "relative path"),
        (document(listed("./model.onnx")), "relative path"),
        (document(listed("/etc/passwd")), "relative path"),
        (document(listed("a//b")), "relative path"),
        (document(listed("a/")), "relative path"),
        (document(listed("")), "relative path"),
        (document(listed(".hidden")), "relative path"),
        (document(listed("a\\b")), "relative path"),
        (document(listed("a?b")), "relative path"),
        (document(listed("a%2e")), "relative path"),
        (document(listed("a\n")), "relative path"),
        (document(listed("a\0b")), "relative path"),
        (document(listed("a" * 300)), "relative path"),
        (document(listed("Manifest.json")), "another file of a Model"),
        (document(listed("baseline.json")), "another file of a Model"),
        (document(listed(), listed("Model.onnx")), "lists a path twice"),
        (document(listed("a"), listed("A/b")), "one as a file and as a folder: ['a']"),
        (document(listed(digest="sha256:" + "A" * 64)), "the digest of 'model.onnx'"),
        (document(listed(digest="md5:0")), "the digest of"),
        (document(listed(size=-1)), "has -1 bytes"),
        (document(listed(size=1.5)), "can't be read"),
        (document(listed(uri="http://x")), "can't be read"),
        (document(listed(), uri="http://x"), "can't be read"),
    ],
)
def test_a_manifest_that_is_none_says_what_is_wrong(content: bytes, words: str) -> None:
    with pytest.raises(VerbError) as caught:
        read_manifest(content)
    assert caught.value.reason is Reason.INVALID_MODEL
    assert words in caught.value.message


@pytest.mark.parametrize(
    "files", [[listed(size=2**32)], [listed(size=10**30)], [listed(), listed("w", size=MAX_BYTES + 1)]]
)
def test_a_model_that_is_too_large_is_refused_before_a_byte_of_it_is_read(files: list[dict[str, Any]]) -> None:
    with pytest.raises(VerbError) as caught:
        read_manifest(document(*files))
    assert caught.value.reason is Reason.TOO_LARGE


@given(st.binary(max_size=300) | st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner)
       | st.dictionaries(st.sampled_from(["format", "files", "path", "digest", "size"]), inner)).map(
           lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_bytes_are_judged(content: bytes) -> None:
    try:
        found = read_manifest(content)
    except VerbError as error:
        assert error.reason in {Reason.INVALID_MODEL, Reason.TOO_LARGE}  # noqa: PT017  # most bytes, not all
    else:
        assert found.format == FORMAT


def test_what_begins_with_a_brace_is_no_model() -> None:
    assert is_manifest(document(listed()))
    assert is_manifest(b" \n{}")
    assert not is_manifest(b"\x08\x0a{")
