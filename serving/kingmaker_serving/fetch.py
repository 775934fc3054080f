"""Download a Model's files: to a temporary name, digest compared, then renamed. Half a file is never seen."""

import hashlib
import logging
import os
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any, Final
from urllib.parse import unquote, urlsplit

from typing_extensions import override

from kingmaker_serving.digest import MAX_DOCUMENT_BYTES, too_large
from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.loading import BASELINE, EXAMPLES, MODEL

logger = logging.getLogger(__name__)

FILES: Final = {"model": MODEL, "baseline": BASELINE, "examples": EXAMPLES}
PLUGINS: Final = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "hf": "huggingface_hub",
    "memory": "",
}
"""Schemes that fsspec reads, and the package that teaches it to."""
_CHUNK: Final = 1024 * 1024
_READ_SECONDS: Final = 30.0
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 10.0
_PROGRESS_SECONDS: Final = 5.0


class _PassingError(Exception):
    """A download that may work the next time."""


def fetch(
    folder: Path, files: Sequence[tuple[str, str, str | None]], *, max_bytes: int, deadline_seconds: float
) -> None:
    """Download files into a folder.

    Args:
        folder: Created when it is not there.
        files: Part (`model`, `baseline`, `examples`), URI and digest of each.
        max_bytes: Largest model; documents have a bound of their own.
        deadline_seconds: For everything, retries included.

    Raises:
        VerbError: UnsupportedScheme, TooLarge, DigestMismatch, or DownloadFailed when time ran out.
    """
    give_up = time.monotonic() + deadline_seconds
    folder.mkdir(parents=True, exist_ok=True)
    for part, uri, digest in files:
        if digest is None:
            message = f"--{part}-uri without --{part}-digest; nothing is downloaded that can't be checked"
            raise VerbError(Reason.DIGEST_MISMATCH, message)
        limit = max_bytes if part == "model" else MAX_DOCUMENT_BYTES
        _fetch_one(folder / FILES[part], uri, digest, limit=limit, give_up=give_up)


def plain(uri: str) -> str:
    """Write a URI for people: without user, password and query, which may hold secrets."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}" if parts.scheme else uri


def _fetch_one(path: Path, uri: str, digest: str, *, limit: int, give_up: float) -> None:
    if _is_there(path, digest):
        logger.info("already there", extra={"file": path.name})
        return
    pause = _FIRST_PAUSE_SECONDS
    opener = _opener(uri)
    while True:
        try:
            _download(path, uri, digest, opener, limit=limit, give_up=give_up)
        except _PassingError as error:
            if time.monotonic() + pause > give_up:
                message = f"{plain(uri)} can't be downloaded: {error}; the time for retries is used up"
                raise VerbError(Reason.DOWNLOAD_FAILED, message) from error
            logger.warning("download failed", extra={"uri": plain(uri), "error": str(error), "retry_seconds": pause})
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        else:
            return


def _is_there(path: Path, digest: str) -> bool:
    """Whether an earlier run of this container has done the work."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" == digest


def _download(
    path: Path,
    uri: str,
    digest: str,
    opener: Callable[[], Any],
    *,
    limit: int,
    give_up: float,
) -> None:
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as target:
        partial = Path(target.name)
        try:
            with _transient(uri), opener() as source:
                found, size = _copy(source, target, path.name, limit=limit, give_up=give_up)
                _check_length(source, size)
            if found != digest:
                message = f"{plain(uri)} has digest {found}, expected {digest}; the file is not the one of the Model"
                raise VerbError(Reason.DIGEST_MISMATCH, message)
            target.flush()
            os.fsync(target.fileno())
            partial.chmod(0o444)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    logger.info("downloaded", extra={"file": path.name, "uri": plain(uri), "size_bytes": size})


def _copy(source: IO[bytes], target: Any, name: str, *, limit: int, give_up: float) -> tuple[str, int]:  # noqa: ANN401
    sha, size = hashlib.sha256(), 0
    told = time.monotonic()
    while chunk := source.read(_CHUNK):
        size += len(chunk)
        if size > limit:
            raise too_large(name, size, limit)
        sha.update(chunk)
        target.write(chunk)
        now = time.monotonic()
        if now > give_up:
            message = f"{size} bytes came before the time was up"
            raise _PassingError(message)
        if now - told > _PROGRESS_SECONDS:
            told = now
            logger.info("downloading", extra={"file": name, "size_bytes": size})
    return f"sha256:{sha.hexdigest()}", size


def _check_length(source: Any, size: int) -> None:  # noqa: ANN401  # a response has headers, a file has not
    headers = getattr(source, "headers", None)
    length = headers.get("content-length") if headers is not None else None
    if length is not None and length.isdigit() and int(length) != size:
        message = f"{size} of {length} bytes came"
        raise _PassingError(message)


@contextmanager
def _transient(uri: str) -> Iterator[None]:
    """Tell what may pass (networks, busy servers) from what will not (not there, not allowed)."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in {408, 425, 429} or error.code >= 500:
            message = f"HTTP status {error.code}"
            raise _PassingError(message) from error
        message = f"{plain(uri)} answers with status {error.code} {error.reason}; check the address and credentials"
        raise VerbError(Reason.DOWNLOAD_FAILED, message) from error
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        message = f"{plain(uri)} can't be read: {type(error).__name__}; check the address and credentials"
        raise VerbError(Reason.DOWNLOAD_FAILED, message) from error
    except (VerbError, _PassingError):
        raise
    except Exception as error:  # every plugin of fsspec has errors of its own
        message = f"{type(error).__name__}: {error}".replace(uri, plain(uri))
        raise _PassingError(message[:300]) from error


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirects within one host only: another one has not been named by anybody."""

    @override
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Follow, or refuse with the host that was named."""
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if (before.hostname, before.port) != (after.hostname, after.port) or after.scheme not in {"http", "https"}:
            message = f"{plain(req.full_url)} redirects to {after.hostname}; name the address where the file is"
            raise VerbError(Reason.DOWNLOAD_FAILED, message)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(uri: str) -> Callable[[], Any]:
    """Give what opens a URI.

    Raises:
        VerbError: UnsupportedScheme, naming what to install or which schemes there are.
    """
    parts = urlsplit(uri)
    scheme = parts.scheme.lower()
    if scheme == "" and uri.startswith("/"):
        return lambda: Path(uri).open("rb")
    if scheme == "file" and parts.hostname in {None, "localhost"}:
        return lambda: Path(unquote(parts.path)).open("rb")
    if scheme in {"http", "https"} and parts.hostname:
        return _web(uri)
    if scheme in PLUGINS:
        return _plugin(uri, scheme)
    message = f"{plain(uri)[:300]!r} has no scheme that can be read; use file, http, https, {', '.join(PLUGINS)}"
    raise VerbError(Reason.UNSUPPORTED_SCHEME, message.replace(", memory", ""))


def _web(uri: str) -> Callable[[], Any]:
    """Open by HTTP; a user and password in the address become the header that they stand for."""
    parts = urlsplit(uri)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    request = urllib.request.Request(bare, headers={"user-agent": "kingmaker-serving"})  # noqa: S310  # http(s) only
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_unredirected_header("authorization", f"Basic {b64encode(pair.encode()).decode()}")
    web = urllib.request.build_opener(_SameHost())
    return lambda: web.open(request, timeout=_READ_SECONDS)


def _plugin(uri: str, scheme: str) -> Callable[[], Any]:
    import fsspec  # noqa: PLC0415  # slow to import, and only for these schemes

    try:
        fsspec.get_filesystem_class(scheme)
    except (ImportError, ValueError) as error:
        message = f"{scheme}:// needs the package {PLUGINS[scheme]!r} in the serving image; install it there"
        raise VerbError(Reason.UNSUPPORTED_SCHEME, message) from error
    return lambda: fsspec.open(uri, "rb").open()
