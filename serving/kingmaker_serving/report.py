"""How a verb says how it ended: a termination message for the cluster, a sentence for people."""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from kingmaker_serving.errors import Reason, VerbError

MAX_BYTES: Final = 4096
"""What Kubernetes keeps of a termination message."""
_MAX_MESSAGE: Final = 3000


def end(verb: Callable[[], dict[str, Any] | None], termination_log: Path | None) -> int:
    """Run a verb to its end and report.

    Args:
        verb: Gives what belongs into the termination message of a success, None for nothing.
        termination_log: Where the message goes; None for nowhere.

    Returns:
        The exit code: 0, or 1 with a reason.
    """
    try:
        result = verb()
    except VerbError as error:
        return _fail(error, termination_log)
    except Exception as error:  # noqa: BLE001  # the last edge: whatever it is, a person must be able to read it
        traceback.print_exception(error)
        cause = _cause(error)
        return _fail(
            cause if isinstance(cause, VerbError) else VerbError(Reason.INTERNAL, f"{type(cause).__name__}: {cause}"),
            termination_log,
        )
    if result is not None and termination_log is not None:
        _write(termination_log, msgspec.json.encode(result))
    return 0


def _cause(error: BaseException) -> BaseException:
    """What went wrong inside of groups of tasks, whose own message says nothing."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _fail(error: VerbError, termination_log: Path | None) -> int:
    # Three bytes per character at most after cutting, and never more than Kubernetes keeps.
    message = error.message[:_MAX_MESSAGE]
    encoded = msgspec.json.encode({"reason": error.reason, "message": message})
    while len(encoded) > MAX_BYTES:
        message = message[: len(message) * 3 // 4]
        encoded = msgspec.json.encode({"reason": error.reason, "message": message})
    if termination_log is not None:
        _write(termination_log, encoded)
    sys.stderr.write(f"{error.reason}: {message}\n")
    return 1


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        sys.stderr.write(f"termination message can't be written to {path}: {error.strerror}\n")
