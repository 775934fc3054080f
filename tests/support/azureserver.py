"""A real server of Azure's blob API for tests: Azurite, Microsoft's own, from npm; one process."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kingmaker_laptop.binary import cache_folder
from kingmaker_laptop.locks import locked
from support.goprogram import PROGRAMS
from support.localprocess import free_port, running

SOURCE = PROGRAMS / "azurite"
"""MIT. Needs node and npm, 20 or newer. The lock beside its package is made by `npm install --package-lock-only`."""
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account that every Azurite has; no secret."""


def ensure_azurite() -> Path:
    """Give its blob server's program, installed once into the user's cache, half a minute."""
    npm = shutil.which("npm")
    assert npm, "npm is not on the PATH; install Node.js 20 or newer, or leave `az` out of KINGMAKER_TEST_STORES"
    lock = SOURCE / "package-lock.json"
    folder = cache_folder() / "node" / f"azurite-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    program = folder / "node_modules" / ".bin" / "azurite-blob"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "install.lock"):
        if not program.exists():
            for file in (SOURCE / "package.json", lock):
                shutil.copy(file, folder)
            command = [npm, "ci", "--ignore-scripts", "--no-fund", "--no-audit"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-3000:]}"
    return program


@dataclass(frozen=True)
class AzureServer:
    """A running server."""

    port: int
    bucket: str = "az://models"
    missing: str = "az://no-such-container/model.onnx"

    def credentials(self, endpoint: str, *, account: str = ACCOUNT, key: str = KEY) -> dict[str, str]:
        """Variables as a Secret holds them."""
        return {"AZURE_STORAGE_CONNECTION_STRING": self._connection(endpoint, account, key)}

    def put(self, key: str, content: bytes) -> str:
        """Upload as a trainer would; gives the URI."""
        self.container().upload_blob(key, content, overwrite=True)
        return f"{self.bucket}/{key}"

    def container(self) -> Any:
        from azure.storage.blob import ContainerClient

        connection = self._connection(f"http://127.0.0.1:{self.port}", ACCOUNT, KEY)
        return ContainerClient.from_connection_string(connection, "models")

    @staticmethod
    def is_content(path: str) -> bool:
        """Whether a request asks for a blob, not for a listing."""
        return "restype=" not in path

    @staticmethod
    def _connection(endpoint: str, account: str, key: str) -> str:
        return f"AccountName={account};AccountKey={key};BlobEndpoint={endpoint}/{account}"


@contextmanager
def running_azure_server(folder: Path) -> Iterator[AzureServer]:
    """Run a server with the container `models` while the block runs."""
    server = AzureServer(free_port())
    # The client's library is often newer than the server's list of versions.
    quiet = ["--inMemoryPersistence", "--disableTelemetry", "--silent", "--skipApiVersionCheck"]
    with running([str(ensure_azurite()), "--blobPort", str(server.port), *quiet], server.port, folder):
        server.container().create_container()
        yield server
