"""A step about many small models in one process: what one of them costs, and what its loading costs the others."""

import contextlib
import http.client
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from benchmarks.common.figures import Figure, percentile
from benchmarks.common.progress import say
from benchmarks.serving import model, targets
from benchmarks.serving.figures import figure
from benchmarks.serving.lab import Lab, until
from benchmarks.serving.load import read_log
from benchmarks.serving.model import Model
from benchmarks.serving.process import BenchError, Server
from benchmarks.serving.requests import as_json
from kingmaker_serving.digest import sha256

NAMES: Final = (
    "200 models: memory of one",
    "200 models: load of one more",
    "200 models: p99 meanwhile ÷ before",
)
_COLUMNS, _ROWS = 10, 200
_MORE: Final = 400
"""Models that are loaded one after the other while another one is asked: enough for a p99 of the requests meanwhile."""
_RATE: Final = 500.0
_LEAD_SECONDS: Final = 0.5
_POLL: Final = 0.002


def many(lab: Lab) -> Iterator[Figure]:
    """Serve one model, then 200, then load some more while one is asked at a modest rate."""
    count, more = lab.plan.models, min(_MORE, 5 * lab.plan.models)
    say(f"training {count} small models")
    trained = [
        model.linear(lab.folder / "many" / str(seed), columns=_COLUMNS, rows=_ROWS, seed=seed) for seed in range(count)
    ]
    # Those that come later have the same files under other names.
    made = [trained[number % count] for number in range(count + more)]
    file = lab.folder / "models.json"
    _write(file, made[:1])
    target = targets.serving(lab.folder / "many-server", "--models", str(file))
    with lab.running(target, as_json(made[0], name=_name(0))) as server:
        alone = server.memory()
        _write(file, made[:count])
        _ready(server, range(count))
        together = server.memory()
        for number, one in enumerate(made[:count]):
            if not server.right(as_json(one, name=_name(number))):
                raise BenchError(f"{_name(number)} does not answer")
        seen = {"alone": alone, "together": together, "models": count}
        yield figure("200 models: memory of one", (together - alone) / (count - 1), **seen)
        yield from _load_more(lab, server, made, file, count)


def _load_more(lab: Lab, server: Server, made: list[Model], file: Path, count: int) -> Iterator[Figure]:
    """Load models one after the other while the first is asked; compare its times with those before."""
    questions = [as_json(made[0], at, name=_name(0)) for at in range(64)]
    before, meanwhile = lab.generator.folder / "before", lab.generator.folder / "meanwhile"

    def ask(log: Path, seconds: float) -> None:
        lab.generator.paced(server, questions, seconds, rate=_RATE, log=log).insist("kingmaker")

    ask(before, max(lab.plan.seconds, 1))
    with ThreadPoolExecutor(1) as pool:
        # As long as the file may not be looked at, and 20 ms for each; should they take longer, those requests will do.
        running = pool.submit(ask, meanwhile, 1 + 2 * _LEAD_SECONDS + 0.02 * (len(made) - count))
        time.sleep(_LEAD_SECONDS)
        _write(file, made)
        at = _ready(server, range(count, len(made)))
        running.result()
    one = (at[-1] - at[0]) / (len(at) - 1)
    yield figure("200 models: load of one more", 1000 * one, ready_after=[round(when - at[0], 4) for when in at])
    answers = read_log(meanwhile)
    loading = (answers[:, 0] >= (at[0] - one) * 1e9) & (answers[:, 0] <= at[-1] * 1e9)
    times = [read_log(before)[:, 1], answers[loading, 1]]
    p99s = [percentile(all_times.tolist(), 99) / 1e6 for all_times in times]
    seen = {"before": p99s[0], "meanwhile": p99s[1], "requests": [len(all_times) for all_times in times]}
    yield figure("200 models: p99 meanwhile ÷ before", p99s[1] / p99s[0], **seen)


def _ready(server: Server, numbers: Sequence[int]) -> list[float]:
    """Wait until each model is ready; give the monotonic time at which each was seen to be."""
    found = []
    connection = http.client.HTTPConnection(server.target.rest, timeout=10)
    with contextlib.closing(connection):
        for number in numbers:

            def is_ready(path: str = f"/v2/models/{_name(number)}/ready") -> bool:
                connection.request("GET", path)
                response = connection.getresponse()
                response.read()
                return response.status == 200

            until(is_ready, f"{_name(number)} being ready", pause=_POLL)
            found.append(time.monotonic())
    return found


def _name(number: int) -> str:
    return f"small-{number}"


def _write(file: Path, made: list[Model]) -> None:
    """Replace the file of models as a whole, as a mounted ConfigMap is."""
    listed: list[dict[str, Any]] = [
        {
            "name": _name(number),
            "version": f"{_name(number)}-1",
            "folder": str(one.folder),
            "digest": sha256(one.onnx.read_bytes()),
            "baselineDigest": sha256((one.folder / "baseline.json").read_bytes()),
            "task": targets.TASK,
        }
        for number, one in enumerate(made)
    ]
    scratch = file.with_suffix(".new")
    scratch.write_text(json.dumps({"format": "kingmaker.dev/models/v1", "models": listed}))
    scratch.replace(file)
