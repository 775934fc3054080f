"""Credentials of Google's, Azure's and the Hub's protocols: what is wrong with them is said at once, and they stay."""

import base64
import datetime as dt
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from support.azureserver import ACCOUNT, KEY
from support.faultproxy import FaultProxy, Faults
from support.hubserver import TOKEN, HubServer, running_hub_server
from support.stores import against

PROMPT_SECONDS = 30
DENIED = "access is denied; check the credentials in the Secret"


@pytest.fixture
def uri(store) -> str:
    return f"{store.bucket}/churn/1/model.onnx"


@against("hub")
def test_the_hub_may_send_elsewhere_but_the_token_stays(taken, store: HubServer, uri: str, content: bytes) -> None:
    """As it does with large files: they are at another host, behind an address with a signature."""
    with running_hub_server() as elsewhere:
        elsewhere.put("churn/1/model.onnx", content)
        store.elsewhere = f"http://localhost:{elsewhere.port}"
        try:
            done = taken(uri)
            elsewhere.files = {}
            gone = taken(uri)
        finally:
            store.elsewhere = ""
    assert (done.code, done.files) == (0, ["model.onnx"]), done.stderr
    gone.assert_refused("DownloadFailed", "check")
    assert elsewhere.authorizations == {""}


@against("hub")
@pytest.mark.parametrize(
    ("changed", "bucket", "words"),
    [
        ({"HF_TOKEN": "hf_ofYesterday"}, "hf://tests/models", DENIED),
        ({"HF_TOKEN": ""}, "hf://tests/models", DENIED),
        ({}, "hf://tests/models@nowhere", "check bucket and path"),
        ({}, "hf://tests/nothing", DENIED),
    ],
)
def test_what_is_wrong_with_the_hub_is_said_at_once(taken, changed: dict[str, str], bucket: str, words: str) -> None:
    done = taken(f"{bucket}/churn/1/model.onnx", **changed)
    done.assert_refused("DownloadFailed", words)
    assert done.seconds < PROMPT_SECONDS
    assert "hf_ofYesterday" not in done.message + done.stderr


@against("hub")
@pytest.mark.parametrize(("header", "code"), [(f"Bearer {TOKEN}", 0), ("Bearer hf_ofYesterday", 1), ("", 1)])
def test_a_header_of_the_secret_opens_a_web_server(taken, store: HubServer, header: str, code: int) -> None:
    done = taken(
        f"http://127.0.0.1:{store.port}/tests/models/resolve/main/churn/1/model.onnx", HTTP_AUTHORIZATION=header
    )
    assert done.code == code, done.stderr
    if code:
        done.assert_refused("DownloadFailed", DENIED)
        assert "hf_ofYesterday" not in done.message + done.stderr


def _azure(endpoint: str, **changed: str) -> dict[str, str]:
    parts = {"AccountName": ACCOUNT, "AccountKey": KEY, "BlobEndpoint": f"{endpoint}/{ACCOUNT}"} | changed
    connection = ";".join(f"{name}={value}" for name, value in parts.items() if value)
    return {"AZURE_STORAGE_CONNECTION_STRING": connection}


def _signature(hours: float) -> str:
    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    expiry = dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours)
    permission = ContainerSasPermissions(read=True, list=True)
    return generate_container_sas(ACCOUNT, "models", account_key=KEY, permission=permission, expiry=expiry)


@against("az")
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"AccountKey": base64.b64encode(b"a key of yesterday").decode()}, DENIED),
        ({"AccountKey": "not-base64-of-anything"}, "credentials are missing or refused; check the Secret's variables"),
        ({"AccountKey": ""}, "check"),
        ({"AccountName": "nobody"}, "check"),
        ({"BlobEndpoint": "https:/nonsense"}, "check"),
    ],
)
def test_what_is_wrong_with_azure_is_said_at_once(taken, way, uri: str, changed: dict[str, str], words: str) -> None:
    done = taken(uri, **_azure(way.url, **changed))
    done.assert_refused("DownloadFailed", words)
    assert done.seconds < PROMPT_SECONDS
    assert changed.get("AccountKey") or KEY not in done.message + done.stderr


@against("az")
def test_a_shared_access_signature_is_enough_until_it_expires(taken, way: FaultProxy, uri: str) -> None:
    good, expired = _signature(1), _signature(-1)
    done = taken(uri, **_azure(way.url, AccountKey="", SharedAccessSignature=good))
    assert done.code == 0, done.stderr
    late = taken(uri, **_azure(way.url, AccountKey="", SharedAccessSignature=expired))
    late.assert_refused("DownloadFailed", DENIED)
    assert expired.rpartition("sig=")[2] not in late.message + late.stderr


@against("gs")
def test_a_key_file_that_is_refused_is_said(taken, uri: str) -> None:
    """Google's library asks for a token where the document says."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    private = key.private_bytes(*form).decode()
    with running_hub_server() as nobody:
        document = {
            "type": "service_account",
            "client_email": "trainer@example.com",
            "private_key": private,
            "token_uri": f"http://127.0.0.1:{nobody.port}/token",
        }
        done = taken(uri, GOOGLE_CREDENTIALS=json.dumps(document), GOOGLE_OAUTH_ACCESS_TOKEN="")
    done.assert_refused("DownloadFailed", "check the Secret's variables")
    assert private.splitlines()[3] not in done.message + done.stderr
    assert done.seconds < PROMPT_SECONDS


@against("gs", "az")
def test_a_redirect_to_elsewhere_is_not_followed(taken, way: FaultProxy, uri: str) -> None:
    with running_hub_server() as elsewhere:
        way.faults = Faults(location=f"http://localhost:{elsewhere.port}/model.onnx")
        done = taken(uri)
    done.assert_refused("DownloadFailed", "redirects to")
    assert elsewhere.authorizations == set()
