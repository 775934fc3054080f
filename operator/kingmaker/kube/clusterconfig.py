"""How a program in or outside of a cluster finds the API server.

Most need no more than an address and a token. For kubeconfigs with exec plugins and other credentials that expire there
is the official client, which takes a quarter of a second and 20 MiB to import.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from kingmaker.kube.kubeconfig import Connection, KubeconfigError, is_simple, read_kubeconfig
from kingmaker.kube.serviceaccount import of_service_account

if TYPE_CHECKING:
    from kubernetes.aio.client import Configuration


async def find_api_server(kubeconfig: str | None) -> Connection:
    """Read a kubeconfig, or what a pod is given when there is none.

    Raises:
        KubeconfigError: Neither says where the API server is.
        OSError: A file can't be read.
    """
    if not kubeconfig:
        return of_service_account()
    path = Path(kubeconfig)
    return read_kubeconfig(path) if is_simple(path) else await _by_the_official_client(kubeconfig)


async def _by_the_official_client(kubeconfig: str) -> Connection:
    from kubernetes.aio import config  # noqa: PLC0415
    from kubernetes.aio.client import Configuration  # noqa: PLC0415

    found = Configuration()
    try:
        await config.load_kube_config(config_file=kubeconfig, client_configuration=found)
    except config.ConfigException as error:
        raise KubeconfigError(f"kubeconfig {kubeconfig}: {error}") from error
    return Connection(
        server=str(found.host).rstrip("/"),
        tls=_tls(found) if found.host.startswith("https:") else None,
        token=None,
        authorize=lambda: found.get_api_key_with_prefix("BearerToken", alias="authorization"),
        proxy=found.proxy,
        server_hostname=found.tls_server_name,
    )


def _tls(found: Configuration) -> ssl.SSLContext:
    tls = ssl.create_default_context(cafile=found.ssl_ca_cert, cadata=found.ca_cert_data)
    if found.cert_file:
        tls.load_cert_chain(found.cert_file, keyfile=found.key_file)
    if found.disable_strict_ssl_verification:
        tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not found.verify_ssl:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    return tls
