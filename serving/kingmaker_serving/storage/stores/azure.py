"""Azure Blob Storage: `az://container/key`."""

from typing import Any, Final

from kingmaker_serving.storage.plugin import CONNECT_SECONDS, READ_SECONDS, Environment, Options, Plugin

_IDENTITY: Final = (
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ANON",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_FEDERATED_TOKEN_FILE",
)


def _options(uri: str, environment: Environment) -> Options:
    del uri
    # Without credentials the library would ask the node's metadata and the command-line client's folder.
    return {} if any(environment.get(name) for name in _IDENTITY) else {"anon": True}


def _limit(store: Any) -> None:  # noqa: ANN401  # file systems of plugins share no type
    from azure.core.pipeline.policies import AsyncRedirectPolicy  # noqa: PLC0415  # only for this scheme

    client = store.service_client
    settings = client._config  # noqa: SLF001  # its arguments are out of reach behind adlfs
    settings.retry_policy.total_retries, settings.retry_policy.initial_backoff = 1, 1
    settings.transport.connection_config.timeout = CONNECT_SECONDS
    settings.transport.connection_config.read_timeout = READ_SECONDS
    for policy in client._pipeline._impl_policies:  # noqa: SLF001
        if isinstance(policy, AsyncRedirectPolicy):
            policy.allow = False


AZURE: Final = Plugin(
    package="adlfs",
    options=_options,
    limit=_limit,
    refusals=frozenset({"AzureSigningError", "ClientAuthenticationError", "CredentialUnavailableError"}),
)
