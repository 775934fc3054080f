"""A real S3 server for tests: versitygw, built once with the Go toolchain, one process per fixture on a loopback port.

By hand: `python -m support.s3server FOLDER` (with tests/ on PYTHONPATH) prints the binary's path and runs it on FOLDER.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.goprogram import ensure_program
from support.localprocess import free_port, running

PROGRAM = "versitygw"
"""Apache-2.0."""
KEY, SECRET = "kingmaker-tests", "a-secret-of-the-tests"
BUCKET = "models"


def ensure_binary() -> Path:
    """Give the server's binary, static; built once into the user's cache, about a minute on two cores."""
    return ensure_program(PROGRAM)


@dataclass(frozen=True)
class S3Server:
    """A running server whose buckets are folders."""

    folder: Path
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def credentials(self, **changed: str) -> dict[str, str]:
        """Variables as a Secret holds them."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
        } | changed

    def put(self, key: str, content: bytes) -> str:
        """Upload through the API, as a trainer would; gives the URI."""
        self._store().pipe_file(f"{BUCKET}/{key}", content)
        return f"s3://{BUCKET}/{key}"

    def put_versions(self, bucket: str, key: str, *contents: bytes) -> list[str]:
        """Upload one after the other into a new bucket that keeps versions; gives their ids."""
        store = self._store()
        store.call_s3("create_bucket", Bucket=bucket)
        enabled = {"Status": "Enabled"}
        store.call_s3("put_bucket_versioning", Bucket=bucket, VersioningConfiguration=enabled)
        uploads = (store.call_s3("put_object", Bucket=bucket, Key=key, Body=content) for content in contents)
        return [upload["VersionId"] for upload in uploads]

    def signed(self, key: str, endpoint: str) -> str:
        """An http address that carries its signature, as it is seen through `endpoint`."""
        return self._store(endpoint).sign(f"{BUCKET}/{key}", expiration=600)

    def _store(self, endpoint: str = "") -> Any:
        import s3fs

        return s3fs.S3FileSystem(
            key=KEY,
            secret=SECRET,
            endpoint_url=endpoint or self.endpoint,
            client_kwargs={"region_name": "us-east-1"},
            config_kwargs={"signature_version": "s3v4"},
            skip_instance_cache=True,
        )


@contextmanager
def running_s3_server(folder: Path) -> Iterator[S3Server]:
    """Run a server with the bucket `models` while the block runs."""
    (folder / "buckets" / BUCKET).mkdir(parents=True)
    (folder / "versions").mkdir()
    (folder / "meta").mkdir()
    server = S3Server(folder, free_port())
    with running(command(server), server.port, folder, environment()):
        yield server


def command(server: S3Server) -> list[str]:
    listen = ["--port", f"127.0.0.1:{server.port}", "--quiet"]
    # Beside the files: not every file system of a temporary folder keeps extended attributes.
    kept = ["--sidecar", str(server.folder / "meta"), "--versioning-dir", str(server.folder / "versions")]
    place = ["posix", *kept, str(server.folder / "buckets")]
    return [str(ensure_binary()), *listen, *place]


def environment() -> Mapping[str, str]:
    return os.environ | {"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}


def _main() -> None:
    folder = Path(sys.argv[1]).absolute()
    with running_s3_server(folder) as server:
        print(ensure_binary(), *(f"{name}={value}" for name, value in server.credentials().items()), sep="\n")
        sys.stdin.read()


if __name__ == "__main__":
    _main()
