"""How a program in or outside of a cluster finds the API server, by the rules of the official client.

Kubeconfigs with exec plugins and other credentials that expire, and a pod's own ServiceAccount. Importing `kubernetes`
takes time and 20 MiB, so laptop processes, whose kubeconfig is known to be simple, use `kubeconfig` instead.
"""

from __future__ import annotations

import ssl

from kubernetes.aio import config
from kubernetes.aio.client import Configuration

from kingmaker.kube.kubeconfig import Connection


async def find_api_server(kubeconfig: str | None) -> Connection:
    """Read a kubeconfig, or what a pod is given when there is none.

    Raises:
        ConfigException: Neither says where the API server is (`kubernetes.config`).
        OSError: A file can't be read.
    """
    found = Configuration()
    if kubeconfig:
        await config.load_kube_config(config_file=kubeconfig, client_configuration=found)
    else:
        config.load_incluster_config(client_configuration=found)
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
