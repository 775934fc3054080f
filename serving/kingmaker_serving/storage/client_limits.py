"""Keep a store's library from repeating by itself for minutes, and from following redirects."""

from typing import Any

from kingmaker_serving.storage.options import CONNECT_SECONDS, READ_SECONDS


def limit_requests(scheme: str, store: Any) -> None:  # noqa: ANN401  # file systems of plugins share no type
    """Set what a library takes no arguments for. Who repeats looks like who hangs, and `fetch` repeats anyway."""
    if scheme == "s3":
        # On top of those of the library below.
        store.retries = 2
    elif scheme in {"az", "abfs", "abfss"}:
        _restrain_azure(store.service_client)
    elif scheme in {"gs", "gcs"}:
        # A key that is refused is tried six times over when a request asks for the token.
        store.credentials.maybe_refresh()


def _restrain_azure(client: Any) -> None:  # noqa: ANN401  # half typed, and an optional dependency
    from azure.core.pipeline.policies import AsyncRedirectPolicy  # noqa: PLC0415  # only for this scheme

    settings = client._config  # noqa: SLF001  # its arguments are out of reach behind adlfs
    settings.retry_policy.total_retries, settings.retry_policy.initial_backoff = 1, 1
    settings.transport.connection_config.timeout = CONNECT_SECONDS
    settings.transport.connection_config.read_timeout = READ_SECONDS
    for policy in client._pipeline._impl_policies:  # noqa: SLF001
        if isinstance(policy, AsyncRedirectPolicy):
            policy.allow = False
