"""An index that has a newer release of everything that is locked, and environments with the pip of choice."""

import functools
import http.server
import io
import os
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import install

NEWER = "99999.0"
"""Newer than every locked release."""


def newer_wheel(name: str) -> bytes:
    """Give a wheel of that release, valid and empty."""
    about = f"{name.replace('-', '_')}-{NEWER}.dist-info"
    files = {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {NEWER}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{about}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{about}/RECORD"))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return content.getvalue()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        """Keep it out of the tests' output."""


@pytest.fixture(scope="session")
def newer_releases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the newer releases as a package index (PEP 503) and give its URL."""
    folder = tmp_path_factory.mktemp("index")
    for name in re.findall(r"^([a-z0-9-]+)==", install.LOCK.read_text(), re.MULTILINE):
        (folder / name).mkdir(exist_ok=True)
        wheel = f"{name.replace('-', '_')}-{NEWER}-py3-none-any.whl"
        (folder / name / wheel).write_bytes(newer_wheel(name))
        (folder / name / "index.html").write_text(f'<!DOCTYPE html><a href="{wheel}">{wheel}</a>')
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


Pip = Callable[[list[str]], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def pip(newer_releases: str) -> Pip:
    """Run a command of pip's to which the newer releases are on offer, beside the index that pip is configured for."""
    # pip prefers no index to another: of what all of them have it takes the newest.
    offered = {"PIP_EXTRA_INDEX_URL": newer_releases, "NO_PROXY": f"127.0.0.1,{os.environ.get('NO_PROXY', '')}"}
    environment = {key: value for key, value in os.environ.items() if key != "PIP_FIND_LINKS"} | offered

    def run(command: list[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def environment_with(tmp_path: Path) -> Callable[[str], Path]:
    """Make an empty environment that has the pip of a requirement with its hash, and give its Python."""

    def make(requirement: str) -> Path:
        subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
        python = tmp_path / "venv" / "bin" / "python"
        wanted = tmp_path / "pip.txt"
        wanted.write_text(requirement)
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "-r", wanted], check=True
        )
        return python

    return make
