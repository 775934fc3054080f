"""S3, and what speaks its protocol: `s3://bucket/key`."""

from typing import Any, Final
from urllib.parse import urlsplit

from kingmaker_serving.storage.plugin import CONNECT_SECONDS, READ_SECONDS, Environment, Options, Plugin


def _options(uri: str, environment: Environment) -> Options:
    from kingmaker_serving.storage.stores.s3session import UnredirectedSession  # noqa: PLC0415  # only for this scheme

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


def _limit(store: Any) -> None:  # noqa: ANN401  # file systems of plugins share no type
    # On top of those of the library below.
    store.retries = 2


S3: Final = Plugin(
    package="s3fs",
    options=_options,
    limit=_limit,
    variables={"AWS_EC2_METADATA_DISABLED": "true"},
    refusals=frozenset({"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"}),
)
