"""Credentials of an S3 server: those of the variables or none, and what is wrong with them is said at once."""

import json
from pathlib import Path

import pytest

from support.s3server import BUCKET, KEY, S3Server

PROMPT_SECONDS = 30
"""Of a deadline of 600: on a busy machine a process takes seconds to start."""


def test_a_secrets_variables_are_enough(fetch, s3_uri: str) -> None:
    done = fetch(s3_uri)
    assert (done.code, done.files) == (0, ["model.onnx"]), done.stderr


def test_a_server_by_name_is_asked_for_paths(fetch, s3: S3Server, s3_uri: str) -> None:
    done = fetch(s3_uri, AWS_ENDPOINT_URL=f"http://localhost:{s3.port}")
    assert done.code == 0, done.stderr


def test_an_address_with_a_signature_needs_no_credentials(fetch, s3: S3Server) -> None:
    done = fetch(s3.signed("churn/1/model.onnx", s3.endpoint), AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert done.code == 0, done.stderr
    assert "Signature" not in done.stderr


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "not-the-secret"}, "access is denied; check the credentials in the Secret"),
        ({"AWS_ACCESS_KEY_ID": "nobody-we-know"}, "No user exists with the provided access key ID"),
        ({"AWS_SESSION_TOKEN": "a-token-of-yesterday"}, "whether the credentials have expired"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "credentials are missing or refused; check the Secret's variables"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "credentials are missing or refused"),
        ({"AWS_ENDPOINT_URL": "s3.example.com"}, "Invalid endpoint: s3.example.com"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "FSSPEC_S3_ANON": "true"}, "access is denied"),
    ],
)
def test_what_is_wrong_is_said_at_once(fetch, s3_uri: str, changed: dict[str, str], words: str) -> None:
    done = fetch(s3_uri, **changed)
    done.assert_refused("DownloadFailed", words)
    assert done.seconds < PROMPT_SECONDS
    for secret in ("not-the-secret", "nobody-we-know", "a-token-of-yesterday", KEY):
        assert secret not in done.message + done.stderr


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        (f"s3://{BUCKET}/nothing/model.onnx", "check bucket and path"),
        ("s3://no-such-bucket/model.onnx", "check bucket and path"),
        (f"s3://{BUCKET}/churn", "it is a folder"),
    ],
)
def test_what_is_not_there_is_said_at_once(fetch, uri: str, words: str) -> None:
    done = fetch(uri)
    done.assert_refused("DownloadFailed", words)
    assert done.seconds < PROMPT_SECONDS


def test_nothing_is_taken_from_a_home_folder(fetch, s3: S3Server, s3_uri: str, tmp_path: Path) -> None:
    """A pod's HOME is an empty folder of its own; on a laptop too. Profiles are read when they are named only."""
    for name, region in (("credentials", ""), ("config", "region = us-east-1\n")):
        file = tmp_path / "person" / ".aws" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = x\n{region}")
    done = fetch(s3_uri, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    done.assert_refused("DownloadFailed", "credentials are missing")


def test_a_version_of_an_object_can_be_named(fetch, s3: S3Server, content: bytes) -> None:
    uri = "s3://versioned/model.onnx"
    first, _ = s3.put_versions("versioned", "model.onnx", content, content + b"newer")
    fetch(uri).assert_refused("DigestMismatch", "the file is not the one of the Model")
    done = fetch(f"{uri}?versionId={first}")
    assert done.code == 0, done.stderr


def test_what_is_larger_than_allowed_is_refused_before_it_comes(fetch, s3_uri: str) -> None:
    done = fetch(s3_uri, "--max-bytes", "1000")
    done.assert_refused("TooLarge", "has 1048576 bytes, at most 1000 are accepted")


def test_a_google_key_that_is_no_document_is_named(fetch) -> None:
    done = fetch("gs://models/model.onnx", GOOGLE_CREDENTIALS="/a/path/of/yesterday")
    done.assert_refused("DownloadFailed", "GOOGLE_CREDENTIALS holds no JSON object")
    assert "yesterday" not in json.dumps(done.told) + done.stderr
