"""Say who may talk to the API server: a token for each program and for the administrator, and their kubeconfigs."""

import base64
import csv
import io
import secrets
from dataclasses import dataclass
from typing import Final

import yaml

from kingmaker_laptop.files import write_private
from kingmaker_laptop.home import Home

CONTEXT: Final = "kingmaker"
NODE_NAME: Final = "laptop"


@dataclass(frozen=True, slots=True)
class User:
    """A user of the API server, as RBAC and the Node authorizer know it."""

    file: str
    name: str
    group: str = ""


ADMINISTRATOR: Final = User("admin", "kingmaker-admin", "system:masters")
NODE: Final = User("node", f"system:node:{NODE_NAME}", "system:nodes")
USERS: Final = (
    ADMINISTRATOR,
    User("kube-controller-manager", "system:kube-controller-manager"),
    User("kube-scheduler", "system:kube-scheduler"),
    NODE,
)


def prepare_credentials(home: Home, *, server: str) -> None:
    """Write the API server's list of tokens and a kubeconfig for each user; tokens that exist are kept.

    Args:
        home: Its `ca.crt` must exist.
        server: URL of the API server.
    """
    tokens = read_tokens(home)
    rows = io.StringIO()
    for user in USERS:
        token = tokens.setdefault(user.name, secrets.token_urlsafe(32))
        # Source: Kubernetes authentication, "Static token file": token, user, uid, groups.
        csv.writer(rows).writerow([token, user.name, user.name, user.group])
        write_private(
            home.user_kubeconfig(user.file), render_kubeconfig(home, server=server, user=user.name, token=token)
        )
    write_private(home.credentials / "tokens.csv", rows.getvalue())
    administrator = tokens[ADMINISTRATOR.name]
    write_private(home.kubeconfig, render_kubeconfig(home, server=server, user=ADMINISTRATOR.name, token=administrator))


def read_tokens(home: Home) -> dict[str, str]:
    """Read the tokens by user; empty before the first start."""
    path = home.credentials / "tokens.csv"
    if not path.exists():
        return {}
    return {row[1]: row[0] for row in csv.reader(path.read_text().splitlines()) if len(row) >= 2}


def render_kubeconfig(home: Home, *, server: str, user: str, token: str) -> str:
    """Give a kubeconfig that works from everywhere: the authority's certificate is inside."""
    authority = (home.credentials / "ca.crt").read_bytes()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": CONTEXT, "cluster": {"server": server, "certificate-authority-data": _base64(authority)}}
        ],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": user, "namespace": "default"}}],
        "current-context": CONTEXT,
    }
    return yaml.safe_dump(document, sort_keys=False)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
