"""An open-loop load generator in the cluster, and what became of the requests between two moments."""

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kingmaker_laptop.demo.client import generator_arguments
from support.clients import NAMESPACE, POD
from support.store import WORK


@dataclass
class Window:
    """Requests of a stretch of time, by status and by variant."""

    sent: int = 0
    failed: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    by_model: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def __str__(self) -> str:
        split = ", ".join(f"{model} {count}" for model, count in sorted(self.by_model.items()))
        statuses = ", ".join(f"{status} {count}" for status, count in sorted(self.by_status.items()))
        text = f"{self.sent:,} requests in {self.seconds:.0f} s, {self.failed} failed\n    {statuses}\n    {split}"
        return text + "".join(f"\n    {count} x {reason}" for reason, count in self.failures.items())


class Load:
    """A generator that sends at a fixed rate and never waits for answers."""

    def __init__(self, *, url: str, model: str, rate: float, name: str = "fresh") -> None:
        """Start it in the clients' pod; of several at once, each has a name of its own."""
        arguments = generator_arguments(
            url=url, model=model, rate=rate, rows=Path(WORK, "models"), fresh=f"{WORK}/{name}.csv"
        )
        command = ("kubectl", "exec", "-i", "-n", NAMESPACE, POD, "--", "python", *arguments)
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._changed = threading.Condition()
        self._report: dict[str, Any] = {}
        self._reports = 0
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        self.fresh_report()

    def fresh_report(self, *, seconds: float = 30) -> dict[str, Any]:
        """Give a report that was made after this call."""
        with self._changed:
            # The next one may have been on its way already.
            wanted = self._reports + 2
            arrived = self._changed.wait_for(lambda: self._reports >= wanted, timeout=seconds)
            assert arrived, f"the load generator is silent: {self._said()}"
            return self._report

    @contextmanager
    def watched(self, *, settle_seconds: float = 15) -> Iterator[Window]:
        """Count the requests that are sent in the block; when it ends, the count goes on until none is in flight."""
        window = Window()
        before, began = self.fresh_report(), time.monotonic()
        yield window
        window.seconds = time.monotonic() - began
        end = time.monotonic() + settle_seconds
        while _in_flight(after := self.fresh_report()) and time.monotonic() < end:
            pass
        window.sent = after["sent"] - before["sent"]
        window.failed = after["failed"] - before["failed"]
        for name, key in (("by_status", "byStatus"), ("by_model", "byModel"), ("failures", "failures")):
            setattr(window, name, Counter(after[key]) - Counter(before[key]))

    def stop(self) -> dict[str, Any]:
        """End it and give its last report."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait(30)
        self._reading.join(30)
        for pipe in (self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()
        return self._report

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            with self._changed:
                self._report = json.loads(line)
                self._reports += 1
                self._changed.notify_all()

    def _said(self) -> str:
        if self._child.poll() is None or self._child.stderr is None:
            return f"it runs; last report {self._report}"
        return self._child.stderr.read().decode(errors="replace")[-2000:]


def _in_flight(report: dict[str, Any]) -> int:
    return int(report["sent"] - report["answered"] - report["failed"])
