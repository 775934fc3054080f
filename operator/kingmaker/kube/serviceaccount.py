"""What a pod is given to reach the API server: its address, its authority, and a token that is replaced by and by."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kingmaker.kube.kubeconfig import Connection, KubeconfigError

FOLDER: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_FRESH_SECONDS: Final = 60.0
"""A token is replaced long before it expires; the official clients read it as often."""


@dataclass(slots=True)
class _Token:
    """The token in a file, read again when what is known of it is a minute old."""

    file: Path
    _known: str = ""
    _read: float = field(default=float("-inf"))

    async def authorize(self) -> str:
        """Give the header `Authorization`."""
        if time.monotonic() - self._read >= _FRESH_SECONDS:
            self._known, self._read = self.file.read_text().strip(), time.monotonic()
        return f"Bearer {self._known}"


def of_service_account(
    folder: Path = FOLDER,
    environ: Mapping[str, str] = os.environ,  # noqa: TID251  # the kubelet says it there; it is nobody's setting
) -> Connection:
    """Give the connection of the pod that this process runs in.

    Args:
        folder: Where the kubelet puts token and authority.
        environ: With the API server's address.

    Raises:
        KubeconfigError: This is no pod, or one without a token.
    """
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    token, authority = folder / "token", folder / "ca.crt"
    if not host or not port or not token.exists():
        raise KubeconfigError(f"no kubeconfig is named, and this is no pod with a ServiceAccount: no {token}")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    tls = ssl.create_default_context(cafile=str(authority))
    return Connection(server, tls, token=None, authorize=_Token(token).authorize)
