"""Which models a process shall serve, by a file that may change at any time: `kingmaker.dev/models/v1`."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Final

import msgspec

from kingmaker_serving.digest import MAX_DOCUMENT_BYTES
from kingmaker_serving.engine.settings import Limits, ModelSettings
from kingmaker_serving.errors import NOT_JSON, Reason, VerbError
from kingmaker_serving.models.loading import Digests
from kingmaker_serving.protocol.signature import read_task

logger = logging.getLogger(__name__)

FORMAT: Final = "kingmaker.dev/models/v1"
MAX_MODELS: Final = 1000
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=253, pattern="^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?$")]
_Digest = Annotated[str, msgspec.Meta(pattern="^sha256:[0-9a-f]{64}$")]
_NONE: Final = msgspec.Raw(b"")
_Positive = Annotated[int, msgspec.Meta(ge=1)]


class _Strict(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A misspelt field must not be ignored."""


class OwnLimits(_Strict, frozen=True):
    """Bounds that differ from those of the command line."""

    max_response_bytes: _Positive | None = None
    deadline_seconds: Annotated[float, msgspec.Meta(gt=0, le=86400)] | None = None
    workers: _Positive | None = None
    threads: _Positive | None = None
    queue: _Positive | None = None
    max_rows: _Positive | None = None
    max_delay: Annotated[float, msgspec.Meta(ge=0, le=10)] | None = None


class Entry(_Strict, frozen=True):
    """One model."""

    name: _Name
    version: _Name
    folder: Annotated[str, msgspec.Meta(min_length=1)]
    """Absolute, or relative to the file's."""
    digest: _Digest
    baseline_digest: _Digest | None = None
    examples_digest: _Digest | None = None
    task: msgspec.Raw = _NONE
    limits: OwnLimits = OwnLimits()


class _Document(_Strict, frozen=True):
    format: str
    models: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MAX_MODELS)]


class _Named(msgspec.Struct):
    name: str


@dataclass(frozen=True, slots=True)
class WantedModels:
    """What shall be served, and by name why some of it can't be: one entry that is wrong hurts no other."""

    models: tuple[ModelSettings, ...]
    problems: Mapping[str, str] = field(default_factory=dict)


class ModelsFile:
    """Reads the file when it changed; one that can't be read keeps what was read before."""

    def __init__(self, path: Path, limits: Limits) -> None:
        """Take where it is, and the bounds of models that name none."""
        self._path = path
        self._limits = limits
        self._seen: tuple[int, ...] | None = None

    def read(self) -> WantedModels:
        """Read it now.

        Raises:
            VerbError: InvalidModels, with the place and what was expected there.
        """
        try:
            self._seen = self._state()
            content = self._path.read_bytes()[: MAX_DOCUMENT_BYTES + 1]
        except OSError as error:
            raise _invalid(f"can't be read: {error.strerror}") from error
        return read_models(content, self._path.parent, self._limits)

    def changed(self) -> WantedModels | None:
        """Read it when it changed; None when it did not, is gone, or can't be read."""
        try:
            if self._state() == self._seen:
                return None
            return self.read()
        except OSError:
            return None
        except VerbError as error:
            logger.warning("the file of models can't be read, the last good one stays", extra={"error": error.message})
            return None

    def _state(self) -> tuple[int, ...]:
        status = self._path.stat()
        return status.st_ino, status.st_mtime_ns, status.st_size, status.st_dev


def read_models(content: bytes, folder: Path, limits: Limits) -> WantedModels:
    """Read the document.

    Args:
        content: JSON.
        folder: To which relative folders belong.
        limits: Of models that name none.

    Raises:
        VerbError: InvalidModels when it is no such document; entries that are wrong are among `problems`.
    """
    try:
        document = msgspec.json.decode(content, type=_Document)
    except NOT_JSON as error:
        raise _invalid(f"can't be read: {str(error)[:300]}") from error
    if document.format != FORMAT:
        raise _invalid(f"has format {document.format[:80]!r}, expected {FORMAT!r}")
    models: dict[str, ModelSettings] = {}
    problems: dict[str, str] = {}
    for number, raw in enumerate(document.models):
        name = _name(raw, number)
        try:
            entry = msgspec.json.decode(raw, type=Entry)
            if name in models:
                raise ValueError("this name is there more than once; one version of a model is served")
            models[name] = _settings(entry, folder, limits)
        except (*NOT_JSON, ValueError) as error:
            problems[name] = f"{Reason.INVALID_MODELS}: {str(error)[:300]}"
        except VerbError as error:
            problems[name] = f"{error.reason}: {error.message}"
    return WantedModels(tuple(model for name, model in models.items() if name not in problems), problems)


def _name(raw: msgspec.Raw, number: int) -> str:
    try:
        return msgspec.json.decode(raw, type=_Named).name[:253]
    except NOT_JSON:
        return f"models[{number}]"


def _settings(entry: Entry, folder: Path, limits: Limits) -> ModelSettings:
    own = {name: value for name, value in msgspec.structs.asdict(entry.limits).items() if value is not None}
    return ModelSettings(
        folder=folder / entry.folder,
        digests=Digests(entry.digest, entry.baseline_digest, entry.examples_digest),
        name=entry.name,
        version=entry.version,
        task=read_task(bytes(entry.task).decode()) if bytes(entry.task) else None,
        limits=replace(limits, **own),
    )


def _invalid(problem: str) -> VerbError:
    return VerbError(Reason.INVALID_MODELS, f"the file of models {problem}")
