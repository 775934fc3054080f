"""Start a cluster in the background and wait until it is ready, or stay in the foreground with it."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

from kingmaker_laptop import processes
from kingmaker_laptop.errors import LocalError
from kingmaker_laptop.files import read_json
from kingmaker_laptop.fleet import last_lines
from kingmaker_laptop.home import Home
from kingmaker_laptop.supervisor import LOCKED, RECORD, AlreadyRunningError, Options, run

_POLL_SECONDS: Final = 0.05

Report = Callable[[str], None]


def up(options: Options, *, report: Report) -> bool:
    """Have the cluster running in the background when this returns.

    Args:
        options: How to start it; a running one stays as it is.
        report: Told what is being waited for.

    Returns:
        Whether it was started now; False when it was running.

    Raises:
        LocalError: It could not be started; nothing of it is left.
    """
    home = options.home
    home.prepare()
    if is_ready(home):
        return False
    with home.log(RECORD).open("ab") as log:
        supervisor = subprocess.Popen(
            options.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )
    try:
        return _wait(supervisor, home, report, options.deadline_seconds)
    except BaseException:
        # Also Ctrl-C: who gives up waiting gets no half a cluster.
        if supervisor.poll() is None:
            supervisor.send_signal(signal.SIGTERM)
            supervisor.wait()
        raise


def stay_up(options: Options, *, report: Report, on_ready: Callable[[], None]) -> None:
    """Run the cluster in this process until Ctrl-C or SIGTERM; nothing of it is left when this returns.

    Raises:
        LocalError: It is running already, or could not be started.
    """
    try:
        run(options, report=report, on_ready=on_ready)
    except AlreadyRunningError as error:
        folder = options.home.folder
        raise LocalError(f"{folder} is running already; end it with: kingmaker down --dir {folder}") from error


def is_ready(home: Home) -> bool:
    """Say whether the cluster runs and was brought up completely."""
    owner = processes.load(home.records / f"{RECORD}.json")
    return owner is not None and owner.is_alive and read_json(home.status).get("state") == "ready"


def _wait(supervisor: "subprocess.Popen[bytes]", home: Home, report: Report, deadline_seconds: float) -> bool:
    ours = True
    # The supervisor keeps the deadline; this one is for the case that another command started it and never gets ready.
    end = time.monotonic() + deadline_seconds + 60
    while not is_ready(home):
        status = read_json(home.status)
        code = supervisor.poll()
        if ours and code == LOCKED:
            ours = False
        elif ours and code is not None:
            raise LocalError(_failure(home, status, code))
        if status.get("state") == "starting":
            report(str(status["message"]))
        if time.monotonic() > end:
            raise LocalError(f"another command is starting {home.folder} but does not get ready; see {home.logs}")
        time.sleep(_POLL_SECONDS)
    return ours


def _failure(home: Home, status: dict[str, object], code: int) -> str:
    if status.get("state") == "failed":
        return str(status["message"])
    return (
        f"the supervisor ended with {code}; the last lines of its log:\n{last_lines(home, RECORD)}\n"
        f"started with {sys.executable}"
    )
