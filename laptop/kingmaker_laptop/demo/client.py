"""The demo's handle on the load generator, which is a process of its own."""

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kingmaker_laptop.demo.errors import DemoError
from kingmaker_laptop.demo.population import World
from kingmaker_laptop.demo.tally import Tally

_STOP_SECONDS = 15.0


def generator_arguments(*, url: str, model: str, rate: float, rows: Path, fresh: Path | str) -> tuple[str, ...]:
    """Give the arguments of `python` that run the load generator.

    Args:
        url: Base URL of the router.
        model: Name of the ModelDeployment.
        rate: Requests per second.
        rows: Folder with `recorded.csv` and `judged.csv`, where the generator runs.
        fresh: Where it writes labelled rows for retraining: a path or a URI.
    """
    return (
        *("-m", "kingmaker_laptop.demo.traffic", "--url", url, "--model", model, "--rate", str(rate)),
        *("--recorded", str(rows / "recorded.csv"), "--judged", str(rows / "judged.csv"), "--fresh", str(fresh)),
    )


class Traffic:
    """A running load generator. `report` is the last one it gave; see `Tally.report`."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.report: dict[str, Any] = Tally().report()
        self._child = child
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, command: Sequence[str], *, log: Path) -> "Traffic":
        """Start it.

        Args:
            command: Python with `generator_arguments`, here or in a pod.
            log: Where its stderr goes.
        """
        with log.open("ab") as errors:
            child = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        return cls(child)

    async def change_world(self, world: World) -> None:
        """Let the rows look otherwise from now on."""
        await self._tell({"world": str(world)})

    async def send_late_labels(self) -> None:
        """Have the labels of the first requests sent, which were kept back."""
        await self._tell({"labels": "late"})

    async def _tell(self, wish: Mapping[str, str]) -> None:
        stdin = self._child.stdin
        if stdin is None or self._child.returncode is not None:
            raise DemoError(f"the load generator ended with {self._child.returncode}")
        stdin.write(json.dumps(wish).encode() + b"\n")
        await stdin.drain()

    def check(self) -> None:
        """Complain when it ended by itself.

        Raises:
            DemoError: It ended.
        """
        if self._child.returncode is not None:
            raise DemoError(f"the load generator ended with {self._child.returncode}; see traffic.log")

    async def stop(self) -> dict[str, Any]:
        """End it and give its last report."""
        if self._child.stdin is not None:
            self._child.stdin.close()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._child.wait()
                await self._reading
        except TimeoutError:
            self.kill()
            await self._child.wait()
        return self.report

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()

    async def _read(self) -> None:
        stdout = self._child.stdout
        while stdout is not None and (line := await stdout.readline()):
            with contextlib.suppress(ValueError):
                self.report = json.loads(line)
