"""Which schemes of URIs can be read, and what opens each. A new one is a line here and, mostly, a file in `stores/`.

The operator's list, by which Models are refused before anything runs, is `kingmaker.api.schemes`; a test holds both
equal.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.storage.local import Claims, claim_opener, file_opener, path_opener
from kingmaker_serving.storage.plugin import Environment, Plugin, plugin_opener
from kingmaker_serving.storage.stores.azure import AZURE
from kingmaker_serving.storage.stores.google import GOOGLE
from kingmaker_serving.storage.stores.hub import HUB
from kingmaker_serving.storage.stores.s3 import S3
from kingmaker_serving.storage.stream import LastingError, Opener, plain
from kingmaker_serving.storage.web import web_opener

_Find = Callable[[str, Claims, Environment], Opener]


def _by(plugin: Plugin) -> _Find:
    return lambda uri, _claims, environment: plugin_opener(plugin, uri, environment)


def _web(uri: str, claims: Claims, environment: Environment) -> Opener:
    del claims
    return web_opener(uri, environment)


SCHEMES: Final[Mapping[str, _Find]] = {
    "file": lambda uri, _claims, _environment: file_opener(uri),
    "pvc": lambda uri, claims, _environment: claim_opener(uri, claims),
    "http": _web,
    "https": _web,
    "s3": _by(S3),
    "gs": _by(GOOGLE),
    "az": _by(AZURE),
    "hf": _by(HUB),
}
"""What a Model may name."""
_ALIASES: Final = {"gcs": "gs", "abfs": "az", "abfss": "az"}
"""What else `fetch` takes by hand, as the stores' own tools spell them."""


def find_opener(uri: str, *, claims: Claims, environment: Environment) -> Opener:
    """Give what opens a URI.

    Args:
        uri: A URI, or an absolute path.
        claims: Where each claim of `pvc://CLAIM/path` is mounted.
        environment: Holds the credentials.

    Raises:
        VerbError: UnsupportedScheme, naming what to install or which schemes there are; DownloadFailed where what the
            URI names can't be there, such as a claim that is not mounted.
    """
    scheme = urlsplit(uri).scheme.lower()
    if scheme == "" and uri.startswith("/"):
        return path_opener(Path(uri))
    find = SCHEMES.get(_ALIASES.get(scheme, scheme))
    if find is None:
        message = f"{plain(uri)[:300]!r} has no scheme that can be read; use one of {', '.join(SCHEMES)}"
        raise VerbError(Reason.UNSUPPORTED_SCHEME, message)
    try:
        return find(uri, claims, environment)
    except LastingError as error:
        message = f"{plain(uri)} can't be read: {error}"
        raise VerbError(Reason.DOWNLOAD_FAILED, message) from error
    except ModuleNotFoundError as error:
        raise VerbError(Reason.UNSUPPORTED_SCHEME, str(error)) from error
