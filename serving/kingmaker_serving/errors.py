"""What can go wrong: requests (an HTTP status each) and verbs (a termination reason each). Both lists are closed."""

from enum import Enum, StrEnum
from typing import Final

import msgspec

NOT_JSON: Final = (msgspec.MsgspecError, RecursionError, UnicodeError)
"""All that reading somebody's JSON may raise: another form, too deep, not UTF-8."""


class ErrorCode(Enum):
    """Why a request was not answered; the value is its HTTP status and how long to wait before trying again."""

    INVALID_REQUEST = (400, "malformed")
    INVALID_TENSOR = (400, "tensor")
    NOT_FOUND = (404, "nothing of that name")
    METHOD = (405, "method")
    SLOW_BODY = (408, "body took too long")
    CONFLICT = (409, "already done")
    TOO_LARGE = (413, "body over the limit")
    UNSUPPORTED_MEDIA = (415, "type or encoding")
    MODEL_FAILED = (500, "the model raised")
    INTERNAL = (500, "a bug")
    OVERLOADED = (503, "queue full")
    NOT_READY = (503, "loading or draining")
    DEADLINE = (504, "out of time")

    @property
    def status(self) -> int:
        """HTTP status."""
        return self.value[0]


class ServingError(Exception):
    """A request that gets no answer. The message goes to the client: no paths, no internal names."""

    def __init__(self, code: ErrorCode, message: str, *, retry_seconds: int = 1, allow: str = "") -> None:
        """Take what the answer says.

        Args:
            code: Decides the status.
            message: A sentence for whoever sent the request.
            retry_seconds: With status 503, how long to wait before the next try.
            allow: With status 405, the methods that are answered, as the header `allow` lists them.
        """
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_seconds = retry_seconds
        self.allow = allow


class Reason(StrEnum):
    """Why a verb failed: the first word of a termination message."""

    DOWNLOAD_FAILED = "DownloadFailed"
    UNSUPPORTED_SCHEME = "UnsupportedScheme"
    DIGEST_MISMATCH = "DigestMismatch"
    TOO_LARGE = "TooLarge"
    INVALID_MODEL = "InvalidModel"
    INVALID_MODELS = "InvalidModels"
    SIGNATURE_MISMATCH = "SignatureMismatch"
    EXAMPLE_MISMATCH = "ExampleMismatch"
    INVALID_BASELINE = "InvalidBaseline"
    INVALID_EXAMPLES = "InvalidExamples"
    INTERNAL = "Internal"


class VerbError(Exception):
    """A verb that can't go on; a person reads the message in the Model's condition."""

    def __init__(self, reason: Reason, message: str) -> None:
        """Take the reason, and a sentence that says what was found, what was expected and what to do."""
        super().__init__(message)
        self.reason = reason
        self.message = message


def invalid_tensor(message: str) -> ServingError:
    """Build the error of a tensor that does not fit: status 400."""
    return ServingError(ErrorCode.INVALID_TENSOR, message)
