"""Download a Model's files: to a temporary name, digest compared, then renamed. Half a file is never seen."""

import hashlib
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

from typing_extensions import override

from kingmaker_serving.deadline import TimeUp, deadline
from kingmaker_serving.digest import MAX_DOCUMENT_BYTES, too_large
from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.models.artifact import BASELINE, EXAMPLES, MANIFEST, MODEL, is_manifest, read_manifest
from kingmaker_serving.storage.schemes import find_opener
from kingmaker_serving.storage.secrets import redact
from kingmaker_serving.storage.stream import LastingError, Opener, PassingError, Stream, plain

logger = logging.getLogger(__name__)

DOCUMENTS: Final = {"baseline": BASELINE, "examples": EXAMPLES}
_BEGIN: Final = 64
"""Bytes that show what a file is."""
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 10.0
_PROGRESS_SECONDS: Final = 5.0


@dataclass(slots=True)
class _Attempt:
    """How far the present attempt at a file is; what a person is told when the time is up."""

    received: int = 0
    length: int | None = None
    before: str = ""
    """Why the attempt before this one failed."""

    @override
    def __str__(self) -> str:
        """Say how much came."""
        of = "" if self.length is None else f" of {self.length}"
        after = f"; before that: {self.before}" if self.before else ""
        return f"{self.received}{of} bytes came before the time was up{after}"


def fetch(
    folder: Path,
    files: Sequence[tuple[str, str, str | None]],
    *,
    claims: Mapping[str, Path],
    environment: Mapping[str, str],
    max_bytes: int,
    deadline_seconds: float,
) -> None:
    """Download files into a folder. Only in the main thread of a process.

    Args:
        folder: Created when it is not there.
        files: Part (`model`, `baseline`, `examples`), URI and digest of each.
        claims: Where each claim of a pvc:// URI is mounted.
        environment: Holds the credentials.
        max_bytes: Largest model, all its files together; documents have a bound of their own.
        deadline_seconds: For everything, retries included.

    Raises:
        VerbError: UnsupportedScheme, TooLarge, DigestMismatch, or DownloadFailed, also when time ran out.
    """
    work = _Work(claims, environment, time.monotonic() + deadline_seconds)
    folder.mkdir(parents=True, exist_ok=True)
    for part, uri, digest in files:
        if digest is None:
            message = f"--{part}-uri without --{part}-digest; nothing is downloaded that can't be checked"
            raise VerbError(Reason.DIGEST_MISMATCH, message)
        if part == "model":
            _fetch_model(folder, uri, digest, max_bytes, work)
        else:
            _fetch_file(_Target(folder / DOCUMENTS[part], uri, digest, MAX_DOCUMENT_BYTES), work)


def _fetch_model(folder: Path, uri: str, digest: str, max_bytes: int, work: "_Work") -> None:
    """Download a model: a file, or a manifest and the files that it lists, which are beside it."""
    manifest = folder / MANIFEST
    if not _is_there(manifest, digest):
        manifest.unlink(missing_ok=True)
        _fetch_file(_Target(folder / MODEL, uri, digest, max_bytes), work)
        with (folder / MODEL).open("rb") as file:
            if not is_manifest(file.read(_BEGIN)):
                return
        if (folder / MODEL).stat().st_size > MAX_DOCUMENT_BYTES:
            raise too_large("the model's digest manifest", (folder / MODEL).stat().st_size, MAX_DOCUMENT_BYTES)
        (folder / MODEL).rename(manifest)
    found = read_manifest(manifest.read_bytes())
    if found.size > max_bytes:
        raise too_large("the model with all its files", found.size, max_bytes)
    for listed in found.files:
        path = folder / listed.path
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch_file(_Target(path, _beside(uri, listed.path), listed.digest, listed.size), work)


def _fetch_file(target: "_Target", work: "_Work") -> None:
    if _is_there(target.path, target.digest):
        logger.info("already there", extra={"file": target.path.name})
        return
    attempt = _Attempt()
    try:
        with deadline(work.give_up - time.monotonic()):
            opener = find_opener(target.uri, claims=work.claims, environment=work.environment)
            _try(target, opener, attempt, work)
    except TimeUp as error:
        message = f"{plain(target.uri)} can't be downloaded: {attempt}"
        raise VerbError(Reason.DOWNLOAD_FAILED, message) from error


def _beside(uri: str, path: str) -> str:
    """Give the URI of a file by its path relative to another; what follows a `?` may be the key to both."""
    way, mark, query = uri.partition("?")
    return f"{way.rpartition('/')[0]}/{path}{mark}{query}"


@dataclass(frozen=True, slots=True)
class _Work:
    """What holds for every file; `give_up` in monotonic seconds."""

    claims: Mapping[str, Path]
    environment: Mapping[str, str]
    give_up: float


@dataclass(frozen=True, slots=True)
class _Target:
    """What shall be where; `limit` in bytes."""

    path: Path
    uri: str
    digest: str
    limit: int


def _is_there(path: Path, digest: str) -> bool:
    """Whether an earlier run of this container has done the work."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" == digest


def _try(target: _Target, opener: Opener, attempt: _Attempt, work: _Work) -> None:
    """Try until it works, can't work, or the next pause would outlast the time."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            attempt.received, attempt.length = 0, None
            _download(target, opener, attempt)
        except LastingError as error:
            message = f"{plain(target.uri)} can't be read: {error}"
            raise VerbError(Reason.DOWNLOAD_FAILED, message) from error
        except (PassingError, OSError) as error:
            attempt.before = _sentence(error, attempt, work.environment)
            if time.monotonic() + pause > work.give_up:
                message = f"{plain(target.uri)} can't be downloaded: {attempt.before}; the time for retries is used up"
                raise VerbError(Reason.DOWNLOAD_FAILED, message) from error
            fields = {"uri": plain(target.uri), "error": attempt.before, "retry_seconds": pause}
            logger.warning("download failed", extra=fields)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        else:
            return


def _sentence(error: Exception, attempt: _Attempt, environment: Mapping[str, str]) -> str:
    text = str(error) if isinstance(error, PassingError) else f"{type(error).__name__}: {error}"
    if attempt.length is not None and " bytes came" not in text:
        text += f", {attempt.received} of {attempt.length} bytes came"
    return redact(text, environment)[:300]


def _download(target: _Target, opener: Opener, attempt: _Attempt) -> None:
    path = target.path
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        partial = Path(file.name)
        try:
            with opener() as stream:
                found = _copy(stream, file, target, attempt)
            if found != target.digest:
                message = (
                    f"{plain(target.uri)} has digest {found}, expected {target.digest}; "
                    "the file is not the one of the Model"
                )
                raise VerbError(Reason.DIGEST_MISMATCH, message)
            file.flush()
            os.fsync(file.fileno())
            partial.chmod(0o444)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    fields = {"file": path.name, "uri": plain(target.uri), "size_bytes": attempt.received}
    logger.info("downloaded", extra=fields)


def _copy(stream: Stream, file: Any, target: _Target, attempt: _Attempt) -> str:  # noqa: ANN401  # typeshed's private type
    """Write the chunks and give their digest.

    Raises:
        PassingError: Fewer or more bytes came than the store had told.
        VerbError: Too many bytes, or no room for them.
    """
    attempt.length = stream.length
    if stream.length is not None and stream.length > target.limit:
        raise too_large(target.path.name, stream.length, target.limit)
    sha, told = hashlib.sha256(), time.monotonic()
    for chunk in stream.chunks:
        attempt.received += len(chunk)
        if attempt.received > target.limit:
            raise too_large(target.path.name, attempt.received, target.limit)
        sha.update(chunk)
        _write(file, chunk, target)
        if time.monotonic() - told > _PROGRESS_SECONDS:
            told = time.monotonic()
            fields = {"file": target.path.name, "size_bytes": attempt.received, "of_bytes": stream.length}
            logger.info("downloading", extra=fields)
    if stream.length is not None and attempt.received != stream.length:
        message = f"{attempt.received} of {stream.length} bytes came"
        raise PassingError(message)
    return f"sha256:{sha.hexdigest()}"


def _write(file: Any, chunk: bytes, target: _Target) -> None:  # noqa: ANN401
    try:
        file.write(chunk)
    except OSError as error:
        message = f"{target.path} can't be written: {error.strerror}; the folder needs room for the whole file"
        raise VerbError(Reason.DOWNLOAD_FAILED, message) from error
