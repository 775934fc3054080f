"""What a person needs to see when a step missed its deadline."""

import contextlib
from pathlib import Path
from typing import Final

from kingmaker_laptop.demo.errors import DemoError
from kingmaker_laptop.demo.stage import DEPLOYMENT, NAMESPACE, Stage

_LOG_LINES: Final = 15


async def tell_what_was_seen(stage: Stage, problem: str) -> None:
    """Show conditions, the last decisions, pods, events, traffic and the ends of the logs."""
    screen = stage.screen
    screen.heading(f"FAILED after {stage.seconds:.0f} s")
    screen.plain(problem)
    for found in stage.view.status.get("conditions", ()):
        screen.plain(f"  {found['type']}={found['status']} {found['reason']}: {found.get('message', '')}")
    for decision in stage.view.decisions[-3:]:
        screen.plain(f"  decision {decision['sequence']} {decision['action']}: {decision.get('message', '')}")
    if stage.traffic:
        screen.plain(f"  traffic: {stage.traffic.report}")
    for arguments in (
        ("get", "models,modeldeployments,jobs,pods", "-n", NAMESPACE),
        ("get", "events", "-n", NAMESPACE, "--sort-by=.lastTimestamp"),
        ("get", "modeldeployment", DEPLOYMENT, "-n", NAMESPACE, "-o", "jsonpath={.status}"),
    ):
        with contextlib.suppress(DemoError):
            screen.plain(f"$ kubectl {' '.join(arguments)}")
            screen.plain("\n".join((await stage.place.kubectl(*arguments)).splitlines()[-40:]))
    for log in ("operator", "traffic"):
        path = stage.place.log(log)
        screen.plain(f"end of {path}:")
        screen.plain(last_lines(path))


def last_lines(path: Path) -> str:
    """Give the end of a log; a sentence when there is none."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-_LOG_LINES:])
    except OSError as error:
        return f"(can't be read: {error})"
