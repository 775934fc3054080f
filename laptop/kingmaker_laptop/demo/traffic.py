"""The load generator: a process of its own that asks the served model at a fixed rate and never waits for answers.

It obeys commands on stdin, one JSON object per line (`{"world": "shifted"}`, `{"labels": "late"}`), reports its counts
on stdout twice a second, and ends when stdin does: whoever started it can't leave it behind.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import numpy as np

from kingmaker_laptop.demo.population import Drawn, Population, World, read_pool
from kingmaker_laptop.demo.tally import AnswerError, Tally, read_answer

LABEL: Final = "malignant"
ARRIVED: Final = "arrived"
"""Columns of the file of fresh rows beside the features: the label, and the Unix time at which it arrived."""

_JSON: Final = {"Content-Type": "application/json"}
_REPORT_SECONDS: Final = 0.5
_REQUEST_SECONDS: Final = 10.0
_CONNECT_SECONDS: Final = 5.0
_MOST_IN_FLIGHT: Final = 400
"""Requests under way at most; a server that hangs must not take the generator's memory with it."""
_MOST_LABELS: Final = 4000
"""Labels that wait for their time or are under way, at most."""
_FRESH_ROWS: Final = 2000
_LABEL_DELAY_SECONDS: Final = (1.0, 3.0)
_KEPT_LABELS: Final = 20
"""Requests, the first ones, whose labels wait until they are asked for."""
_LABEL_TRIES: Final = 12
"""Ten seconds apart: a kubelet may take 90 to bring the names of new pods to those that pass labels on."""


@dataclass(frozen=True, slots=True)
class Target:
    """What to ask, how often, and where recorded rows go."""

    url: str
    model: str
    rate: float
    fresh: str
    """A path, or a URI that fsspec can write."""


class Generator:
    """Sends requests and, seconds later, their labels.

    Args:
        target: Where to.
        population: Whom the requests are about.
        seed: Of the delays.
    """

    def __init__(self, target: Target, population: Population, *, seed: int = 0) -> None:
        self.tally = Tally()
        self.world = World.NORMAL
        self._target = target
        self._population = population
        self._random = np.random.default_rng(seed)
        self._fresh: deque[str] = deque(maxlen=_FRESH_ROWS)
        self._asking: set[asyncio.Task[None]] = set()
        self._labelling: set[asyncio.Task[None]] = set()
        self._kept: list[dict[str, Any]] = []
        self.late = asyncio.Event()
        """Set when the labels that were kept shall be sent."""

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop`, then wait for what is in flight."""
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS, sock_connect=_CONNECT_SECONDS)
        async with aiohttp.ClientSession(
            self._target.url, connector=connector, timeout=timeout, trust_env=False
        ) as session:
            _start(self._label_late(session), self._labelling, _MOST_LABELS)
            due = asyncio.get_running_loop().time()
            while not stop.is_set():
                self._send(self._ask(session, self._population.draw(self.world)))
                due += 1 / self._target.rate
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(due):
                        await stop.wait()
            await asyncio.gather(*self._asking, return_exceptions=True)
            # A label that waits for its time must not delay the end; requests in flight are still counted.
            for task in self._labelling:
                task.cancel()
            await asyncio.gather(*self._labelling, return_exceptions=True)

    async def save_fresh_rows(self) -> None:
        """Replace the file of recorded rows in one step."""
        header = ",".join([*self._population.names, LABEL, ARRIVED])
        text = "\n".join([header, *self._fresh]) + "\n"
        # Requests go on while a store takes its time.
        await asyncio.to_thread(_replace, self._target.fresh, text)

    def _send(self, work: Coroutine[Any, Any, None]) -> None:
        self.tally.sent += 1
        if not _start(work, self._asking, _MOST_IN_FLIGHT):
            self.tally.fail(f"{_MOST_IN_FLIGHT} requests were in flight")

    async def _ask(self, session: aiohttp.ClientSession, drawn: Drawn) -> None:
        began = time.perf_counter()
        path = f"/v2/models/{self._target.model}/infer"
        rows = len(drawn.labels)
        try:
            async with session.post(path, data=_request_body(drawn), headers=_JSON) as response:
                text = await response.read()
                if response.status != 200:
                    self.tally.fail(f"{response.status}: {text[:160].decode(errors='replace')}", str(response.status))
                    return
                version = response.headers.get("kingmaker-model", "")
                request = response.headers.get("kingmaker-request-id", "")
            predicted = read_answer(json.loads(text), model=self._target.model, version=version, rows=rows)
        except (AnswerError, ValueError) as error:
            self.tally.fail(f"wrong answer: {error}")
            return
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.tally.fail(f"{type(error).__name__}: {error}"[:160])
            return
        self.tally.answer(version, rows, time.perf_counter() - began)
        label = self._label(session, drawn, request=request, version=version, predicted=predicted)
        if not _start(label, self._labelling, _MOST_LABELS):
            self.tally.fail_label(f"{_MOST_LABELS} labels were waiting")

    async def _label(
        self, session: aiohttp.ClientSession, drawn: Drawn, *, request: str, version: str, predicted: Sequence[int]
    ) -> None:
        await asyncio.sleep(float(self._random.uniform(*_LABEL_DELAY_SECONDS)))
        labels = drawn.labels.tolist()
        if drawn.is_recorded:
            self._record(drawn)
            return
        self.tally.judge(version, predicted, labels)
        if len(self._kept) < _KEPT_LABELS:
            self._kept.append({"id": request, "labels": labels})
            self.tally.labels_kept = len(self._kept)
            return
        try:
            status, text = await self._post(session, {"id": request, "labels": labels})
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.tally.fail_label(f"{type(error).__name__}: {error}"[:160])
            return
        if status == 200:
            self.tally.labels_posted += 1
        elif status == 404:
            self.tally.labels_unmatched += 1
        else:
            self.tally.fail_label(f"{status}: {text[:160].decode(errors='replace')}")

    async def _label_late(self, session: aiohttp.ClientSession) -> None:
        """Send the labels that were kept, all at once, when somebody asks for it."""
        await self.late.wait()
        lines = "\n".join(map(json.dumps, self._kept))
        headers = {"Content-Type": "application/x-ndjson"}
        try:
            async with session.post(
                f"/v2/models/{self._target.model}/feedback", data=lines, headers=headers
            ) as response:
                *_, last = (await response.text()).splitlines()
            self.tally.labels_late = json.loads(last)["total"]["accepted"]
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, LookupError) as error:
            self.tally.fail_label(f"{type(error).__name__}: {error}"[:160])

    async def _post(self, session: aiohttp.ClientSession, body: dict[str, Any]) -> tuple[int, bytes]:
        """Post labels, again where the server says that it may work later, and give the last status and text."""
        for _ in range(_LABEL_TRIES):
            async with session.post(f"/v2/models/{self._target.model}/feedback", json=body) as response:
                status, text = response.status, await response.read()
                wait = response.headers.get("retry-after", "")
            if status != 503 or not wait.isdigit():
                break
            await asyncio.sleep(int(wait))
        return status, text

    def _record(self, drawn: Drawn) -> None:
        for features, label in zip(drawn.features.tolist(), drawn.labels.tolist(), strict=True):
            self._fresh.append(",".join([*(f"{value:.7g}" for value in features), str(label), f"{time.time():.2f}"]))


def _start(work: Coroutine[Any, Any, None], under_way: set[asyncio.Task[None]], most: int) -> bool:
    """Start work beside what is under way; False where that is the most already."""
    if len(under_way) >= most:
        work.close()
        return False
    task = asyncio.create_task(work)
    under_way.add(task)
    task.add_done_callback(under_way.discard)
    return True


def _replace(place: str, text: str) -> None:
    if "://" in place:
        import fsspec  # noqa: PLC0415  # a laptop's demo writes to its own disk

        with fsspec.open(place, "w") as file:
            file.write(text)
        return
    new = Path(f"{place}.new")
    new.write_text(text)
    new.replace(place)


def _request_body(drawn: Drawn) -> bytes:
    rows, columns = drawn.features.shape
    tensor = {
        "name": "features",
        "shape": [rows, columns],
        "datatype": "FP32",
        "data": [float(f"{value:.7g}") for value in drawn.features.ravel().tolist()],
    }
    return json.dumps({"inputs": [tensor]}).encode()


async def generate(generator: Generator) -> None:
    """Run until stdin ends, reporting on stdout."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        reports = group.create_task(_report(generator))
        group.create_task(_obey(generator, stop))
        await generator.run(stop)
        reports.cancel()
    print(json.dumps(generator.tally.report()), flush=True)


async def _report(generator: Generator) -> None:
    while True:
        print(json.dumps(generator.tally.report()), flush=True)
        await generator.save_fresh_rows()
        await asyncio.sleep(_REPORT_SECONDS)


async def _obey(generator: Generator, stop: asyncio.Event) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        while line := await reader.readline():
            wish = json.loads(line)
            if wish.get("labels") == "late":
                generator.late.set()
            else:
                generator.world = World(wish["world"])
    finally:
        stop.set()
        transport.close()


def main() -> None:
    """Parse the arguments and generate."""
    parser = argparse.ArgumentParser(prog="python -m kingmaker_laptop.demo.traffic", description=__doc__)
    parser.add_argument("--url", required=True, help="base URL of the router")
    parser.add_argument("--model", required=True, help="name of the ModelDeployment")
    parser.add_argument("--rate", type=float, required=True, help="requests per second")
    parser.add_argument("--recorded", type=Path, required=True, help="CSV of rows whose labels are for training")
    parser.add_argument("--judged", type=Path, required=True, help="CSV of rows whose labels judge models")
    parser.add_argument("--fresh", required=True, help="where to write labelled rows for retraining: a path or a URI")
    args = parser.parse_args()
    population = Population(read_pool(args.recorded, LABEL), read_pool(args.judged, LABEL))
    asyncio.run(generate(Generator(Target(args.url, args.model, args.rate, args.fresh), population)))


if __name__ == "__main__":
    main()
