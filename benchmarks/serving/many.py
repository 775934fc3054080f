"""A step about many small models in one process: what one of them costs, and what its loading costs the others."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from benchmarks.common.figures import Figure, percentile
from benchmarks.common.progress import say
from benchmarks.serving import model, programs, targets
from benchmarks.serving.figures import figure, missing
from benchmarks.serving.lab import Lab, until
from benchmarks.serving.load import read_log
from benchmarks.serving.model import Model
from benchmarks.serving.process import Server
from benchmarks.serving.requests import as_json
from kingmaker_serving.digest import sha256

NAMES: Final = (
    "200 models: memory of one",
    "200 models: load of one more",
    "200 models: p99 meanwhile ÷ before",
)
_COLUMNS, _ROWS = 10, 200
_LOADS: Final = 20
"""Models that are loaded one after the other while another one is asked."""
_RATE: Final = 500.0


def many(lab: Lab) -> Iterator[Figure]:
    """Serve one model, then 200, then load some more while one is asked at a modest rate."""
    if not programs.serve_has("--models"):
        yield from missing(NAMES, "serve has no --models")
        return
    count = lab.plan.models
    loads = min(_LOADS, count)
    say(f"training {count + loads} small models")
    made = [
        model.linear(lab.folder / "many" / str(seed), columns=_COLUMNS, rows=_ROWS, seed=seed)
        for seed in range(count + loads)
    ]
    file = lab.folder / "models.json"
    _write(file, made[:1])
    target = targets.serving(lab.folder / "many-server", "--models", str(file))
    with lab.running(target, as_json(made[0], name=_name(0))) as server:
        alone = server.memory()
        _write(file, made[:count])
        _wait(server, made, count - 1)
        together = server.memory()
        seen = {"alone": alone, "together": together, "models": count}
        yield figure("200 models: memory of one", (together - alone) / max(1, count - 1), **seen)
        yield from _load_more(lab, server, made, file, count)


def _load_more(lab: Lab, server: Server, made: list[Model], file: Path, count: int) -> Iterator[Figure]:
    """Load models one after the other while the first is asked; compare its times with those before."""
    questions = [as_json(made[0], at, name=_name(0)) for at in range(64)]
    before, meanwhile = lab.generator.folder / "before", lab.generator.folder / "meanwhile"
    seconds = max(lab.plan.seconds, 1)
    lab.generator.paced(server, questions, seconds, rate=_RATE, log=before).insist("kingmaker")
    took = []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lab.generator.paced, server, questions, seconds, rate=_RATE, log=meanwhile)
        for more in range(count, len(made)):
            if running.done():
                break
            _write(file, made[: more + 1])
            took.append(_wait(server, made, more))
        running.result().insist("kingmaker")
    yield figure("200 models: load of one more", 1000 * percentile(took, 50), seconds=took)
    p99s = [percentile(read_log(log)[:, 1].tolist(), 99) / 1e6 for log in (before, meanwhile)]
    yield figure("200 models: p99 meanwhile ÷ before", p99s[1] / p99s[0], before=p99s[0], meanwhile=p99s[1])


def _wait(server: Server, made: list[Model], number: int) -> float:
    question = as_json(made[number], name=_name(number))
    return until(lambda: server.right(question), f"model {number} being served")


def _name(number: int) -> str:
    return f"small-{number}"


def _write(file: Path, made: list[Model]) -> None:
    """Replace the file of models as a whole, as a mounted ConfigMap is."""
    listed: list[dict[str, Any]] = [
        {
            "name": _name(number),
            "version": f"{_name(number)}-1",
            "dir": str(one.folder),
            "modelDigest": sha256(one.onnx.read_bytes()),
            "baselineDigest": sha256((one.folder / "baseline.json").read_bytes()),
            "task": targets.TASK,
        }
        for number, one in enumerate(made)
    ]
    scratch = file.with_suffix(".new")
    scratch.write_text(json.dumps({"models": listed}))
    scratch.replace(file)
