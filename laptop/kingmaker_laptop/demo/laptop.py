"""The demo's own cluster: a fresh one in a folder of its own, ended with everything that runs in it."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kingmaker_laptop.binary import ensure_binary
from kingmaker_laptop.demo.client import Traffic, generator_arguments
from kingmaker_laptop.demo.errors import DemoError
from kingmaker_laptop.down import down
from kingmaker_laptop.home import Home

KINGMAKER: Final = (sys.executable, "-c", "import sys; from kingmaker.cli import main; sys.exit(main())")
"""The command `kingmaker` of this very installation, whatever is on the PATH."""

_OPERATOR_ARGUMENTS: Final = ("--evaluation-interval=1", "--pre-stop-seconds=2", "--drain-seconds=5")
"""Minutes of watching instead of days: look at the counts every second."""


class Laptop:
    """One cluster.

    Args:
        folder: Where it keeps everything; created by `up`.
        flags: More flags of `kingmaker up`.
    """

    def __init__(self, folder: Path, *flags: str) -> None:
        self.home = Home(folder)
        self._flags = flags

    @property
    def slack_seconds(self) -> float:
        """No more than the steps say."""
        return 0.0

    async def up(self) -> None:
        """Start it; progress goes to stderr.

        Raises:
            DemoError: It did not start; stderr says why.
        """
        arguments = [f"--operator-arg={argument}" for argument in _OPERATOR_ARGUMENTS]
        command = (*KINGMAKER, "up", "--no-fsync", "--dir", str(self.home.folder), *arguments, *self._flags)
        # A session of its own: Ctrl-C in the terminal is for the demo, which then ends everything in order.
        child = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.DEVNULL, start_new_session=True
        )
        try:
            code = await child.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGINT)
            await child.wait()
            raise
        if code:
            raise DemoError(f"`kingmaker up` exited with {code}; logs are in {self.home.logs}")

    async def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as a person would.

        Returns:
            Its stdout.

        Raises:
            DemoError: It failed; the message is kubectl's.
        """
        return await _output(
            ("kubectl", *arguments),
            executable=str(await asyncio.to_thread(ensure_binary)),
            environment={**os.environ, "KUBECONFIG": str(self.home.kubeconfig)},
            stdin=stdin,
        )

    async def url(self, namespace: str, name: str) -> str:
        """Give the base URL of a ModelDeployment."""
        command = (*KINGMAKER, "url", "--dir", str(self.home.folder), "-n", namespace, name)
        return (await _output(command)).strip()

    async def start_traffic(self, *, url: str, model: str, rate: float, rows: Path, fresh: Path) -> Traffic:
        """Start the load generator beside the cluster."""
        arguments = generator_arguments(url=url, model=model, rate=rate, rows=rows, fresh=fresh)
        return await Traffic.start((sys.executable, *arguments), log=self.log("traffic"))

    def log(self, name: str) -> Path:
        """Say where a program's log is."""
        return self.home.log(name)

    def down(self) -> None:
        """End everything that `up` started; returns when it is gone. Logs stay, objects and keys don't."""
        if not self.home.folder.exists():
            return
        down(self.home)
        # A folder with objects keeps its network addresses reserved; this one is never started again.
        for folder in (self.home.etcd, self.home.credentials):
            shutil.rmtree(folder, ignore_errors=True)


async def run_python(script: Path, *arguments: str) -> str:
    """Run a script with this interpreter and give its stdout.

    Raises:
        DemoError: It failed; the message is its stderr.
    """
    return await _output((sys.executable, str(script), *arguments))


async def _output(
    command: Sequence[str],
    *,
    executable: str | None = None,
    environment: dict[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    child = await asyncio.create_subprocess_exec(
        *command,
        executable=executable or command[0],
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        output, errors = await child.communicate(None if stdin is None else stdin.encode())
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        raise
    if child.returncode:
        said = errors.decode(errors="replace").strip()[-2000:]
        shown = " ".join([Path(command[0]).name, *command[1:6]])
        raise DemoError(f"`{shown}` exited with {child.returncode}: {said}")
    return output.decode(errors="replace")
