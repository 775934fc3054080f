"""Keep one Service proxy running beside the node: a process of its own, so that a busy node never stalls traffic.

It outlives a killed node, and the next node finds it again by its lock.
"""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
from typing import Final

from kingmaker_laptop.files import read_json
from kingmaker_laptop.locks import is_locked
from kingmaker_laptop.node.settings import Settings
from kingmaker_laptop.processes import start_ticks
from kingmaker_laptop.proxy.pidfile import LOCK, PIDFILE, kubeconfig_digest

logger = logging.getLogger(__name__)

_PAUSE_SECONDS: Final = 0.5


class ProxyChild:
    """The proxy process of this node's folder."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pidfd: int | None = None
        self._is_stopping = False

    async def run(self) -> None:
        """Keep it running until cancelled."""
        while not self._is_stopping:
            child = None if self._find() else self._spawn()
            await self._gone()
            if child is not None:
                logger.warning("the Service proxy ended with code %s; starting it again", child.wait())
            await asyncio.sleep(_PAUSE_SECONDS)

    def terminate(self) -> None:
        """Tell it to end."""
        self._is_stopping = True
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)

    def _find(self) -> bool:
        """Find the proxy that an earlier node process left."""
        folder = self._settings.folder
        pidfile = read_json(folder / PIDFILE)
        if not pidfile or not is_locked(folder / LOCK):
            return False
        try:
            self._pidfd = os.pidfd_open(pidfile["pid"])
        except ProcessLookupError:
            return False
        if start_ticks(pidfile["pid"]) != pidfile["ticks"]:
            os.close(self._pidfd)
            self._pidfd = None
            return False
        if pidfile["kubeconfig"] != kubeconfig_digest(self._settings.kubeconfig):
            # It watches an API server that isn't there any more.
            signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)
        return True

    def _spawn(self) -> "subprocess.Popen[bytes]":
        folder, kubeconfig = self._settings.folder, self._settings.kubeconfig.resolve()
        command = [sys.executable, "-m", "kingmaker_laptop.proxy", "--node", self._settings.name]
        command += ["--kubeconfig", str(kubeconfig), "--dir", str(folder)]
        with (folder / "proxy.log").open("ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._pidfd = os.pidfd_open(child.pid)
        return child

    async def _gone(self) -> None:
        if self._pidfd is None:
            return
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        loop.add_reader(self._pidfd, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
