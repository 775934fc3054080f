"""A server of the tests that speaks the few routes of the Hugging Face Hub that a download asks for. It is not the Hub.

What it says is what the Hub's own client reads: error codes in headers, lists of a folder, ranges, and redirects to
where the bytes are, with a signature in the address.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import unquote, urlsplit

REPOSITORY: Final = "tests/models"
TOKEN: Final = "hf_aTokenOfTheTests"
SIGNATURE: Final = "a-signature-of-the-tests"
_RANGE: Final = re.compile(r"bytes=(\d+)-(\d+)")


class HubServer(ThreadingHTTPServer):
    """A repository of files by their paths, open to whoever has the token."""

    daemon_threads = True
    bucket = f"hf://{REPOSITORY}"
    missing = "hf://tests/no-such-repository/model.onnx"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.elsewhere = ""
        """Address of another server that files are redirected to; empty to send them itself."""
        self.authorizations: set[str] = set()
        """What requests came with."""

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def credentials(self, endpoint: str) -> dict[str, str]:
        """Variables as a Secret holds them."""
        return {"HF_ENDPOINT": endpoint, "HF_TOKEN": TOKEN}

    def put(self, key: str, content: bytes) -> str:
        """Commit; gives the URI."""
        self.files = {**self.files, key: content}
        return f"{self.bucket}/{key}"

    @staticmethod
    def is_content(path: str) -> bool:
        """Whether a request asks for a file, not for what is known about it."""
        return "/resolve/" in path


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.server.authorizations.add(self.headers.get("authorization", ""))
        if path.startswith("signed/"):
            self._content(path.removeprefix("signed/"))
        elif self.headers.get("authorization") not in (None, f"Bearer {TOKEN}"):
            self._error(401, "", "Invalid credentials in Authorization header")
        elif REPOSITORY not in path or "authorization" not in self.headers:
            self._error(401, "RepoNotFound", "Repository not found")
        elif path.startswith(f"{REPOSITORY}/resolve/main/"):
            self._resolve(path.removeprefix(f"{REPOSITORY}/resolve/main/"))
        elif path.startswith(f"api/models/{REPOSITORY}/tree/main"):
            self._tree(path.removeprefix(f"api/models/{REPOSITORY}/tree/main").strip("/"))
        elif path in (f"api/models/{REPOSITORY}", f"api/models/{REPOSITORY}/revision/main"):
            self._json({"id": REPOSITORY, "sha": "0" * 40})
        else:
            self._error(404, "RevisionNotFound", "Invalid rev id")

    do_HEAD = do_GET  # noqa: N815  # the names are http.server's

    def _resolve(self, key: str) -> None:
        if self.server.elsewhere:
            location = f"{self.server.elsewhere}/signed/{key}?Signature={SIGNATURE}"
            self._answer(302, b"", {"location": location})
        else:
            self._content(key)

    def _content(self, key: str) -> None:
        content = self.server.files.get(key)
        wanted = _RANGE.fullmatch(self.headers.get("range", ""))
        if content is None:
            self._error(404, "EntryNotFound", "Entry not found")
        elif wanted is None:
            self._answer(200, content, {})
        elif (first := int(wanted[1])) >= len(content):
            self._answer(416, b"", {"content-range": f"bytes */{len(content)}"})
        else:
            part = content[first : int(wanted[2]) + 1]
            self._answer(206, part, {"content-range": f"bytes {first}-{first + len(part) - 1}/{len(content)}"})

    def _tree(self, folder: str) -> None:
        prefix, found = f"{folder}/" if folder else "", {}
        for key, content in self.server.files.items():
            if key.startswith(prefix):
                name, _, below = key.removeprefix(prefix).partition("/")
                oid = hashlib.sha1(b"" if below else content).hexdigest()
                kind, size = ("directory", 0) if below else ("file", len(content))
                found[name] = {"type": kind, "path": f"{prefix}{name}", "size": size, "oid": oid}
        if found:
            self._json(list(found.values()))
        else:
            self._error(404, "EntryNotFound", f"{folder} does not exist on main")

    def _json(self, document: Any) -> None:
        self._answer(200, json.dumps(document).encode(), {"content-type": "application/json"})

    def _error(self, status: int, code: str, message: str) -> None:
        headers = {"x-error-code": code} if code else {}
        self._answer(status, b"", {**headers, "x-error-message": message})

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response_only(status)
        for name, value in {**headers, "content-length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def running_hub_server() -> Iterator[HubServer]:
    """Run a server with an empty repository while the block runs."""
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
