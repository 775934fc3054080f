"""Downloads from a server that does to them what servers do."""

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kingmaker_serving.digest import sha256
from kingmaker_serving.models.artifact import ListedFile, read_artifact, write_manifest
from support.servers import an_address, run_verb

CONTENT = bytes(range(256)) * 4096
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Store(ThreadingHTTPServer):
    """Answers by path; `asked` counts."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((an_address(), 0), Handler)
        self.asked: dict[str, int] = {}
        self.files: dict[str, bytes] = {}
        """What is at further paths."""

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Store

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        times = self.server.asked[path] = self.server.asked.get(path, 0) + 1
        if path == "/busy" and times < 3:
            self.answer(503, b"")
        elif path == "/cut" and times < 2:
            self.answer(200, CONTENT, sent=CONTENT[:5000])
        elif path == "/forbidden":
            self.answer(403, b"")
        elif path == "/here":
            self.answer(302, b"", location="/model.onnx")
        elif path == "/elsewhere":
            self.answer(302, b"", location="http://127.0.0.1:9/model.onnx")
        elif path == "/down":
            self.answer(500, b"")
        elif path in self.server.files:
            self.answer(200, self.server.files[path])
        elif path == "/other":
            self.answer(200, CONTENT + b"x")
        else:
            self.answer(200, CONTENT)

    def answer(self, status: int, body: bytes, *, sent: bytes | None = None, location: str = "") -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        if location:
            self.send_header("location", location)
        self.end_headers()
        self.wfile.write(body if sent is None else sent)
        if sent is not None:
            self.close_connection = True

    def log_request(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def store() -> Iterator[Store]:
    running = Store()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def fetched(tmp_path: Path, uri: str, *arguments: str, digest: str = DIGEST) -> tuple[int, Any, str]:
    options = ["--dir", str(tmp_path / "model"), "--model-uri", uri, "--model-digest", digest]
    return run_verb("fetch", *options, *arguments, log=tmp_path / "log")


def files(tmp_path: Path) -> list[str]:
    folder = tmp_path / "model"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("path", ["/model.onnx", "/busy", "/cut", "/here"])
def test_a_file_arrives_whole(store: Store, tmp_path: Path, path: str) -> None:
    code, message, stderr = fetched(tmp_path, store.url + path)
    assert (code, message) == (0, None), stderr
    assert files(tmp_path) == ["model.onnx"]
    assert (tmp_path / "model" / "model.onnx").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "arguments", "reason", "words"),
    [
        ("/other", [], "DigestMismatch", "the file is not the one of the Model"),
        ("/forbidden", [], "DownloadFailed", "status 403"),
        ("/elsewhere", [], "DownloadFailed", "redirects to http://127.0.0.1:9;"),
        ("/down", ["--deadline", "1"], "DownloadFailed", "HTTP status 500; the time for retries is used up"),
        ("/model.onnx", ["--max-bytes", "1000"], "TooLarge", "at most 1000 are accepted"),
    ],
)
def test_what_does_not_arrive_leaves_nothing(
    store: Store, tmp_path: Path, path: str, arguments: list[str], reason: str, words: str
) -> None:
    code, message, _ = fetched(tmp_path, store.url + path, *arguments)
    assert (code, message["reason"]) == (1, reason)
    assert words in message["message"]
    assert files(tmp_path) == []


def test_files_by_path_and_by_uri(tmp_path: Path) -> None:
    source = tmp_path / "a b.onnx"
    source.write_bytes(CONTENT)
    for uri in (str(source), source.as_uri()):
        assert fetched(tmp_path, uri)[0] == 0
        (tmp_path / "model" / "model.onnx").unlink()
    code, message, _ = fetched(tmp_path, "/nowhere/model.onnx")
    assert (code, message["reason"]) == (1, "DownloadFailed")


def test_a_restarted_container_does_not_download_again(store: Store, tmp_path: Path) -> None:
    for _ in range(2):
        assert fetched(tmp_path, f"{store.url}/model.onnx")[0] == 0
    assert store.asked == {"/model.onnx": 1}


def test_all_three_files_are_fetched(store: Store, tmp_path: Path) -> None:
    url = f"{store.url}/model.onnx"
    more = [item for part in ("baseline", "examples") for item in (f"--{part}-uri", url, f"--{part}-digest", DIGEST)]
    assert fetched(tmp_path, url, *more)[0] == 0
    assert files(tmp_path) == ["baseline.json", "examples.json", "model.onnx"]


@pytest.mark.parametrize("uri", ["ftp://host/model.onnx", "model.onnx", "oci://registry/model"])
def test_a_scheme_that_can_not_be_read_says_which_can(tmp_path: Path, uri: str) -> None:
    code, message, _ = fetched(tmp_path, uri)
    assert (code, message["reason"]) == (1, "UnsupportedScheme")
    assert "use one of file, pvc, http, https, s3, gs, az, hf" in message["message"]


@pytest.mark.parametrize(("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs"), ("az", "adlfs")])
def test_a_package_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, package: str
) -> None:
    (tmp_path / f"{package}.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code, message, _ = fetched(tmp_path, f"{scheme}://models/model.onnx")
    assert (code, message["reason"]) == (1, "UnsupportedScheme")
    assert f"needs the package {package!r}" in message["message"]


def test_secrets_in_an_address_are_not_told(store: Store, tmp_path: Path) -> None:
    address = store.url.removeprefix("http://")
    code, message, stderr = fetched(tmp_path, f"http://user:hunter2@{address}/forbidden?sig=hunter3")
    assert code == 1
    assert "hunter" not in json.dumps(message) + stderr


PARTS = {"model.onnx": b"the model", "weights.bin": CONTENT, "below/more.bin": b"more"}
LISTED = [ListedFile(path, sha256(content), len(content)) for path, content in PARTS.items()]
MANIFEST = write_manifest(LISTED)


@pytest.fixture
def several(store: Store) -> str:
    """The address of a manifest, with its files beside it."""
    store.files = {f"/models/7/{path}": content for path, content in PARTS.items()}
    store.files["/models/7/the-manifest"] = MANIFEST
    return f"{store.url}/models/7/the-manifest?key=1"


def tree(tmp_path: Path) -> dict[str, bytes]:
    folder = tmp_path / "model"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_files_of_a_manifest_lie_beside_it(store: Store, several: str, tmp_path: Path) -> None:
    for _ in range(2):
        code, _, stderr = fetched(tmp_path, several, digest=sha256(MANIFEST))
        assert code == 0, stderr
    assert tree(tmp_path) == PARTS | {"manifest.json": MANIFEST}
    assert set(store.asked.values()) == {1}
    assert read_artifact(tmp_path / "model", sha256(MANIFEST)).content == PARTS["model.onnx"]


def test_a_manifest_by_its_path(tmp_path: Path) -> None:
    for path, content in {**PARTS, "manifest.json": MANIFEST}.items():
        (tmp_path / "from here" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "from here" / path).write_bytes(content)
    source = tmp_path / "from here" / "manifest.json"
    for uri in (str(source), source.as_uri()):
        assert fetched(tmp_path, uri, digest=sha256(MANIFEST))[0] == 0
        assert tree(tmp_path) == PARTS | {"manifest.json": MANIFEST}
        shutil.rmtree(tmp_path / "model")


def test_a_model_of_one_file_takes_the_place_of_one_of_several(store: Store, several: str, tmp_path: Path) -> None:
    assert fetched(tmp_path, several, digest=sha256(MANIFEST))[0] == 0
    assert fetched(tmp_path, f"{store.url}/model.onnx")[0] == 0
    assert read_artifact(tmp_path / "model", DIGEST).content == CONTENT


@pytest.mark.parametrize(
    ("path", "content", "arguments", "reason", "words"),
    [
        ("weights.bin", CONTENT[:-1] + b"x", [], "DigestMismatch", "/models/7/weights.bin has digest"),
        ("weights.bin", CONTENT + b"x", [], "TooLarge", "at most 1048576 are accepted"),
        ("weights.bin", CONTENT, ["--max-bytes", "1048576"], "TooLarge", "the model with all its files"),
        ("the-manifest", b"{}", [], "InvalidModel", "digest manifest is not usable"),
        ("the-manifest", MANIFEST + b" " * 2**22, [], "TooLarge", "digest manifest"),
    ],
)
def test_a_file_that_is_not_as_listed_ends_the_download(
    store: Store, several: str, tmp_path: Path, path: str, content: bytes, arguments: list[str], reason: str, words: str
) -> None:
    store.files[f"/models/7/{path}"] = content
    digest = sha256(store.files["/models/7/the-manifest"])
    code, message, _ = fetched(tmp_path, several, *arguments, digest=digest)
    assert (code, message["reason"]) == (1, reason)
    assert words in message["message"]
    assert path not in tree(tmp_path)
