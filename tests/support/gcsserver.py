"""A real server of Google's storage API for tests: fake-gcs-server, built once with the Go toolchain, one process.

It keeps buckets, objects and their generations, and asks nobody for credentials.
"""

import contextlib
import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from support.goprogram import ensure_program
from support.localprocess import free_port, running

PROGRAM = "fake-gcs-server"
"""BSD-2."""


@dataclass(frozen=True)
class GcsServer:
    """A running server."""

    port: int
    bucket: str = "gs://models"
    missing: str = "gs://no-such-bucket/model.onnx"

    def credentials(self, endpoint: str) -> dict[str, str]:
        """Variables as a Secret holds them."""
        return {"STORAGE_EMULATOR_HOST": endpoint, "GOOGLE_OAUTH_ACCESS_TOKEN": "a-token-of-the-tests"}

    def put(self, key: str, content: bytes) -> str:
        """Upload; gives the URI."""
        self.post(f"/upload/storage/v1/b/models/o?uploadType=media&name={quote(key, safe='')}", content)
        return f"{self.bucket}/{key}"

    def post(self, path: str, content: bytes) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request("POST", path, content)
            response = connection.getresponse()
            assert response.status == 200, response.read()

    @staticmethod
    def is_content(path: str) -> bool:
        """Whether a request asks for bytes of an object, not for what is known about it."""
        return path.startswith("/download/")


@contextmanager
def running_gcs_server(folder: Path) -> Iterator[GcsServer]:
    """Run a server with the bucket `models` while the block runs."""
    server = GcsServer(free_port())
    command = [str(ensure_program(PROGRAM)), "-scheme", "http", "-host", "127.0.0.1", "-backend", "memory"]
    # Where an upload's next part goes.
    command += ["-port", str(server.port), "-external-url", f"http://127.0.0.1:{server.port}"]
    with running(command, server.port, folder):
        server.post("/storage/v1/b?project=tests", b'{"name": "models"}')
        yield server
