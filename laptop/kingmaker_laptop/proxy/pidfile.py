"""What the proxy leaves in the node's folder, so that the next node process finds it."""

import hashlib
from pathlib import Path
from typing import Final

LOCK: Final = "proxy.lock"
PIDFILE: Final = "proxy.json"


def kubeconfig_digest(path: Path) -> str:
    """Name the API server and credentials that a proxy was started with."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
