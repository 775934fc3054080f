"""Google Cloud Storage: `gs://bucket/key`."""

import json
from typing import Any, Final

from kingmaker_serving.storage.plugin import CONNECT_SECONDS, READ_SECONDS, Environment, Options, Plugin
from kingmaker_serving.storage.stream import LastingError


def _options(uri: str, environment: Environment) -> Options:
    import aiohttp  # noqa: PLC0415  # only for this scheme

    from kingmaker_serving.storage.stores.redirects import refuse_redirects  # noqa: PLC0415

    del uri
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
    options: Options = {
        "requests_timeout": timeout,
        "access": "read_only",
        "session_kwargs": {"trace_configs": [refuse_redirects()], "trust_env": True},
    }
    if environment.get("FSSPEC_GS_TOKEN") or environment.get("FSSPEC_GCS_TOKEN"):
        return options
    return options | {"token": _token(environment)}


def _token(environment: Environment) -> Any:  # noqa: ANN401  # gcsfs takes names, documents and objects
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


def _limit(store: Any) -> None:  # noqa: ANN401  # file systems of plugins share no type
    # A key that is refused is tried six times over when a request asks for the token.
    store.credentials.maybe_refresh()


GOOGLE: Final = Plugin(
    package="gcsfs",
    options=_options,
    limit=_limit,
    variables={"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false", "NO_GCE_CHECK": "true"},
    refusals=frozenset({"DefaultCredentialsError", "RefreshError", "MalformedError"}),
)
