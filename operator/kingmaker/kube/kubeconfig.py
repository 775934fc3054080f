"""Read where the API server is, and how to prove who we are, from a kubeconfig file. Exec plugins are not run."""

import base64
import os
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

_OF_CLUSTER: Final = {"server", "certificate-authority", "certificate-authority-data", "insecure-skip-tls-verify"}
_OF_USER: Final = {"token", "client-certificate", "client-certificate-data", "client-key", "client-key-data"}
"""What a simple kubeconfig says. A token in a file is replaced some day, so that is none."""


class KubeconfigError(ValueError):
    """A kubeconfig that can't be used; the message names the file and what is wrong."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the API server listens and what to show it.

    Attributes:
        server: Base URL without a slash at the end.
        tls: None for plain http.
        token: Bearer token, None when the client certificate says who we are.
        authorize: Gives the header `Authorization` anew for each request, where credentials expire; None: `token` does.
        proxy: URL of an HTTP proxy before the API server.
        server_hostname: Name that the certificate has to be for, where it is not that of `server`.
    """

    server: str
    tls: ssl.SSLContext | None
    token: str | None
    authorize: Callable[[], Awaitable[str | None]] | None = None
    proxy: str | None = None
    server_hostname: str | None = None

    async def headers(self) -> dict[str, str]:
        """Give the headers that prove who we are."""
        said = await self.authorize() if self.authorize else self.token and f"Bearer {self.token}"
        return {"Authorization": said} if said else {}


def read_kubeconfig(path: Path) -> Connection:
    """Read the current context of a kubeconfig.

    Raises:
        KubeconfigError: The file is missing, malformed, or its current context is incomplete.
    """
    cluster, user = _current(path)
    server = str(cluster.get("server", "")).rstrip("/")
    if not server:
        raise KubeconfigError(f"kubeconfig {path}: the current cluster names no server")
    tls = _tls_context(cluster, user, path.parent) if server.startswith("https:") else None
    return Connection(server, tls, _token(user, path.parent))


def is_simple(path: Path) -> bool:
    """Whether nothing in the current context needs more than `read_kubeconfig`: no plugins, no proxies, one file.

    Raises:
        KubeconfigError: As above.
    """
    if os.pathsep in str(path):
        return False
    cluster, user = _current(path)
    return cluster.keys() <= _OF_CLUSTER and user.keys() <= _OF_USER


def _current(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read cluster and user of the current context."""
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise KubeconfigError(f"kubeconfig {path}: {error}") from error
    if not isinstance(document, dict):
        raise KubeconfigError(f"kubeconfig {path}: expected a mapping, found {type(document).__name__}")
    context = _named(document, "contexts", document.get("current-context"), path)["context"]
    cluster = _named(document, "clusters", context.get("cluster"), path)["cluster"]
    return cluster, _named(document, "users", context.get("user"), path)["user"] or {}


def _named(document: dict[str, Any], section: str, name: str | None, path: Path) -> dict[str, Any]:
    for entry in document.get(section) or []:
        if entry.get("name") == name:
            found: dict[str, Any] = entry
            return found
    raise KubeconfigError(f"kubeconfig {path}: no entry {name!r} in {section}; check current-context")


def _token(user: dict[str, Any], folder: Path) -> str | None:
    if user.get("token"):
        return str(user["token"])
    if user.get("tokenFile"):
        return (folder / str(user["tokenFile"])).read_text().strip()
    return None


def _tls_context(cluster: dict[str, Any], user: dict[str, Any], folder: Path) -> ssl.SSLContext:
    authority = _bytes(cluster, "certificate-authority", folder)
    tls = ssl.create_default_context(cadata=authority.decode() if authority else None)
    # A control plane's own authority often lacks the key usage that strict checking asks for.
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    certificate, key = _bytes(user, "client-certificate", folder), _bytes(user, "client-key", folder)
    if certificate and key:
        # OpenSSL loads a client certificate from a file only; the file lives for this one call.
        with tempfile.NamedTemporaryFile(suffix=".pem") as pem:
            pem.write(certificate + b"\n" + key)
            pem.flush()
            tls.load_cert_chain(pem.name)
    return tls


def _bytes(entry: dict[str, Any], field: str, folder: Path) -> bytes | None:
    if entry.get(f"{field}-data"):
        return base64.b64decode(entry[f"{field}-data"])
    if entry.get(field):
        return (folder / str(entry[field])).read_bytes()
    return None
