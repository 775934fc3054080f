"""A server that others wrote of the Hugging Face Hub's API: olah, from PyPI in an environment of its own, one process.

It serves git repositories of a folder, to anybody, and answers every request with a whole file.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.environments import environment
from kingmaker_laptop.binary import cache_folder
from support.goprogram import PROGRAMS
from support.localprocess import free_port, running

LOCK = PROGRAMS / "olah" / "requirements.lock"
_CONFIGURATION = """
[basic]
host = "127.0.0.1"
port = {port}
repos-path = "{folder}/cache"
mirrors-path = ["{folder}/repositories"]
log-path = "{folder}/logs"
mirror-netloc = "127.0.0.1:{port}"
[accessibility]
offline = true
"""


def ensure_olah() -> Path:
    """Give its program, installed once into the user's cache, a minute."""
    return environment("olah", LOCK, cache_folder() / "python") / "olah-cli"


@dataclass(frozen=True)
class OlahServer:
    """A running server."""

    folder: Path
    port: int
    bucket: str = "hf://tests/models@main"
    missing: str = "hf://tests/no-such-repository@main/model.onnx"

    def credentials(self, endpoint: str) -> dict[str, str]:
        """Variables as a Secret holds them."""
        return {"HF_ENDPOINT": endpoint, "HF_TOKEN": "hf_aTokenOfTheTests"}

    def put(self, key: str, content: bytes) -> str:
        """Commit; gives the URI."""
        repository = self.folder / "repositories" / "models" / "tests" / "models"
        if not repository.exists():
            repository.mkdir(parents=True)
            _run("git", "init", "--quiet", "--initial-branch", "main", str(repository))
        file = repository / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        _run("git", "-C", str(repository), "add", key)
        author = ["-c", "user.name=tests", "-c", "user.email=tests@example.com"]
        _run("git", "-C", str(repository), *author, "commit", "--quiet", "--allow-empty", "--message", key)
        return f"{self.bucket}/{key}"

    @staticmethod
    def is_content(path: str) -> bool:
        """Whether a request asks for a file, not for what is known about it."""
        return "/resolve/" in path


@contextmanager
def running_olah_server(folder: Path) -> Iterator[OlahServer]:
    """Run a server with the repository `tests/models` while the block runs."""
    server = OlahServer(folder, free_port())
    configuration = folder / "olah.toml"
    configuration.write_text(_CONFIGURATION.format(folder=folder, port=server.port))
    own = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "OLAH_"))}
    with running([str(ensure_olah()), "--config", str(configuration)], server.port, folder, own):
        yield server


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-3000:]}"
