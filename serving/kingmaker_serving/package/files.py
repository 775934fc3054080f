"""The model's own files: read from where an exporter left them, written to where they are fetched from."""

from collections.abc import Mapping
from pathlib import Path

from kingmaker_serving.digest import sha256
from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.models.artifact import MANIFEST, MODEL, ListedFile, write_manifest
from kingmaker_serving.models.onnxfile import read


def read_model(onnx: bytes | Path) -> tuple[bytes, dict[str, bytes]]:
    """Read a model and the files of its external data, which are beside it.

    Args:
        onnx: The model, as bytes when it has no external data.

    Returns:
        The model, and the other files by path relative to it.

    Raises:
        VerbError: InvalidModel when it is no model, or one of its files is not there.
    """
    if isinstance(onnx, bytes):
        return onnx, {}
    content = onnx.read_bytes()
    files = {}
    for path in sorted(read(content).files):
        try:
            files[path] = (onnx.parent / path).read_bytes()
        except OSError as error:
            message = f"{onnx.name} has external data in {path!r}, which can't be read beside it: {error.strerror}"
            raise VerbError(Reason.INVALID_MODEL, message) from error
    return content, files


def write_model(out: Path, content: bytes, files: Mapping[str, bytes]) -> tuple[str, str]:
    """Write a model's files into a folder.

    Returns:
        Name and digest of the file that a Model names: the model itself, or the manifest of all of them.

    Raises:
        VerbError: InvalidModel when a file has a name that a manifest can't list.
    """
    if not files:
        (out / MODEL).write_bytes(content)
        return MODEL, sha256(content)
    named = {MODEL: content, **files}
    manifest = write_manifest([ListedFile(path, sha256(data), len(data)) for path, data in named.items()])
    for path, data in named.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(data)
    (out / MANIFEST).write_bytes(manifest)
    return MANIFEST, sha256(manifest)
