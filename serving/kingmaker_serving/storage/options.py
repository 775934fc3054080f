"""What each store's library is told: credentials from variables alone, short timeouts, nothing from a home folder.

Instance metadata and default credentials are used only where a variable asks for them; docs/storage.md lists which.
"""

import json
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

from kingmaker_serving.storage.stream import LastingError

CONNECT_SECONDS: Final = 10
READ_SECONDS: Final = 30
Options = dict[str, Any]
Environment = Mapping[str, str]

_AZURE_IDENTITY: Final = (
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ANON",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_FEDERATED_TOKEN_FILE",
)


def store_options(scheme: str, uri: str, environment: Environment) -> Options:
    """Give the arguments of a scheme's file system.

    Raises:
        LastingError: A variable holds what can't be read.
    """
    return _OPTIONS[scheme](uri, environment)


def quiet_defaults(environment: MutableMapping[str, str]) -> None:
    """Set what libraries read from variables themselves, unless a variable says otherwise already."""
    defaults = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "NO_GCE_CHECK": "true",
    }
    for name, value in defaults.items():
        environment.setdefault(name, value)


def _s3(uri: str, environment: Environment) -> Options:
    from kingmaker_serving.storage.s3session import UnredirectedSession  # noqa: PLC0415

    options: Options = {
        "config_kwargs": {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "retries": {"total_max_attempts": 2, "mode": "standard"},
            "http_session_cls": UnredirectedSession,
        },
        "version_aware": "versionId=" in urlsplit(uri).query,
    }
    # botocore itself knows the older name only.
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    return options | ({"client_kwargs": {"region_name": region}} if region else {})


def _gs(uri: str, environment: Environment) -> Options:
    import aiohttp  # noqa: PLC0415  # only for this scheme

    from kingmaker_serving.storage.redirects import refuse_redirects  # noqa: PLC0415

    del uri
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
    options: Options = {
        "requests_timeout": timeout,
        "access": "read_only",
        "session_kwargs": {"trace_configs": [refuse_redirects()], "trust_env": True},
    }
    if environment.get("FSSPEC_GS_TOKEN") or environment.get("FSSPEC_GCS_TOKEN"):
        return options
    return options | {"token": _google_token(environment)}


def _google_token(environment: Environment) -> Any:  # noqa: ANN401  # gcsfs takes names, documents and objects
    if document := environment.get("GOOGLE_CREDENTIALS"):
        try:
            found = json.loads(document)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            message = "GOOGLE_CREDENTIALS holds no JSON object; put the content of the key file there"
            raise LastingError(message)
        return found
    if token := environment.get("GOOGLE_OAUTH_ACCESS_TOKEN"):
        from google.oauth2.credentials import Credentials  # noqa: PLC0415  # only for this variable

        return Credentials(token)  # type: ignore[no-untyped-call]  # the package is half typed
    return "google_default" if environment.get("GOOGLE_APPLICATION_CREDENTIALS") else "anon"


def _az(uri: str, environment: Environment) -> Options:
    del uri
    # Without credentials the library would ask the node's metadata and the command-line client's folder.
    return {} if any(environment.get(name) for name in _AZURE_IDENTITY) else {"anon": True}


def _hf(uri: str, environment: Environment) -> Options:
    del uri
    return {"endpoint": environment.get("HF_ENDPOINT") or None, "token": environment.get("HF_TOKEN") or False}


_OPTIONS: Final[Mapping[str, Callable[[str, Environment], Options]]] = {
    "s3": _s3,
    "gs": _gs,
    "gcs": _gs,
    "az": _az,
    "abfs": _az,
    "abfss": _az,
    "hf": _hf,
    "memory": lambda _uri, _environment: {},
}
