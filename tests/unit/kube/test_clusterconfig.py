"""How the API server is found: by a pod's own token, a simple kubeconfig, and what only the official client can."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from kingmaker.kube import serviceaccount
from kingmaker.kube.clusterconfig import find_api_server
from kingmaker.kube.kubeconfig import KubeconfigError, is_simple
from kingmaker.kube.serviceaccount import of_service_account

WHERE = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a kubelet mounts."""
    (tmp_path / "token").write_text("one\n")
    (tmp_path / "ca.crt").write_bytes(authority())
    return tmp_path


def authority() -> bytes:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def kubeconfig(path: Path, cluster: dict[str, Any], user: dict[str, Any]) -> Path:
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


async def test_a_pods_token_is_read_again_when_it_is_a_minute_old(folder: Path, monkeypatch: Any) -> None:
    found = of_service_account(folder, WHERE)
    assert (found.server, found.tls is not None) == ("https://10.96.0.1:443", True)
    assert await found.headers() == {"Authorization": "Bearer one"}
    (folder / "token").write_text("two")
    assert await found.headers() == {"Authorization": "Bearer one"}
    monkeypatch.setattr(serviceaccount, "_FRESH_SECONDS", 0.0)
    assert await found.headers() == {"Authorization": "Bearer two"}


def test_an_ipv6_address_stands_in_brackets(folder: Path) -> None:
    assert of_service_account(folder, WHERE | {"KUBERNETES_SERVICE_HOST": "fd00::1"}).server == "https://[fd00::1]:443"


@pytest.mark.parametrize("missing", ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "token"])
def test_where_nothing_says_where_it_is_that_is_said(folder: Path, missing: str) -> None:
    if missing == "token":
        (folder / "token").unlink()
    with pytest.raises(KubeconfigError, match=r"no kubeconfig is named, and this is no pod with a ServiceAccount"):
        of_service_account(folder, {key: value for key, value in WHERE.items() if key != missing})


@pytest.mark.parametrize(
    ("cluster", "user", "simple"),
    [
        ({}, {"token": "t"}, True),
        ({"insecure-skip-tls-verify": True}, {"client-certificate": "c", "client-key": "k"}, True),
        ({}, {"exec": {"command": "aws"}}, False),
        ({}, {"tokenFile": "/token"}, False),
        ({"proxy-url": "http://proxy"}, {"token": "t"}, False),
        ({"tls-server-name": "other"}, {"token": "t"}, False),
    ],
)
def test_what_is_simple(tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], simple: bool) -> None:
    file = kubeconfig(tmp_path / "config", {"server": "http://api"} | cluster, user)
    assert is_simple(file) is simple


def test_several_files_are_not_simple() -> None:
    assert not is_simple(Path("/one:/other"))


async def test_a_plugin_is_asked(tmp_path: Path) -> None:
    status = "{apiVersion: client.authentication.k8s.io/v1, kind: ExecCredential, status: {token: from-plugin}}"
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": "echo", "args": [to_json(status)]}
    user = {"exec": command | {"interactiveMode": "Never"}}
    found = await find_api_server(str(kubeconfig(tmp_path / "config", {"server": "http://api"}, user)))
    assert found.server == "http://api"
    assert await found.headers() == {"Authorization": "Bearer from-plugin"}


def to_json(text: str) -> str:
    import json

    return json.dumps(yaml.safe_load(text))


@pytest.mark.parametrize("user", [{"token": "t"}, {"auth-provider": {"name": "oidc"}}], ids=["simple", "not simple"])
async def test_what_is_malformed_is_named(tmp_path: Path, user: dict[str, Any]) -> None:
    file = kubeconfig(tmp_path / "config", {"server": ""}, user)
    file.write_text(file.read_text().replace("name: u", "name: other"))
    with pytest.raises(KubeconfigError, match=str(file)):
        await find_api_server(str(file))


def test_the_operator_starts_without_the_official_client() -> None:
    code = "import sys, kingmaker.__main__; sys.exit('kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
