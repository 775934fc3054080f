"""All programs of one cluster: start them in order, wait for each to be ready, end them in the opposite order."""

import asyncio
import logging
import signal
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp

from kingmaker.kube.errors import ApiError
from kingmaker_laptop import processes
from kingmaker_laptop.components import GRACE_SECONDS, Component
from kingmaker_laptop.errors import LocalError
from kingmaker_laptop.home import Home
from kingmaker_laptop.orphans import end_orphans
from kingmaker_laptop.supervised import LONGEST_PAUSE, Supervised

logger = logging.getLogger(__name__)

SHUTDOWN_ORDER: Final = (
    ("operator",),
    ("node",),
    ("kube-scheduler", "kube-controller-manager"),
    ("kube-apiserver",),
    ("etcd",),
)
"""Each needs those after it: the operator the API server to finish a step, the node to report its pods."""

_POLL_SECONDS: Final = 0.05
_LOG_LINES: Final = 15
_LINE_COLUMNS: Final = 400


class Fleet:
    """The running programs of one cluster."""

    def __init__(self, home: Home, *, longest_pause_seconds: float = LONGEST_PAUSE) -> None:
        self._home = home
        self._longest_pause = longest_pause_seconds
        self._running: dict[str, Supervised] = {}

    async def start(self, *components: Component) -> None:
        """Start programs; they are kept running from now on."""
        for component in components:
            supervised = Supervised(component, self._home, longest_pause_seconds=self._longest_pause)
            self._running[component.name] = supervised
            await supervised.start()

    async def stop(self) -> None:
        """End all programs in order. Returns when none is left."""
        for supervised in self._running.values():
            await supervised.let_go()
        for group in SHUTDOWN_ORDER:
            stopping = [self._running[name].stop() for name in group if name in self._running]
            await asyncio.gather(*stopping)
            if "node" in group and "node" in self._running:
                # It may have been killed just now, and nobody will start it again to end its pods.
                await end_orphans(self._home)

    async def wait_until(self, ready: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait for a condition. The caller sets a deadline.

        Raises:
            LocalError: A program ended meanwhile: at the start that is no accident that a restart would heal.
        """
        logger.info("waiting until %s", what)
        while True:
            self._check_all_run()
            try:
                if await ready():
                    return
            except (ApiError, aiohttp.ClientError, TimeoutError, OSError):
                pass  # Not there yet; who waits for good learns it from the deadline.
            await asyncio.sleep(_POLL_SECONDS)

    def _check_all_run(self) -> None:
        for name, supervised in self._running.items():
            if supervised.ended_with is not None:
                raise LocalError(
                    f"{name} ended with {supervised.ended_with} at its start; the last lines of its log:\n"
                    f"{last_lines(self._home, name)}\nthe whole log: {self._home.log(name)}"
                )


def sweep(home: Home, *, end_pods: bool) -> list[str]:
    """End what is left of a cluster whose supervisor is gone.

    Args:
        home: Of the cluster; nobody may be starting it.
        end_pods: Whether the node ends its pods; else they run on and the next node finds them.

    Returns:
        Names of the programs that were still running.
    """
    found = []
    for name in (name for group in SHUTDOWN_ORDER for name in group):
        path = home.records / f"{name}.json"
        record = processes.load(path)
        if record and record.is_alive:
            found.append(name)
            if name == "node" and not end_pods:
                record.signal(signal.SIGKILL)
            record.stop(grace_seconds=GRACE_SECONDS[name])
        path.unlink(missing_ok=True)
        if name == "node" and end_pods:
            asyncio.run(end_orphans(home))
    return found


def last_lines(home: Home, program: str) -> str:
    """Give the end of a program's log, indented."""
    try:
        with home.log(program).open(errors="replace") as stream:
            lines = deque(stream, maxlen=_LOG_LINES)
    except OSError:
        lines = deque()
    return "\n".join(f"  {line.rstrip()[:_LINE_COLUMNS]}" for line in lines) or "  (it wrote nothing)"


async def answers(session: aiohttp.ClientSession, url: str, *, tls: ssl.SSLContext | None = None) -> bool:
    """Say whether a GET of the URL is answered with 200."""
    async with session.get(url, ssl=tls or True, timeout=aiohttp.ClientTimeout(total=5)) as response:
        return response.status == 200
