"""How a container ended, in its own words: the termination message."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from kingmaker_laptop.node.logs import last_output
from kingmaker_laptop.node.podspec import Container
from kingmaker_laptop.node.prepare import TERMINATION_LOG
from kingmaker_laptop.node.states import Exited
from kingmaker_laptop.node.times import parse_time, utc_now

_LONGEST_BYTES: Final = 4096


def with_message(ended: Exited, container: Container, folder: Path) -> Exited:
    """Add what the container wrote to its termination log; else, where the policy says so, the end of its output."""
    if ended.message:
        return ended
    message = _read_limited(folder / TERMINATION_LOG)
    if not message and ended.code != 0 and container.falls_back_to_logs:
        message = last_output(folder)
    return replace(ended, message=message)


def exit_from_status(terminated: dict[str, Any]) -> Exited:
    """Read a `terminated` state of the API back."""
    return Exited(
        code=int(terminated["exitCode"]),
        signal=int(terminated.get("signal", 0)),
        started_at=_moment(terminated.get("startedAt")),
        finished_at=_moment(terminated.get("finishedAt")),
        reason=terminated.get("reason", ""),
        message=terminated.get("message", ""),
        container_id=terminated.get("containerID", ""),
    )


def _moment(text: str | None) -> datetime:
    return parse_time(text) if text else utc_now()


def _read_limited(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_BYTES).decode(errors="replace")
    except OSError:
        return ""
