"""Real servers of stores, a proxy that does harm, and `kingmaker-serving fetch` as a process."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support import stores
from support.azureserver import KEY as AZURE_KEY
from support.faultproxy import FaultProxy, running_fault_proxy
from support.hubserver import SIGNATURE, TOKEN
from support.s3server import BUCKET, SECRET, S3Server, running_s3_server

CONTENT = bytes(range(256)) * 4096
"""A mebibyte."""
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
KEY = "churn/1/model.onnx"
_SECRETS = (SECRET, "X-Amz-Signature", "X-Amz-Credential", AZURE_KEY, TOKEN, SIGNATURE, "a-token-of-the-tests")


@dataclass(frozen=True)
class Fetched:
    """How a `fetch` ended."""

    code: int
    told: dict[str, Any]
    stderr: str
    seconds: float
    files: list[str]

    @property
    def reason(self) -> str:
        return self.told.get("reason", "")

    @property
    def message(self) -> str:
        return self.told.get("message", "")

    def assert_refused(self, reason: str, words: str) -> None:
        """It ended with a reason, and left nothing behind."""
        assert (self.code, self.reason) == (1, reason), self.stderr
        assert words in self.message, self.message
        assert self.files == []
        for secret in _SECRETS:
            assert secret not in self.message + self.stderr


@dataclass
class Fetcher:
    """Runs `fetch` into a fresh folder."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    runs: int = 0

    def __call__(self, uri: str, *arguments: str, digest: str = DIGEST, **variables: str) -> Fetched:
        self.runs += 1
        place, log = self.folder / f"model-{self.runs}", self.folder / f"log-{self.runs}"
        command = [sys.executable, "-m", "kingmaker_serving", "fetch", "--dir", str(place)]
        command += ["--model-uri", uri, "--model-digest", digest, "--termination-log", str(log), *arguments]
        began = time.monotonic()
        done = subprocess.run(command, env=self._variables(variables), capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began
        told = json.loads(log.read_bytes()) if log.exists() else {}
        files = sorted(path.name for path in place.iterdir()) if place.exists() else []
        return Fetched(done.returncode, told, done.stderr, seconds, files)

    def _variables(self, changed: Mapping[str, str]) -> dict[str, str]:
        # Nothing of the person who runs the tests.
        persons = ("AWS_", "GOOGLE_", "AZURE_", "HF_", "STORAGE_")
        own = {name: value for name, value in os.environ.items() if not name.startswith(persons)}
        merged = own | {"HOME": str(self.folder)} | dict(self.environment) | changed
        return {name: value for name, value in merged.items() if value}


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3_server(tmp_path_factory.mktemp("s3")) as server:
        server.put(KEY, CONTENT)
        yield server


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[FaultProxy]:
    with running_fault_proxy(("127.0.0.1", s3.port)) as running:
        yield running


@pytest.fixture
def fetch(s3: S3Server, tmp_path: Path) -> Fetcher:
    """Fetches from the server itself."""
    return Fetcher(tmp_path, s3.credentials())


@pytest.fixture
def harmed(s3: S3Server, proxy: FaultProxy, tmp_path: Path) -> Fetcher:
    """Fetches through the proxy."""
    return Fetcher(tmp_path, s3.credentials(AWS_ENDPOINT_URL=proxy.url))


@pytest.fixture(params=["s3", "http"])
def uri(request: pytest.FixtureRequest, s3: S3Server, proxy: FaultProxy) -> str:
    """The object as s3://, and as an address that carries its own signature."""
    return f"s3://{BUCKET}/{KEY}" if request.param == "s3" else s3.signed(KEY, proxy.url)


@pytest.fixture(scope="session", params=stores.ALL)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[stores.Store]:
    """A server with the file at KEY: that of these tests, and those of others that are asked for."""
    with stores.running_store(request.param, tmp_path_factory.mktemp(request.param)) as server:
        server.put(KEY, CONTENT)
        yield server


@pytest.fixture
def way(store: stores.Store) -> Iterator[FaultProxy]:
    """The proxy before that server; it harms downloads only."""
    with running_fault_proxy(("127.0.0.1", store.port), store.is_content) as running:
        yield running


@pytest.fixture
def taken(store: stores.Store, way: FaultProxy, tmp_path: Path) -> Fetcher:
    """Fetches from that server, through the proxy."""
    return Fetcher(tmp_path, store.credentials(way.url))


@pytest.fixture
def s3_uri() -> str:
    return f"s3://{BUCKET}/{KEY}"


@pytest.fixture
def content() -> bytes:
    return CONTENT
