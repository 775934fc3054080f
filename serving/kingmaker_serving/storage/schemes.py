"""Find what opens a URI."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.storage.local import claim_opener, path_opener
from kingmaker_serving.storage.plugins import PLUGINS, plugin_opener
from kingmaker_serving.storage.stream import LastingError, Opener, plain
from kingmaker_serving.storage.web import web_opener

SCHEMES: Final = "file, http, https, pvc, s3, gs, az, hf"


def find_opener(uri: str, *, claims: Mapping[str, Path], environment: Mapping[str, str]) -> Opener:
    """Give what opens a URI.

    Args:
        uri: A URI, or an absolute path.
        claims: Where each claim of `pvc://CLAIM/path` is mounted.
        environment: Holds the credentials.

    Raises:
        VerbError: UnsupportedScheme, naming what to install or which schemes there are; DownloadFailed for a claim
            that is not mounted.
    """
    parts = urlsplit(uri)
    scheme = parts.scheme.lower()
    if scheme == "" and uri.startswith("/"):
        return path_opener(Path(uri))
    if scheme == "file" and parts.hostname in {None, "localhost"}:
        return path_opener(Path(unquote(parts.path)))
    if scheme in {"http", "https"} and parts.hostname:
        return web_opener(uri, environment)
    try:
        if scheme == "pvc":
            return claim_opener(uri, claims)
        if scheme in PLUGINS:
            return plugin_opener(uri, scheme, environment)
    except LastingError as error:
        message = f"{plain(uri)} can't be read: {error}"
        raise VerbError(Reason.DOWNLOAD_FAILED, message) from error
    except ModuleNotFoundError as error:
        raise VerbError(Reason.UNSUPPORTED_SCHEME, str(error)) from error
    message = f"{plain(uri)[:300]!r} has no scheme that can be read; use one of {SCHEMES}"
    raise VerbError(Reason.UNSUPPORTED_SCHEME, message)
