"""Labels on the wire: from clients, one or many, and from pod to pod."""

import re
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from kingmaker_serving.errors import NOT_JSON, ErrorCode, ServingError
from kingmaker_serving.labels.answers import Value
from kingmaker_serving.labels.ids import MOST_TEXT

MOST_LABELS: Final = 10_000
"""Requests that one batch has labels for."""
MOST_BYTES: Final = 8 * 1024**2
"""Of one body with labels."""
LONGEST_TEXT: Final = 1024
"""Characters of a label that is text."""
LINES: Final = "application/x-ndjson"
JSON: Final = "application/json"
LINE_TYPES: Final = frozenset({LINES, "application/ndjson", "application/jsonl", "application/x-jsonlines"})
"""Content types of documents one per line."""

Label = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)] | int | float | bool
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_TEXT)]


class Labels(msgspec.Struct, forbid_unknown_fields=True):
    """What is true of one request: `labels` for its rows, or `label` for its only row."""

    id: _Id
    labels: list[Label] | None = None
    label: Label | None = None

    def given(self) -> Sequence[Value]:
        """Give the labels, one per row.

        Raises:
            ServingError: INVALID_REQUEST when there are none, or both forms.
        """
        if (self.labels is None) == (self.label is None):
            message = 'expected either "labels" (a list, one per row) or "label" (for one row)'
            raise ServingError(ErrorCode.INVALID_REQUEST, message)
        if self.labels is None:
            return [self.label]
        if not self.labels:
            raise ServingError(ErrorCode.INVALID_REQUEST, "labels is an empty list; send one label per row")
        return self.labels


class Result(msgspec.Struct, omit_defaults=True):
    """What became of the labels of one request: rows that were judged, or a status and why there are none."""

    matched: int | None = None
    status: int | None = None
    error: Annotated[str, msgspec.Meta(max_length=600)] | None = None
    retry: int | None = None
    """Seconds after which trying again may help."""


class Total(msgspec.Struct):
    """A batch's sums: requests whose labels were taken, and not; rows that were judged."""

    accepted: int
    failed: int
    matched: int


class Asked(msgspec.Struct):
    """Ids of clients that a pod looks for at another."""

    ids: Annotated[list[_Id], msgspec.Meta(max_length=MOST_LABELS)]


class Found(msgspec.Struct):
    """Request ids by the clients' ids that a pod knows."""

    found: dict[_Id, _Id]


class _Line(msgspec.Struct):
    total: Total


class _Results(msgspec.Struct):
    results: list[Result]
    total: Total


_LABELS: Final = msgspec.json.Decoder(Labels)
_RAW: Final = msgspec.json.Decoder(list[msgspec.Raw])
_PASSED: Final = msgspec.json.Decoder(Annotated[list[Labels], msgspec.Meta(max_length=MOST_LABELS)])
_RESULTS: Final = msgspec.json.Decoder(Annotated[list[Result], msgspec.Meta(max_length=MOST_LABELS)])
_ENCODER: Final = msgspec.json.Encoder()
_LIST: Final = re.compile(rb"\s*\[")


def split(body: bytes, content_type: str) -> list[bytes] | None:
    """Take a body apart into the labels of single requests, unread.

    Args:
        body: As it came.
        content_type: Its header, parameters and all.

    Returns:
        Documents; None where the body is one such document itself, not a batch.

    Raises:
        ServingError: TOO_LARGE, or INVALID_REQUEST for a list that is none.
    """
    if len(body) > MOST_BYTES:
        message = f"the body has {len(body)} bytes; labels have at most {MOST_BYTES} at once: send several batches"
        raise ServingError(ErrorCode.TOO_LARGE, message)
    if is_lines(content_type):
        documents = [line for line in body.split(b"\n") if line and not line.isspace()]
    elif _LIST.match(body):
        try:
            documents = [bytes(raw) for raw in _RAW.decode(body)]
        except NOT_JSON as error:
            raise malformed(error) from error
    else:
        return None
    if len(documents) > MOST_LABELS:
        message = f"the batch has labels for {len(documents)} requests, at most {MOST_LABELS} are taken at once"
        raise ServingError(ErrorCode.TOO_LARGE, message)
    return documents


def is_lines(content_type: str) -> bool:
    """Whether a content type says that each line is a document."""
    return content_type.partition(";")[0].strip().lower() in LINE_TYPES


def read_labels(document: bytes) -> tuple[str, Sequence[Value]]:
    """Read the labels of one request.

    Returns:
        The id, and one label per row.

    Raises:
        ServingError: INVALID_REQUEST; the message names the field.
    """
    try:
        read = _LABELS.decode(document)
    except (*NOT_JSON, ValueError) as error:
        raise malformed(error) from error
    return read.id, read.given()


def read_passed(body: bytes) -> list[Labels]:
    """Read what another pod passes on.

    Raises:
        ServingError: INVALID_REQUEST.
    """
    try:
        passed: list[Labels] = _PASSED.decode(body)
    except (*NOT_JSON, ValueError) as error:
        raise malformed(error) from error
    return passed


def read_asked(body: bytes) -> list[str]:
    """Read which clients' ids another pod looks for.

    Raises:
        ServingError: INVALID_REQUEST.
    """
    try:
        return msgspec.json.decode(body, type=Asked).ids
    except NOT_JSON as error:
        raise malformed(error) from error


def read_results(content: bytes) -> list[Result]:
    """Read what another pod made of labels.

    Raises:
        NOT_JSON: It says something else.
    """
    results: list[Result] = _RESULTS.decode(content)
    return results


def read_found(content: bytes) -> dict[str, str]:
    """Read which request ids another pod knows.

    Raises:
        NOT_JSON: It says something else.
    """
    return msgspec.json.decode(content, type=Found).found


def write(content: object) -> bytes:
    """Write a message."""
    return _ENCODER.encode(content)


def write_batch(results: Sequence[Result], *, as_lines: bool) -> bytes:
    """Write what became of a batch: a result per request in its order, and the sums."""
    accepted = [result.matched for result in results if result.matched is not None]
    total = Total(len(accepted), len(results) - len(accepted), sum(accepted))
    if not as_lines:
        return _ENCODER.encode(_Results(list(results), total))
    return _ENCODER.encode_lines([*results, _Line(total)])


def malformed(error: Exception) -> ServingError:
    """Build the error of a body that is no JSON of the expected form: status 400."""
    if isinstance(error, RecursionError):
        return ServingError(ErrorCode.INVALID_REQUEST, "the body's JSON is nested too deeply")
    if isinstance(error, UnicodeError):
        return ServingError(ErrorCode.INVALID_REQUEST, "the body is not UTF-8")
    text = str(error).replace("`", "").replace("$.", "").replace("$", "the body")
    return ServingError(ErrorCode.INVALID_REQUEST, f"labels can't be read: {text[:300]}")


def as_result(error: ServingError) -> Result:
    """Say in a batch what a request of its own would have been answered."""
    retry = error.retry_seconds if error.code.status == 503 else None
    return Result(status=error.code.status, error=error.message[:600], retry=retry)
