"""The files of a model: one ONNX file, or several that a digest manifest lists.

A Model names one digest. Where weights live in files of their own it is the digest of a manifest, which has a digest
for each file: so one digest still stands for every byte that is run.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import dirname, relpath
from typing import Final

import msgspec

from kingmaker_serving.digest import MAX_DOCUMENT_BYTES, MAX_MODEL_BYTES, read_verified, too_large
from kingmaker_serving.errors import NOT_JSON, Reason, VerbError

FORMAT: Final = "kingmaker.dev/artifact/v1"
MODEL: Final = "model.onnx"
MANIFEST: Final = "manifest.json"
"""In the folder of a model: its only file, or its manifest, with what that lists beside it."""
BASELINE: Final = "baseline.json"
EXAMPLES: Final = "examples.json"
RESERVED: Final = frozenset({MANIFEST, BASELINE, EXAMPLES, "model.yaml"})
"""Other files of that folder, which no manifest may list."""
MAX_FILES: Final = 1000
MAX_BYTES: Final = 16 * 1024**3
"""Of all files of a manifest. They are read into memory."""
_MAX_PATH: Final = 255
_PATH: Final = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._:@+=,~-]*/)*[A-Za-z0-9_][A-Za-z0-9._:@+=,~-]*")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


class ListedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file; the path is relative to the manifest."""

    path: str
    digest: str
    size: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The document; the model itself is listed first."""

    format: str
    files: tuple[ListedFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a model consists of, every byte of it verified."""

    content: bytes
    """The ONNX file."""
    files: dict[str, bytes] = field(default_factory=dict)
    """The other files, by path relative to it."""
    size_bytes: int = 0
    """Of all of them."""


def is_manifest(begin: bytes) -> bool:
    """Whether a file that begins so is a manifest; an ONNX file can't begin with a brace."""
    return begin.lstrip()[:1] == b"{"


def read_manifest(content: bytes) -> Manifest:
    """Read a manifest whose digest is known.

    Raises:
        VerbError: InvalidModel; the message says what is wrong with it.
    """
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except NOT_JSON as error:
        raise _invalid(f"it can't be read: {error}") from error
    if manifest.format != FORMAT:
        raise _invalid(f"its format is {manifest.format[:100]!r}, expected {FORMAT!r}")
    if not 1 <= len(manifest.files) <= MAX_FILES:
        raise _invalid(f"it lists {len(manifest.files)} files, expected 1 to {MAX_FILES}")
    for file in manifest.files:
        _check(file)
    if manifest.files[0].size > MAX_MODEL_BYTES:
        raise too_large(manifest.files[0].path, manifest.files[0].size, MAX_MODEL_BYTES)
    if manifest.size > MAX_BYTES:
        raise too_large("the model with all its files", manifest.size, MAX_BYTES)
    _check_apart([file.path for file in manifest.files])
    return manifest


def read_artifact(folder: Path, digest: str) -> Artifact:
    """Read a model as `fetch` put it into a folder; nothing is parsed before its digest is compared.

    Raises:
        VerbError: DigestMismatch, also for a link of any kind; TooLarge; InvalidModel for a manifest that is none.
    """
    if not os.path.lexists(folder / MANIFEST):
        content = read_verified(folder / MODEL, digest)
        return Artifact(content, {}, len(content))
    manifest = read_manifest(read_verified(folder / MANIFEST, digest, max_bytes=MAX_DOCUMENT_BYTES))
    main, *others = [
        (file.path, read_verified(folder / file.path, file.digest, within=folder, max_bytes=file.size))
        for file in manifest.files
    ]
    for file, (_, content) in zip(manifest.files, (main, *others), strict=True):
        if len(content) != file.size:
            raise _invalid(f"{file.path!r} has {len(content)} bytes, not {file.size}")
    beside = dirname(main[0])
    files = {relpath(path, beside or "."): content for path, content in others}
    return Artifact(main[1], files, manifest.size)


def write_manifest(files: list[ListedFile]) -> bytes:
    """Write a manifest, the model's own file first.

    Raises:
        VerbError: InvalidModel when they can't be listed together.
    """
    content = msgspec.json.format(msgspec.json.encode(Manifest(FORMAT, tuple(files))), indent=1)
    read_manifest(content)
    return content


def _check(file: ListedFile) -> None:
    if len(file.path) > _MAX_PATH or not _PATH.fullmatch(file.path):
        message = (
            f"it lists {file.path[:300]!r}; expected a relative path of letters, digits and . _ : @ + = , ~ -, "
            "of which no part begins with a dot"
        )
        raise _invalid(message)
    if not _DIGEST.fullmatch(file.digest):
        raise _invalid(f"the digest of {file.path!r} is {file.digest[:100]!r}; expected sha256: and 64 digits")
    if file.path.lower() in RESERVED:
        raise _invalid(f"it lists {file.path!r}, which is another file of a Model; rename it")
    if file.size < 0:
        raise _invalid(f"{file.path!r} has {file.size} bytes")


def _check_apart(paths: list[str]) -> None:
    """Check that no two paths are one file, also where capitals make no difference, or one a folder of the other."""
    seen = {path.lower() for path in paths}
    folders = {"/".join(parts[:end]) for parts in (path.split("/") for path in seen) for end in range(1, len(parts))}
    clash = sorted(seen & folders)
    if len(seen) < len(paths) or clash:
        raise _invalid(f"it lists a path twice, or one as a file and as a folder: {clash[:3]}; give each file its own")


def _invalid(problem: str) -> VerbError:
    message = f"the model's digest manifest is not usable: {problem}; write it with `kingmaker-serving package`"
    return VerbError(Reason.INVALID_MODEL, message)
